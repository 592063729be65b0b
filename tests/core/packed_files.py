"""Packed files made by hand, straight from docs/format.md, and what torch makes of the same layers in float64."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from pbgen.deflated import graph_text
from pbgen.packing import file
from pbgen.packing.graph import Count, Graph, Input, Node

Tensors = dict[str, np.ndarray]


def pack_bits(signs: np.ndarray) -> np.ndarray:
    return np.packbits(signs.ravel() > 0, bitorder="little")


def pack_planes(levels: np.ndarray, planes: int) -> np.ndarray:
    """Odd numbers from -(2^planes - 1) to 2^planes - 1, each the sum of 2^p times a sign over planes p."""
    digits = (levels.astype(int) + (1 << planes) - 1) // 2
    return pack_bits(digits) if planes == 1 else np.stack([pack_bits(digits >> p & 1) for p in range(planes)])


def random_levels(rng: np.random.Generator, shape: tuple[int, ...], planes: int) -> np.ndarray:
    if planes == 1:
        return np.sign(rng.standard_normal(shape))
    return 2.0 * rng.integers(0, 1 << planes, shape) + 1 - (1 << planes)


def write(
    path: Path, input_shape: tuple[Count, ...], nodes: list[Node], tensors: Tensors, output: int | None = None
) -> Path:
    """Write a packed file of one input, its shape without the batch; `output` is the last value unless given.

    Not as pbgen.packing does: thousands of tests would wait for the disk.
    """
    last = len(nodes) if output is None else output
    graph = Graph((Input("z", (1, *input_shape)),), (), tuple(nodes), (("image", last),))
    path.write_bytes(file.to_bytes(graph, tensors))
    return path


def rewritten(contents: bytes, change: Callable[[str], str] = str) -> bytes:
    """The same file with its graph's JSON as it is rather than compressed, and changed."""
    length = int.from_bytes(contents[:8], "little")
    header = json.loads(contents[8 : 8 + length])
    header["__metadata__"]["pbgen"] = change(graph_text(header["__metadata__"]["pbgen"]))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + contents[8 + length :]


def node(op: str, inputs: list[int], shape: tuple[Count, ...], **attributes: Any) -> Node:
    """A node of this shape, the batch's 1 left out."""
    return Node(op, f"the {op}", tuple(inputs), (1, *shape), attributes)


def nothing(inputs: list[int], shape: tuple[Count, ...]) -> Node:
    """A node that changes no number."""
    return node("map", inputs, shape, program=[["mul", 0, 1]], numbers=[1])


PROGRAMS: dict[str, dict[str, Any]] = {
    "none": {},
    "relu": {"program": [["relu", 0]]},
    "leaky_relu": {"program": [["leaky", 0, 1]], "numbers": [0.2]},
    "tanh": {"program": [["tanh", 0]]},
    "sigmoid": {"program": [["sigmoid", 0]]},
}

ACTIVATIONS = {
    "none": lambda x, slope: x,
    "relu": lambda x, slope: F.relu(x),
    "leaky_relu": lambda x, slope: F.leaky_relu(x, slope),
    "tanh": lambda x, slope: torch.tanh(x),
    "sigmoid": lambda x, slope: torch.sigmoid(x),
}


@dataclass(frozen=True)
class Layer:
    """One convolution, transposed convolution (`transposed`) or, where `size` is empty, linear layer."""

    inputs: int
    outputs: int
    size: tuple[int, ...]
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    output_padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    transposed: bool = True
    one_bit: bool = True
    planes: int = 1  # of signs, unless weights are floats
    epilogue: tuple[str, ...] = ("scale", "shift")
    activation: str = "none"
    dtype: Any = np.float32
    seed: int = 0

    def attribute(self, name: str) -> list[int]:
        default = 0 if "padding" in name else 1
        return list(getattr(self, name)) or [default] * len(self.size)

    def weights(self) -> np.ndarray:
        """In the file's canonical order: (C_out, C_in / groups, kernel...)."""
        rng = np.random.default_rng(self.seed)
        shape = (self.outputs, self.inputs // self.groups, *(self.attribute("kernel") if self.size else ()))
        if self.one_bit:
            return random_levels(rng, shape, self.planes)
        return rng.standard_normal(shape).astype(self.dtype)

    def vectors(self) -> Tensors:
        rng = np.random.default_rng(self.seed + 1)
        # Sums of fan-in terms come back to the size of one, where activations are neither linear nor saturated.
        level = 2.0 ** (self.planes - 1)
        size = {"scale": (self.inputs // self.groups * math.prod(self.kernel)) ** -0.5 / level, "shift": 1.0}
        return {name: (rng.standard_normal(self.outputs) * size[name]).astype(self.dtype) for name in self.epilogue}

    def reference(self, x: np.ndarray) -> np.ndarray:
        value = torch.from_numpy(np.asarray(x, np.float64))
        weight = torch.from_numpy(self.weights().astype(np.float64))
        value = self._convolve(value, weight)
        vectors = {name: torch.from_numpy(v.astype(np.float64)) for name, v in self.vectors().items()}
        along_channels = (1, -1, *(1 for _ in self.size))
        if "scale" in vectors:
            value = value * vectors["scale"].view(along_channels)
        if "shift" in vectors:
            value = value + vectors["shift"].view(along_channels)
        return ACTIVATIONS[self.activation](value, 0.2).numpy()

    def _convolve(self, value: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        if not self.size:
            return F.linear(value, weight)
        names = ("stride", "padding", "dilation") + (("output_padding",) if self.transposed else ())
        options = {name: self.attribute(name) for name in names}
        one_dimension = len(self.size) == 1
        if not self.transposed:
            return (F.conv1d if one_dimension else F.conv2d)(value, weight, groups=self.groups, **options)
        # From (C_out, C_in / groups, ...) to torch's (C_in, C_out / groups, ...), a group at a time.
        parts = [part.transpose(0, 1) for part in weight.chunk(self.groups)]
        convolve = F.conv_transpose1d if one_dimension else F.conv_transpose2d
        return convolve(value, torch.cat(parts), groups=self.groups, **options)

    def input(self, batch: int) -> np.ndarray:
        rng = np.random.default_rng(self.seed + 2)
        return rng.standard_normal((batch, self.inputs, *self.size)).astype(np.float32)

    def tensors(self) -> Tensors:
        weights = self.weights()
        return {"weight": pack_planes(weights, self.planes) if self.one_bit else weights, **self.vectors()}

    def node(self, shape: tuple[int, ...], *inputs: int) -> Node:
        attributes: dict[str, Any] = {"weight": "weight", **{name: name for name in self.epilogue}}
        if self.size:
            names = ("kernel", "stride", "padding", "dilation")
            attributes |= {name: self.attribute(name) for name in names} | {"groups": self.groups}
        op = "linear" if not self.size else "conv_transpose" if self.transposed else "conv"
        return node(op, list(inputs) or [0], shape, **attributes, **PROGRAMS[self.activation])

    def write(self, path: Path, behind: bool = False) -> Path:
        """As a packed file; `behind` another operation, which changes nothing: so its input is not the network's."""
        shape_in, shape = (self.inputs, *self.size), self.reference(self.input(1)).shape[1:]
        nodes = [self.node(shape)]
        if behind:
            nodes = [nothing([0], shape_in), self.node(shape, 1)]
        return write(path, shape_in, nodes, self.tensors())


def assert_close(result: np.ndarray, reference: np.ndarray) -> None:
    """To 1e-5 of the output's scale: ten times stricter than what is promised."""
    assert result.dtype == np.float32
    assert result.shape == reference.shape
    scale = max(1.0, float(np.abs(reference).max(initial=0)))
    np.testing.assert_allclose(result, reference, rtol=0, atol=1e-5 * scale)
