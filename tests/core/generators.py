"""Small packed generators that the tests of the core share."""

from pathlib import Path
from typing import Any

import numpy as np
from packed_files import PROGRAMS, Tensors, node, pack_bits, write

from pbgen.packing.graph import Node

SQUARE: dict[str, Any] = {"kernel": [4, 4], "dilation": [1, 1], "groups": 1}
STRIDE_2 = SQUARE | {"stride": [2, 2], "padding": [1, 1]}
STRIDE_1 = SQUARE | {"stride": [1, 1], "padding": [1, 1]}


def every_operator(path: Path, channels: int = 3, activation: str = "tanh") -> Path:
    """A generator of (channels, 6, 16) images from 10 numbers, with every operator in it."""
    rng = np.random.default_rng(0)
    tensors: Tensors = {
        "linear": pack_bits(rng.standard_normal((48, 10))),
        "bits": pack_bits(rng.standard_normal((24, 32, 4, 4))),
        "floats": rng.standard_normal((4 * channels, 16, 4, 4)).astype(np.float32) / 8,
        "scale": rng.standard_normal(24).astype(np.float32) / 16,
        "shift": rng.standard_normal(24).astype(np.float16),
        "gain": rng.standard_normal((1, 24, 1, 1)).astype(np.float32),
    }
    window = {"kernel": [2, 3], "stride": [1, 1], "padding": [0, 1], "dilation": [1, 1]}
    image = (24, 4, 6)
    nodes = [
        node("linear", [0], (48,), weight="linear", **PROGRAMS["leaky_relu"]),
        node("reshape", [1], (16, 1, 3)),
        node("map", [2], (16, 1, 3), **PROGRAMS["sigmoid"]),
        node("concat", [2, 3], (32, 1, 3), axis=1),
        node("conv_transpose", [4], (24, 2, 6), weight="bits", scale="scale", shift="shift", **STRIDE_2),
        node("resample", [5], image, mode="nearest", axes=[2, 3], step=[0.5, None]),
        node("resample", [6], image, mode="linear", axes=[2, 3], step=[None, 1], align_corners=False),
        node("pad", [7], (24, 5, 6), before=[0, 0, 1, 0], mode="reflect"),
        node("pool", [8], image, kind="mean", padded=False, **window),
        node("adaptive_pool", [9], (24, 4, 1), kind="max", axes=[3]),
        node("expand", [10], image),
        node("constant", [], (24, 1, 1), tensor="gain"),
        Node("range", "the range", (), (6,), {"start": 5, "step": -1}),
        node("take", [9, 13], image, axis=3),
        node("slice", [14], image, axis=3, start=5, step=-1),
        node("reduce", [15, 12], (24, 1, 1), kind="mean", axes=[2, 3], program=[["mul", 0, 1]]),
        node("permute", [15], (24, 6, 4), axes=[0, 1, 3, 2]),
        node("matmul", [15, 17], (24, 4, 4)),
        node("matmul", [18, 15], image),
        node("map", [6, 11, 16, 19], image, program=[["tanh", 3], ["add", 0, 1], ["add", 5, 2], ["add", 6, 4]]),
        node("reshape", [20], (16, 4, 9)),
        node("conv", [21], (4 * channels, 3, 8), weight="floats", **STRIDE_1, **PROGRAMS[activation]),
        # a pixel shuffle
        node("reshape", [22], (channels, 2, 2, 3, 8)),
        node("permute", [23], (channels, 3, 2, 8, 2), axes=[0, 1, 4, 2, 5, 3]),
        node("reshape", [24], (channels, 6, 16)),
    ]
    return write(path, (10,), nodes, tensors)


def dcgan(path: Path, size: int = 32, channels: int = 3, width: int = 48) -> Path:
    """A generator of (channels, size, size) images from 20 x 1 x 1 numbers: all layers one-bit but the last."""
    rng = np.random.default_rng(1)
    nodes: list[Node] = []
    tensors: Tensors = {}
    shape = (20, 1, 1)
    while shape[1] < size:
        i, last = len(nodes), shape[1] * 2 == size
        outputs = channels if last else width
        weights = rng.standard_normal((outputs, shape[0], 4, 4)).astype(np.float32)
        tensors[f"w{i}"] = weights / 8 if last else pack_bits(weights)
        tensors[f"s{i}"] = np.full(outputs, (4 * shape[0]) ** -0.5, np.float32)
        attributes = SQUARE | {"stride": [2, 2] if i else [1, 1], "padding": [1, 1] if i else [0, 0]}
        attributes |= PROGRAMS["tanh" if last else "relu"]
        shape = (outputs, shape[1] * 2, shape[2] * 2) if i else (outputs, 4, 4)
        nodes.append(node("conv_transpose", [i], shape, weight=f"w{i}", scale=f"s{i}", **attributes))
    return write(path, (20, 1, 1), nodes, tensors)
