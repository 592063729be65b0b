"""The layers of docs/format.md by torch's own, which want another order of weights and padding alike at both edges."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pbgen.packing.graph import Graph, Node, weight_shape
from pbgen.packing.planes import unpack_planes

Attributes = dict[str, Any]

_CONV = {3: F.conv1d, 4: F.conv2d}  # by the dimensions of a value
_CONV_TRANSPOSE = {3: F.conv_transpose1d, 4: F.conv_transpose2d}


def layer_numbers(graph: Graph, node: Node, tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """A layer's numbers as torch wants them: the scale in the weights, transposed ones input channel first.

    Made once: other engines are given this module, and it is timed.
    """
    names = {name: node.attributes[name] for name in ("weight", "scale", "shift") if name in node.attributes}
    found = {name: tensors[tensor] for name, tensor in names.items()}
    if "weight" in found and found["weight"].dtype == np.uint8:
        shape = weight_shape(graph, node)
        found["weight"] = unpack_planes(found["weight"], math.prod(shape)).reshape(shape)
    if "weight" in found and "scale" in found:
        weight, scale = found["weight"], found.pop("scale").astype(np.float32)
        found["weight"] = weight.astype(np.float32) * scale.reshape(-1, *[1] * (weight.ndim - 1))
    if "weight" in found and node.op == "conv_transpose":
        found["weight"] = input_first(found["weight"], node.attributes["groups"])
    return {name: np.array(numbers, np.float32, order="C") for name, numbers in found.items()}


def layer(
    node: Node, x: Tensor, weight: Tensor, scale: Tensor | None, shift: Tensor | None, shape: Sequence[int]
) -> Tensor:
    """scale * s + shift. `weight` is as `layer_numbers` makes it, or one that is computed, in canonical order."""
    if "weight" not in node.attributes:
        if scale is not None:
            weight = weight * scale.reshape(-1, *[1] * (weight.dim() - 1))
        if node.op == "conv_transpose":
            weight = input_first(weight, node.attributes["groups"])
    if node.op == "linear":
        return F.linear(x, weight, shift)
    return (_conv if node.op == "conv" else _conv_transpose)(x, weight, shift, shape, node.attributes)


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None, shape: Sequence[int], attributes: Attributes) -> Tensor:
    kernel, stride, padding, dilation, groups = _geometry(attributes)
    sizes = list(zip(x.shape[2:], shape[2:], kernel, stride, padding, dilation, strict=True))
    if not all(out == (size + 2 * p - d * (k - 1) - 1) // s + 1 for size, out, k, s, p, d in sizes):
        edges = [(p, (out - 1) * s + d * (k - 1) + 1 - size - p) for size, out, k, s, p, d in sizes]
        x, padding = F.pad(x, [edge for pair in reversed(edges) for edge in pair]), [0] * len(padding)
    return _CONV[x.dim()](x, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(
    x: Tensor, weight: Tensor, bias: Tensor | None, shape: Sequence[int], attributes: Attributes
) -> Tensor:
    kernel, stride, padding, dilation, groups = _geometry(attributes)
    sizes = list(zip(x.shape[2:], shape[2:], kernel, stride, padding, dilation, strict=True))
    rest = [int(out - ((size - 1) * s - 2 * p + d * (k - 1) + 1)) for size, out, k, s, p, d in sizes]
    operator = _CONV_TRANSPOSE[x.dim()]
    if all(0 <= r < max(s, d) for r, s, d in zip(rest, stride, dilation, strict=True)):
        return operator(x, weight, bias, stride, padding, rest, groups, dilation)
    # torch drops as much at both edges; what it cannot say is cut out of, or added to, the whole.
    whole = operator(x, weight, None, stride, 0, 0, groups, dilation)
    edges = [(-p, out + p - full) for p, out, full in zip(padding, shape[2:], whole.shape[2:], strict=True)]
    image = F.pad(whole, [edge for pair in reversed(edges) for edge in pair])
    return image if bias is None else image + bias.reshape(-1, *[1] * (x.dim() - 2))


def input_first(weight: Any, groups: int) -> Any:
    """From (C_out, C_in / groups, ...) to torch's (C_in, C_out / groups, ...), a group at a time."""
    outputs, inputs, *kernel = weight.shape
    return (
        weight.reshape(groups, outputs // groups, inputs, *kernel)
        .swapaxes(1, 2)
        .reshape(-1, outputs // groups, *kernel)
    )


def _geometry(attributes: Attributes) -> tuple[list[int], list[int], list[int], list[int], int]:
    kernel, stride, padding, dilation = (list(attributes[n]) for n in ("kernel", "stride", "padding", "dilation"))
    return kernel, stride, padding, dilation, attributes["groups"]
