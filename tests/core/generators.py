"""Small packed generators that the tests of the core share."""

from pathlib import Path
from typing import Any

import numpy as np
from packed_files import Tensors, node, pack_bits, write

SQUARE: dict[str, Any] = {"kernel": [4, 4], "dilation": [1, 1], "groups": 1}


def every_operator(path: Path, channels: int = 3, activation: str = "tanh") -> Path:
    """A generator of (channels, 6, 16) images from 10 numbers, with every operator in it."""
    rng = np.random.default_rng(0)
    tensors: Tensors = {
        "linear": pack_bits(rng.standard_normal((48, 10))),
        "bits": pack_bits(rng.standard_normal((24, 32, 4, 4))),
        "floats": rng.standard_normal((4 * channels, 16, 4, 4)).astype(np.float32) / 8,
        "scale": rng.standard_normal(24).astype(np.float32) / 16,
        "shift": rng.standard_normal(24).astype(np.float16),
    }
    nodes = [
        node("linear", [0], (48,), weight="linear", activation="leaky_relu", slope=0.2),
        node("reshape", [1], (16, 1, 3)),
        node("affine", [2], (16, 1, 3), activation="sigmoid"),
        node("concat", [2, 3], (32, 1, 3), axis=0),
        node("conv_transpose", [4], (24, 2, 6), weight="bits", scale="scale", shift="shift", **STRIDE_2),
        node("upsample", [5], (24, 4, 6), mode="nearest", step=[0.5, 1]),
        node("upsample", [6], (24, 4, 6), mode="bilinear", step=[1, 1], align_corners=False),
        node("add", [6, 7], (24, 4, 6)),
        node("reshape", [8], (16, 4, 9)),
        node("conv", [9], (4 * channels, 3, 8), weight="floats", activation=activation, **STRIDE_1),
        node("pixel_shuffle", [10], (channels, 6, 16), factor=2),
    ]
    return write(path, (10,), nodes, tensors)


STRIDE_2 = SQUARE | {"stride": [2, 2], "padding": [1, 1]}
STRIDE_1 = SQUARE | {"stride": [1, 1], "padding": [1, 1]}


def dcgan(path: Path, size: int = 32, channels: int = 3, width: int = 48) -> Path:
    """A generator of (channels, size, size) images from 20 x 1 x 1 numbers: all layers one-bit but the last."""
    rng = np.random.default_rng(1)
    nodes: list[dict[str, Any]] = []
    tensors: Tensors = {}
    shape = (20, 1, 1)
    while shape[1] < size:
        i, last = len(nodes), shape[1] * 2 == size
        outputs = channels if last else width
        weights = rng.standard_normal((outputs, shape[0], 4, 4)).astype(np.float32)
        tensors[f"w{i}"] = weights / 8 if last else pack_bits(weights)
        tensors[f"s{i}"] = np.full(outputs, (4 * shape[0]) ** -0.5, np.float32)
        attributes = SQUARE | {"stride": [2, 2] if i else [1, 1], "padding": [1, 1] if i else [0, 0]}
        attributes["activation"] = "tanh" if last else "relu"
        shape = (outputs, shape[1] * 2, shape[2] * 2) if i else (outputs, 4, 4)
        nodes.append(node("conv_transpose", [i], shape, weight=f"w{i}", scale=f"s{i}", **attributes))
    return write(path, (20, 1, 1), nodes, tensors)
