"""A packed file as an ordinary float torch module, to check the engine by and to run in other engines."""

import math
import os
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pbgen.packing.file import read
from pbgen.packing.graph import Graph, Node, weight_shape

_CONV = {2: F.conv1d, 3: F.conv2d}  # by the dimensions of one image
_CONV_TRANSPOSE = {2: F.conv_transpose1d, 3: F.conv_transpose2d}


def rebuild(path: str | os.PathLike[str]) -> nn.Module:
    """A torch module that computes what the packed file says, in float32, one-bit weights expanded.

    It takes (N, *input_shape) and gives (N, *output_shape), has both shapes as attributes, and knows nothing of the
    engine. Raises PBGenError where the file cannot be read.
    """
    return Rebuilt(*read(path)).eval()


class Rebuilt(nn.Module):
    """Runs a graph node by node with torch's own operators."""

    def __init__(self, graph: Graph, tensors: dict[str, NDArray[Any]]) -> None:
        super().__init__()
        self.graph = graph
        self.input_shape = graph.input
        self.output_shape = graph.shape(graph.output)
        for number, node in enumerate(graph.nodes):
            for name, numbers in _numbers(graph, node, tensors).items():
                self.register_buffer(f"{name}_{number}", torch.from_numpy(numbers))

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for number, node in enumerate(self.graph.nodes):
            inputs = [values[source] for source in node.inputs]
            values.append(_activated(self._value(number, node, inputs), node.attributes))
        return values[self.graph.output]

    def _value(self, number: int, node: Node, inputs: list[Tensor]) -> Tensor:
        x, attributes = inputs[0], node.attributes
        match node.op:
            case "conv_transpose":
                return _conv_transpose(x, *self._layer(number), node)
            case "conv":
                return _conv(x, *self._layer(number), node)
            case "linear":
                return F.linear(x, *self._layer(number))
            case "affine":
                return self._affine(number, x)
            case "add":
                return sum(inputs[1:], x)
            case "concat":
                return torch.cat(inputs, attributes["axis"] + 1)
            case "reshape":
                return x.reshape(x.shape[0], *node.shape)
            case "pixel_shuffle":
                return F.pixel_shuffle(x, attributes["factor"])
            case _:
                return _upsample(x, node)

    def _layer(self, number: int) -> tuple[Tensor, Tensor | None]:
        return getattr(self, f"weight_{number}"), getattr(self, f"shift_{number}", None)

    def _affine(self, number: int, x: Tensor) -> Tensor:
        along_channels = [1, -1] + [1] * (x.dim() - 2)
        for name, operator in ("scale", torch.mul), ("shift", torch.add):
            if hasattr(self, f"{name}_{number}"):
                x = operator(x, getattr(self, f"{name}_{number}").reshape(along_channels))
        return x


def _numbers(graph: Graph, node: Node, tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """A node's numbers as torch wants them: the scale in the weights, transposed ones input channel first."""
    names = {name: node.attributes[name] for name in ("weight", "scale", "shift") if name in node.attributes}
    found = {name: tensors[tensor] for name, tensor in names.items()}
    if "weight" in found:
        shape = weight_shape(graph, node)
        weight = found["weight"]
        if weight.dtype == np.uint8:
            weight = 2.0 * np.unpackbits(weight, count=math.prod(shape), bitorder="little") - 1.0
        weight = weight.reshape(shape)
        if "scale" in found:
            weight = weight * found.pop("scale").astype(np.float32).reshape(-1, *[1] * (len(shape) - 1))
        if node.op == "conv_transpose":
            grouped = weight.reshape(node.attributes["groups"], -1, *shape[1:])
            weight = grouped.swapaxes(1, 2).reshape(-1, grouped.shape[1], *shape[2:])
        found["weight"] = weight
    return {name: np.array(numbers, np.float32, order="C") for name, numbers in found.items()}


def _activated(x: Tensor, attributes: dict[str, Any]) -> Tensor:
    match attributes.get("activation", "none"):
        case "relu":
            return F.relu(x)
        case "leaky_relu":
            return F.leaky_relu(x, attributes["slope"])
        case "tanh":
            return torch.tanh(x)
        case "sigmoid":
            return torch.sigmoid(x)
        case _:
            return x


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None, node: Node) -> Tensor:
    kernel, stride, padding, dilation, groups = _geometry(node)
    sizes = zip(x.shape[2:], node.shape[1:], kernel, stride, padding, dilation, strict=True)
    high = [(out - 1) * s + d * (k - 1) + 1 - size - p for size, out, k, s, p, d in sizes]
    # torch pads both edges alike; pixels that no tap reaches may be missing at the high edge.
    if any(not p - s < h <= p for h, p, s in zip(high, padding, stride, strict=True)):
        x = F.pad(x, [edge for low, far in zip(padding[::-1], high[::-1], strict=True) for edge in (low, far)])
        padding = [0] * len(padding)
    return _CONV[len(node.shape)](x, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(x: Tensor, weight: Tensor, bias: Tensor | None, node: Node) -> Tensor:
    kernel, stride, padding, dilation, groups = _geometry(node)
    sizes = list(zip(x.shape[2:], node.shape[1:], kernel, stride, padding, dilation, strict=True))
    rest = [out - ((size - 1) * s - 2 * p + d * (k - 1) + 1) for size, out, k, s, p, d in sizes]
    operator = _CONV_TRANSPOSE[len(node.shape)]
    if all(0 <= r < max(s, d) for r, s, d in zip(rest, stride, dilation, strict=True)):
        return operator(x, weight, bias, stride, padding, rest, groups, dilation)
    # torch drops as much at both edges; what it cannot say is cut out of, or added to, the whole.
    whole = operator(x, weight, None, stride, 0, 0, groups, dilation)
    edges = [(-p, out + p - full) for p, out, full in zip(padding, node.shape[1:], whole.shape[2:], strict=True)]
    image = F.pad(whole, [edge for pair in reversed(edges) for edge in pair])
    return image if bias is None else image + bias.reshape(-1, *[1] * (len(node.shape) - 1))


def _geometry(node: Node) -> tuple[list[int], list[int], list[int], list[int], int]:
    kernel, stride, padding, dilation = (list(node.attributes[n]) for n in ("kernel", "stride", "padding", "dilation"))
    return kernel, stride, padding, dilation, node.attributes["groups"]


def _upsample(x: Tensor, node: Node) -> Tensor:
    mode, size = node.attributes["mode"], node.shape[1:]
    corners = node.attributes.get("align_corners")
    if corners or all(
        step == float(np.float32(source) / np.float32(target))
        for step, source, target in zip(node.attributes["step"], x.shape[2:], size, strict=True)
    ):
        return F.interpolate(x, size, mode=mode, align_corners=corners)
    for axis, (step, target) in enumerate(zip(node.attributes["step"], size, strict=True), start=2):
        x = _resampled(x, axis, step, target, mode)
    return x


def _resampled(x: Tensor, axis: int, step: float, target: int, mode: str) -> Tensor:
    """One dimension at a time, where the step is not that of the sizes."""
    last = x.shape[axis] - 1
    pixels = np.arange(target, dtype=np.float32)
    if mode == "nearest":
        index = np.minimum(np.floor(pixels * np.float32(step)), last).astype(np.int64)
        return x.index_select(axis, torch.from_numpy(index))
    at = np.minimum(np.maximum((pixels + np.float32(0.5)) * np.float32(step) - np.float32(0.5), 0), last)
    low = np.floor(at).astype(np.int64)
    fraction = torch.from_numpy(at - low).float().reshape(-1, *[1] * (x.dim() - axis - 1))
    below = x.index_select(axis, torch.from_numpy(low))
    above = x.index_select(axis, torch.from_numpy(np.minimum(low + 1, last)))
    return below + fraction * (above - below)
