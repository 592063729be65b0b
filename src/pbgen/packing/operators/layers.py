"""Convolutions and linear layers, of fixed weights and of computed ones."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from pbgen.packing import sizes
from pbgen.packing.call import Call, numbers_of
from pbgen.packing.export import Constant
from pbgen.packing.sizes import Count, Counts
from pbgen.packing.step import Step
from pbgen.packing.term import make, power

MOST_IMAGES = 64  # that a convolution takes apart, where the module makes a batch of one image
MOST_REPEATED = 2**22  # weights, where they are repeated for each of such a batch


def conv(call: Call) -> Step:
    kernel = _kernel(call)
    dilation, padding = _each(call["dilation"], len(kernel)), call["padding"]
    if padding == "same":  # where it cannot be even, the odd pixel stands at the high edge
        padding = [d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True)]
    return _convolution(call, "conv", kernel, _each(0 if padding == "valid" else padding, len(kernel)))


def conv_transpose(call: Call) -> Step:
    kernel = _kernel(call)
    return _convolution(call, "conv_transpose", kernel, _each(call["padding"], len(kernel)))


def convolution(call: Call) -> Step:
    """The one operator that torch's own decompositions end in."""
    return conv_transpose(call) if call["transposed"] else conv(call)


def _kernel(call: Call) -> list[int]:
    kernel = list(_shape_of(call["weight"])[2:])
    if not all(isinstance(size, int) for size in kernel):
        raise call.refuse("its kernel has a free size")
    if len(kernel) > 2:
        raise call.refuse("three-dimensional convolutions cannot be packed")
    return kernel


def _convolution(call: Call, op: str, kernel: list[int], padding: list[int]) -> Step:
    attributes = {
        "kernel": kernel,
        "stride": _each(call["stride"], len(kernel)),
        "padding": padding,
        "dilation": _each(call["dilation"], len(kernel)),
        "groups": call["groups"],
    }
    x, shape = call.value("input"), call.shape
    if len(x.shape) == 1 + len(kernel):  # one image without a batch
        x, shape = call.reshape(x, (1, *x.shape)), (1, *shape)
    if x.shape[0] == 1:
        return _layer(call, op, x, shape, attributes)
    images, weights = x.shape[0], sizes.product(_shape_of(call["weight"]))
    if not isinstance(images, int):
        raise call.refuse("its input is a batch made of one image, as large as the image; only a fixed number can be")
    if images > MOST_IMAGES and not (isinstance(weights, int) and images * weights <= MOST_REPEATED):
        raise call.refuse(f"its input is a batch of {images} made of one image; at most {MOST_IMAGES} can be packed")
    if images > MOST_IMAGES or x.shape[1] == attributes["groups"]:
        return _images_as_groups(call, op, x, shape, attributes)
    parts = [_layer(call, op, call.slice(x, 0, i, 1), (1, *shape[1:]), attributes) for i in range(images)]
    return call.concat(parts, 0)


def _images_as_groups(call: Call, op: str, x: Step, shape: Counts, attributes: dict[str, Any]) -> Step:
    """A batch as the channels of one image, a group of channels for each of the batch, by weights that repeat."""
    images = x.shape[0]
    groups = sizes.product([images, attributes["groups"]])
    repeated = {name: _repeated(call, call[name], images) for name in ("weight", "bias")}
    wide = replace(call, arguments=call.arguments | repeated | {"groups": groups})
    side_by_side = call.reshape(x, (1, sizes.product(x.shape[:2]), *x.shape[2:]))
    made = (1, sizes.product(shape[:2]), *shape[2:])
    return call.reshape(_layer(wide, op, side_by_side, made, attributes | {"groups": groups}), shape)


def _repeated(call: Call, value: Any, times: Count) -> Any:
    """A weight or bias several times along its first axis."""
    if isinstance(value, Constant):
        return replace(value, tensor=value.tensor.repeat(times, *[1] * (value.tensor.dim() - 1)))
    if value is None:
        return None
    step = call.as_value(value)
    many = call.expand(call.reshape(step, (1, *step.shape)), (times, *step.shape))
    return call.reshape(many, (sizes.product([times, step.shape[0]]), *step.shape[1:]))


def _shape_of(value: Any) -> Counts:
    return tuple(value.tensor.shape) if isinstance(value, Constant) else value.shape


def linear(call: Call) -> Step:
    return _layer(call, "linear", call.value("input"), call.shape, {})


def _layer(call: Call, op: str, x: Step, shape: Counts, attributes: dict[str, Any]) -> Step:
    weight, bias = call["weight"], call["bias"]
    if not isinstance(weight, Constant):
        return _of_computed_weight(call, op, x, shape, attributes)
    groups = attributes.get("groups", 1)
    values, scale = call.weights.get(weight, op, groups)
    axis = -1 if op == "linear" else 1
    channels = values.values.shape[1] * groups
    if not isinstance(x.shape[axis], int):  # as after a flattened image of free size: the engine checks that it fits
        axis %= len(x.shape)
        x = call.reshape(x, (*x.shape[:axis], channels, *x.shape[axis + 1 :]))
    fixed = isinstance(bias, Constant)
    shift = numbers_of(bias) if fixed else np.zeros(len(scale))
    made = list(shape)
    made[axis] = len(scale)
    step = Step(op, call.name, tuple(made), [x], attributes, weight=values, scale=scale, shift=shift)
    return step if fixed or bias is None else _add_bias(call, step, bias)


def _of_computed_weight(call: Call, op: str, x: Step, shape: Counts, attributes: dict[str, Any]) -> Step:
    weight = call.value("weight")
    if op == "linear":
        step = call.matmul(x if len(x.shape) > 1 else call.reshape(x, (1, *x.shape)), call.permute(weight, [1, 0]))
        return step if call["bias"] is None else call.map(lambda a, b: a + b, call.reshape(step, shape), call["bias"])
    if op == "conv_transpose":
        groups, (inputs, outputs, *kernel) = call["groups"], weight.shape
        if not isinstance(inputs, int):
            raise call.refuse("its weight has a free number of channels")
        apart = call.reshape(weight, (groups, inputs // groups, outputs, *kernel))
        swapped = call.permute(apart, [0, 2, 1, *range(3, 3 + len(kernel))])
        weight = call.reshape(swapped, (groups * outputs, inputs // groups, *kernel))
    step = Step(op, call.name, shape, [x, weight], attributes)
    if not isinstance(weight.shape[0], int):
        raise call.refuse("its weight has a free number of channels")
    step.scale, step.shift = np.ones(weight.shape[0]), np.zeros(weight.shape[0])
    if isinstance(call["bias"], Constant):
        step.shift = numbers_of(call["bias"])
        return step
    return step if call["bias"] is None else _add_bias(call, step, call["bias"])


def _add_bias(call: Call, step: Step, bias: Any) -> Step:
    bias = call.as_value(bias)
    along = (1, bias.shape[0], *[1] * (len(step.shape) - 2)) if step.op != "linear" else bias.shape
    return call.map(lambda a, b: a + b, step, call.reshape(bias, along), shape=step.shape)


def addmm(call: Call) -> Step:
    """beta * self + alpha * (a @ b)."""
    names = {"addmm": ("mat1", "mat2"), "addmv": ("mat", "vec"), "baddbmm": ("batch1", "batch2")}
    product = matmul(call, *names[call.operator])
    return call.map(lambda x, y, b, a: b * x + a * y, call["self"], product, call["beta"], call["alpha"])


def matmul(call: Call, left: str = "self", right: str = "other") -> Step:
    a, b = call[left], call[right]
    if _is_matrix(b):
        return _linear(call, call.as_value(a), b, b.tensor.flatten(0, -2).t())
    if _is_matrix(a):
        x = call.as_value(b)
        swap = [*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2] if len(x.shape) > 1 else [0]
        return call.permute(_linear(call, call.permute(x, swap), a, a.tensor.flatten(0, -2)), swap)
    a, b = call.as_value(a), call.as_value(b)
    if len(a.shape) == 1:
        a = call.reshape(a, (1, *a.shape))
    if len(b.shape) == 1:
        b = call.reshape(b, (*b.shape, 1))
    return call.matmul(a, b)


def _is_matrix(value: Any) -> bool:
    """Whether it is one matrix of weights, whatever it is multiplied with."""
    if not isinstance(value, Constant):
        return False
    return value.tensor.dim() == 2 or (value.tensor.dim() == 3 and len(value.tensor) == 1)


def _linear(call: Call, x: Step, source: Constant, weight: Tensor) -> Step:
    """x with its last axis multiplied by a weight of shape (outputs, inputs)."""
    values, scale = call.weights.get(Constant(source.name, weight, source.binary), "linear", 1)
    shape = (*x.shape[:-1], len(scale))
    return Step("linear", call.name, shape, [x], weight=values, scale=scale, shift=np.zeros(len(scale)))


def dot(call: Call) -> Step:
    x = call.reduce("sum", [0], *call.arguments.values(), function=lambda a, b: a * b)
    return call.reshape(x, call.shape)


def trilinear(call: Call) -> Step:
    """The sum over axes of three values' product, each with axes of size 1 put in."""
    values = [call.value(name) for name in ("i1", "i2", "i3")]
    dims = len(values[0].shape) + len(call["expand1"])
    apart = []
    for value, axes in zip(values, ("expand1", "expand2", "expand3"), strict=True):
        left = iter(value.shape)
        apart.append(call.reshape(value, [1 if axis in call[axes] else next(left) for axis in range(dims)]))
    return call.reduce("sum", call["sumdim"], *apart, function=lambda a, b, c: a * b * c)


def cdist(call: Call) -> Step:
    """Distances of all rows of one from all rows of the other."""
    a, b, order = call.value("x1"), call.value("x2"), float(call["p"])
    a = call.reshape(a, (*a.shape[:-1], 1, a.shape[-1]))
    b = call.reshape(b, (*b.shape[:-2], 1, *b.shape[-2:]))
    axis = len(a.shape) - 1
    if math.isinf(order):
        return call.reduce("max", [axis], a, b, function=lambda x, y: make("abs", x - y))
    total = call.reduce("sum", [axis], a, b, function=lambda x, y: power(make("abs", x - y), order))
    return call.map(lambda s: power(s, 1 / order), total, shape=total.shape)


def _each(value: Any, dims: int) -> list[int]:
    """One integer a dimension; torch also accepts one for all of them."""
    values = [value] if isinstance(value, int) else list(value)
    return values * dims if len(values) == 1 else values


OPERATORS: dict[str, Callable[[Call], Any]] = {
    "conv1d": conv,
    "conv2d": conv,
    "conv_transpose1d": conv_transpose,
    "conv_transpose2d": conv_transpose,
    "convolution": convolution,
    "linear": linear,
    "matmul": matmul,
    "mm": partial(matmul, right="mat2"),
    "bmm": partial(matmul, right="mat2"),
    "mv": partial(matmul, right="vec"),
    "addmm": addmm,
    "addmv": addmm,
    "baddbmm": addmm,
    "dot": dot,
    "_trilinear": trilinear,
    "_cdist_forward": cdist,
    "cdist": cdist,
}
