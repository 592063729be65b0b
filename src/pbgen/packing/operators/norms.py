"""Normalizations: batch norm by its running statistics, the others by those of the image."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pbgen.packing import sizes
from pbgen.packing.call import Call, numbers_of
from pbgen.packing.export import Constant
from pbgen.packing.step import Step
from pbgen.packing.term import Term, make


def batch_norm(call: Call) -> Any:
    """By the statistics of the batch at hand, that of one image, it is an instance norm."""
    x = call.value("input")
    if by_batch(call.arguments):
        own = [axis for axis in (0, *range(2, len(x.shape))) if x.shape[axis] != 1]
        result = _affine(call, _normalized(call, x, own), call["weight"], call["bias"])
    else:
        result = _by_running_statistics(call, x)
    return [result, None, None, None, None] if call.results else result


def by_batch(arguments: Mapping[str, Any]) -> bool:
    """Whether a batch norm, if it is one, has no statistics of its own."""
    return bool(arguments.get("training") or arguments.get("train") or arguments.get("running_mean") is None)


def instance_norm(call: Call) -> Step:
    x = call.value("input")
    if not call["use_input_stats"]:
        return _by_running_statistics(call, x)
    axes = range(2, len(x.shape))
    return _affine(call, _normalized(call, x, axes), call["weight"], call["bias"])


def _by_running_statistics(call: Call, x: Step) -> Step:
    given = [call[name] for name in ("running_mean", "running_var", "weight", "bias")]
    if not all(value is None or isinstance(value, Constant) for value in given):
        means, variances = (_along_channels(call, x, value) for value in given[:2])
        y = call.map(lambda x, m, v, e: (x - m) * make("rsqrt", v + e), x, means, variances, call["eps"])
        return _affine(call, y, call["weight"], call["bias"])
    mean, variance, weight, bias = (value if value is None else numbers_of(value) for value in given)
    scale = (1.0 if weight is None else weight) / np.sqrt(variance + call["eps"])
    shift = (0.0 if bias is None else bias) - mean * scale
    along = (1, -1, *[1] * (len(x.shape) - 2))
    constants = [call.constant(numbers.reshape(along)) for numbers in (scale, shift)]
    return call.map(lambda x, s, t: x * s + t, x, *constants)


def group_norm(call: Call) -> Any:
    x, groups = call.value(), call.get("num_groups", call.get("group"))
    within = sizes.floor_divided(x.shape[1], groups)
    apart = call.reshape(x, (1, groups, within, *x.shape[2:]))
    mean, deviation = _statistics(call, apart, range(2, len(apart.shape)))
    each = (1, groups, within, *[1] * (len(x.shape) - 2))
    channels = (1, x.shape[1], *[1] * (len(x.shape) - 2))
    mean, deviation = (call.reshape(call.expand(part, each), channels) for part in (mean, deviation))
    y = call.map(lambda x, m, d: (x - m) * d, x, mean, deviation, shape=x.shape)
    result = _affine(call, y, call["weight"], call["bias"])
    return [result, None, None] if call.results else result


def layer_norm(call: Call) -> Any:
    x = call.value("input")
    dims = len(call["normalized_shape"])
    y = _normalized(call, x, range(len(x.shape) - dims, len(x.shape)))
    for function, part in ((lambda a, b: a * b, call["weight"]), (lambda a, b: a + b, call["bias"])):
        y = y if part is None else call.map(function, y, part, shape=x.shape)
    return [y, None, None] if call.results else y


def rms_norm(call: Call) -> Step:
    x = call.value("input")
    axes = range(len(x.shape) - len(call["normalized_shape"]), len(x.shape))
    square = call.reduce("mean", axes, x, function=lambda x: x * x)
    eps = 1.1920929e-07 if call["eps"] is None else call["eps"]
    y = call.map(lambda x, s, e: x * make("rsqrt", s + e), x, square, eps)
    return y if call["weight"] is None else call.map(lambda a, b: a * b, y, call["weight"])


def _normalized(call: Call, x: Step, axes: Sequence[int]) -> Step:
    mean, deviation = _statistics(call, x, axes)
    return call.map(lambda x, m, d: (x - m) * d, x, mean, deviation, shape=x.shape)


def _statistics(call: Call, x: Step, axes: Sequence[int]) -> tuple[Step, Step]:
    """Mean and 1 / sqrt(variance + eps): the variance as the mean of squared distances, which is exact."""
    mean = call.reduce("mean", axes, x)
    variance = call.reduce("mean", axes, x, mean, function=lambda x, m: (x - m) * (x - m))
    return mean, call.map(lambda v, e: make("rsqrt", v + e), variance, call["eps"], shape=variance.shape)


def _affine(call: Call, x: Step, weight: Any, bias: Any) -> Step:
    if weight is not None:
        x = call.map(lambda a, b: a * b, x, _along_channels(call, x, weight), shape=x.shape)
    if bias is not None:
        x = call.map(lambda a, b: a + b, x, _along_channels(call, x, bias), shape=x.shape)
    return x


def _along_channels(call: Call, x: Step, value: Any) -> Step:
    if isinstance(value, Constant):
        return call.constant(numbers_of(value).reshape(1, -1, *[1] * (len(x.shape) - 2)))
    step = call.as_value(value)
    return call.reshape(step, (1, sizes.product(step.shape), *[1] * (len(x.shape) - 2)))


def softmax(call: Call) -> Step:
    return softmaxed(call, call.value(), call.axis())


def softmaxed(call: Call, x: Step, axis: int) -> Step:
    most = call.reduce("max", [axis], x)
    powers = call.map(lambda x, m: make("exp", x - m), x, most, shape=x.shape)
    total = call.reduce("sum", [axis], powers)
    return call.map(lambda e, s: e / s, powers, total, shape=x.shape)


def log_softmax(call: Call) -> Step:
    x, axis = call.value(), call.axis()
    most = call.reduce("max", [axis], x)
    total = call.reduce("sum", [axis], x, most, function=lambda x, m: make("exp", x - m))
    return call.map(_log_softmax, x, most, total)


def _log_softmax(x: Term, most: Term, total: Term) -> Term:
    return x - (most + make("log", total))


BATCH_NORMS = (
    "batch_norm",
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_functional",
    "_native_batch_norm_legit_no_training",
)

OPERATORS: dict[str, Callable[[Call], Any]] = {
    **dict.fromkeys(BATCH_NORMS, batch_norm),
    "instance_norm": instance_norm,
    "group_norm": group_norm,
    "native_group_norm": group_norm,
    "layer_norm": layer_norm,
    "native_layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "softmax": softmax,
    "_softmax": softmax,
    "log_softmax": log_softmax,
    "_log_softmax": log_softmax,
}
