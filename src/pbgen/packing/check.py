"""Whether a graph and its tensors are what docs/format.md allows. The engine's loader is the strict one."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbgen.errors import PBGenError
from pbgen.packing.graph import Graph, Node, weight_shape

ACTIVATIONS = ("none", "relu", "leaky_relu", "tanh", "sigmoid")
MAX_VALUE = 2**28  # numbers in one value
MAX_ATTRIBUTE = 2**20  # kernel, stride, dilation, groups, and the padding of an ordinary convolution
MAX_FACTOR = 2**14
MAX_STEP = 2.0**28
MAX_SLOPE = 1e6

_DTYPES = {"|u1": "U8", "<f4": "F32", "<f2": "F16"}
_TENSORS = ("weight", "scale", "shift")
_EPILOGUE = {"scale", "shift", "activation", "slope"}
_CONVOLUTION = {"weight", "kernel", "stride", "padding", "dilation", "groups"}
_REQUIRED = {
    "conv_transpose": _CONVOLUTION,
    "conv": _CONVOLUTION,
    "linear": {"weight"},
    "affine": set(),
    "add": set(),
    "concat": {"axis"},
    "reshape": set(),
    "upsample": {"mode", "step"},
    "pixel_shuffle": {"factor"},
}
_OPTIONAL = {
    "conv_transpose": _EPILOGUE,
    "conv": _EPILOGUE,
    "linear": _EPILOGUE,
    "affine": _EPILOGUE,
    "upsample": {"align_corners"},
}


def check(graph: Graph, tensors: dict[str, NDArray[Any]]) -> None:
    """Raises PBGenError naming the first node that is wrong, and what is."""
    _shape("the input", graph.input)
    for number, node in enumerate(graph.nodes):
        where = f'{node.op} "{node.name}"'
        _require(where, node.op in _REQUIRED, "unknown operator")
        _require(where, bool(node.inputs) and max(node.inputs) <= number, "reads a value made after it, or none")
        _shape(where, node.shape)
        _arity_and_attributes(where, node)
        _CHECKS[node.op](where, graph, node)
        _epilogue(where, node)
        _tensors(where, graph, node, tensors)
    named = {node.attributes.get(key) for node in graph.nodes for key in _TENSORS}
    for name in tensors:
        _require("the graph", name in named, f"no node uses tensor {name}")
    _require("the graph", 0 < graph.output <= len(graph.nodes), f"ends in value {graph.output}, which no node makes")


def _require(where: str, condition: bool, wrong: str) -> None:
    if not condition:
        raise PBGenError(f"{where}: {wrong}")


def _shape(where: str, shape: tuple[int, ...]) -> None:
    right = 1 <= len(shape) <= 3 and min(shape) >= 1 and math.prod(shape) <= MAX_VALUE
    _require(where, right, f"has shape {list(shape)}; it needs one to three dimensions and at most 2^28 numbers")


def _arity_and_attributes(where: str, node: Node) -> None:
    several = node.op in ("add", "concat")
    right = len(node.inputs) > 1 if several else len(node.inputs) == 1
    _require(where, right, f"needs {'two values or more' if several else 'one value'}")
    given, required = set(node.attributes), _REQUIRED[node.op]
    _require(where, required <= given, f"lacks {', '.join(sorted(required - given))}")
    unknown = given - required - _OPTIONAL.get(node.op, set())
    _require(where, not unknown, f"has unknown attributes {', '.join(sorted(unknown))}")


def _epilogue(where: str, node: Node) -> None:
    activation, slope = node.attributes.get("activation", "none"), node.attributes.get("slope")
    _require(where, activation in ACTIVATIONS, f"unknown activation {activation!r}")
    _require(where, (slope is not None) == (activation == "leaky_relu"), "slope belongs to leaky_relu, and to it alone")
    if slope is not None:
        right = type(slope) in (int, float) and abs(slope) <= MAX_SLOPE
        _require(where, right, f"slope {slope!r} should be a number of at most {MAX_SLOPE:.0f}")


def _tensors(where: str, graph: Graph, node: Node, tensors: dict[str, NDArray[Any]]) -> None:
    for attribute in _TENSORS:
        if attribute not in node.attributes:
            continue
        name = node.attributes[attribute]
        _require(where, isinstance(name, str) and name in tensors, f"its {attribute} {name!r} is not in the file")
        tensor = tensors[name]
        shape = weight_shape(graph, node) if attribute == "weight" else node.shape[:1]
        if tensor.dtype == np.uint8 and attribute == "weight":
            shape = (-(-math.prod(shape) // 8),)
        _require(where, tensor.shape == shape, f"tensor {name} has shape {list(tensor.shape)}, expected {list(shape)}")
        dtypes = ("U8", "F32", "F16") if attribute == "weight" else ("F32", "F16")
        right = _DTYPES.get(tensor.dtype.str) in dtypes
        _require(where, right, f"tensor {name} holds {tensor.dtype}, expected {' or '.join(dtypes)}")


def _convolution(where: str, graph: Graph, node: Node) -> None:
    source, dims = graph.shape(node.inputs[0]), len(node.shape) - 1
    _require(where, len(source) == len(node.shape) and dims > 0, "needs [C, L] or [C, H, W] and keeps the dimensions")
    for name in ("kernel", "stride", "padding", "dilation"):
        low, high = (0, 2**62) if name == "padding" else (1, MAX_ATTRIBUTE)
        right = _integers(node.attributes[name], dims, low, high)
        _require(where, right, f"{name} needs an integer a dimension, {low} .. {high}")
    groups = node.attributes["groups"]
    right = _integers([groups], 1, 1, MAX_ATTRIBUTE)
    _require(where, right, f"groups needs an integer, 1 .. {MAX_ATTRIBUTE}")
    _require(where, source[0] % groups == 0 == node.shape[0] % groups, f"{groups} groups do not divide its channels")
    extent = _conv_transpose_extent if node.op == "conv_transpose" else _conv_extent
    sizes = (node.attributes[name] for name in ("kernel", "stride", "padding", "dilation"))
    for size, output, kernel, stride, padding, dilation in zip(source[1:], node.shape[1:], *sizes, strict=True):
        extent(where, size, output, dilation * (kernel - 1), stride, padding, dilation)


def _conv_transpose_extent(
    where: str, size: int, output: int, reach: int, stride: int, padding: int, dilation: int
) -> None:
    _require(where, padding <= reach, f"padding {padding} is beyond its kernel, which reaches {reach}")
    most = (size - 1) * stride - padding + reach + 1 + max(stride, dilation)
    _require(where, output <= most, f"its output of {output} is beyond {most}, where the kernel ends")


def _conv_extent(where: str, size: int, output: int, reach: int, stride: int, padding: int, dilation: int) -> None:
    _require(where, padding <= MAX_ATTRIBUTE, f"padding {padding} is beyond {MAX_ATTRIBUTE}")
    _require(where, (output - 1) * stride - padding <= size + padding, f"its output of {output} is beyond its input")


def _integers(values: Any, count: int, low: int, high: int) -> bool:
    listed = isinstance(values, list | tuple) and len(values) == count
    return listed and all(type(value) is int and low <= value <= high for value in values)


def _linear(where: str, graph: Graph, node: Node) -> None:
    _require(where, len(node.shape) == len(graph.shape(node.inputs[0])) == 1, "needs [C_in] and makes [C_out]")


def _same_shape(where: str, graph: Graph, node: Node) -> None:
    shapes = {graph.shape(value) for value in node.inputs}
    _require(where, shapes == {node.shape}, f"shapes {sorted(shapes)} and {node.shape} should be the same")


def _concat(where: str, graph: Graph, node: Node) -> None:
    axis, shapes = node.attributes["axis"], [graph.shape(value) for value in node.inputs]
    _require(where, type(axis) is int and 0 <= axis < len(node.shape), f"axis {axis!r} is none of its own")
    for shape in shapes:
        rest = shape[:axis] + node.shape[axis : axis + 1] + shape[axis + 1 :]
        fits = len(shape) == len(node.shape) and rest == node.shape
        _require(where, fits, f"{list(shape)} does not fit {list(node.shape)}")
    _require(where, sum(shape[axis] for shape in shapes) == node.shape[axis], "its parts do not add up to it")


def _reshape(where: str, graph: Graph, node: Node) -> None:
    source = graph.shape(node.inputs[0])
    _require(where, math.prod(source) == math.prod(node.shape), f"{list(source)} and {list(node.shape)} differ in size")


def _upsample(where: str, graph: Graph, node: Node) -> None:
    source, mode, steps = graph.shape(node.inputs[0]), node.attributes["mode"], node.attributes["step"]
    _require(where, mode in ("nearest", "bilinear"), f"unknown mode {mode!r}")
    _require(where, len(source) == len(node.shape) >= (2 if mode == "nearest" else 3), f"{mode} of {list(source)}")
    _require(where, source[0] == node.shape[0], "changes the number of channels")
    numbers = isinstance(steps, list | tuple) and all(type(step) in (int, float) for step in steps)
    _require(where, numbers and len(steps) == len(source) - 1, "step needs a number a dimension")
    _require(where, all(0 <= step <= MAX_STEP for step in steps), f"step needs numbers in 0 .. {MAX_STEP:.0f}")
    _require(where, (mode == "bilinear") == ("align_corners" in node.attributes), "align_corners belongs to bilinear")
    _require(where, type(node.attributes.get("align_corners", False)) is bool, "align_corners needs true or false")


def _pixel_shuffle(where: str, graph: Graph, node: Node) -> None:
    source, factor = graph.shape(node.inputs[0]), node.attributes["factor"]
    _require(
        where, _integers([factor], 1, 1, MAX_FACTOR) and len(source) == 3, "needs [C, H, W] and a whole factor from 1"
    )
    channels, *size = node.shape
    expected = (channels * factor**2, *(pixels // factor for pixels in size))
    _require(where, source == expected and not any(p % factor for p in size), f"{list(source)} to {list(node.shape)}")


_CHECKS: dict[str, Callable[[str, Graph, Node], None]] = {
    "conv_transpose": _convolution,
    "conv": _convolution,
    "linear": _linear,
    "affine": _same_shape,
    "add": _same_shape,
    "concat": _concat,
    "reshape": _reshape,
    "upsample": _upsample,
    "pixel_shuffle": _pixel_shuffle,
}
