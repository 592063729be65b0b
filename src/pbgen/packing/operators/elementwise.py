"""Operators that make each element by itself, as programs: activations, arithmetic, comparisons, casts."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from pbgen.packing.call import Call
from pbgen.packing.step import Step
from pbgen.packing.term import LARGEST, Term, make, number, power

Function = Callable[..., Term]

_MOST = 1e9  # the tangent of what is a right angle in float32


def unary(name: str) -> Function:
    return lambda x, *options: make(name, x)


def relu(x: Term) -> Term:
    return make("relu", x)


def leaky(x: Term, slope: Any) -> Term:
    return make("leaky", x, slope)


def sigmoid(x: Term, *_: Any) -> Term:
    return make("sigmoid", x)


def silu(x: Term) -> Term:
    return x * sigmoid(x)


def mish(x: Term) -> Term:
    return x * make("tanh", make("log1p", make("exp", x)))


def softplus(x: Term, beta: Term, threshold: Term) -> Term:
    scaled = x * beta
    return where(make("gt", scaled, threshold), x, make("log1p", make("exp", scaled)) / beta)


def elu(x: Term, alpha: Any = 1.0, scale: Any = 1.0, input_scale: Any = 1.0) -> Term:
    alpha, scale, input_scale = map(number, (alpha, scale, input_scale))
    return where(make("gt", x, 0.0), x * scale, make("expm1", x * input_scale) * (alpha * scale))


def selu(x: Term) -> Term:
    return elu(x, 1.6732632423543772, 1.0507009873554805)


def celu(x: Term, alpha: Term) -> Term:
    return elu(x, alpha, 1.0, 1.0 / alpha)


def gelu(x: Term, approximate: str = "none") -> Term:
    if approximate == "tanh":
        return 0.5 * x * (1.0 + make("tanh", math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))
    return 0.5 * x * (1.0 + make("erf", x * math.sqrt(0.5)))


def clamp(x: Term, low: Any = None, high: Any = None) -> Term:
    x = x if low is None else make("max", x, low)
    return x if high is None else make("min", x, high)


def hardsigmoid(x: Term) -> Term:
    return clamp(x + 3.0, 0.0, 6.0) / 6.0


def hardswish(x: Term) -> Term:
    return x * hardsigmoid(x)


def log_sigmoid(x: Term) -> Term:
    return make("min", x, 0.0) - make("log1p", make("exp", -make("abs", x)))


def threshold(x: Term, limit: Term, value: Term) -> Term:
    return where(make("gt", x, limit), x, value)


def softshrink(x: Term, limit: Term) -> Term:
    return where(make("gt", x, limit), x - limit, where(make("lt", x, -limit), x + limit, 0.0 * x))


def hardshrink(x: Term, limit: Term) -> Term:
    return where(make("gt", make("abs", x), limit), x, 0.0)


def where(condition: Any, yes: Any, no: Any) -> Term:
    return make("where", condition, yes, no)


def truncated(x: Term) -> Term:
    return where(make("lt", x, 0.0), make("ceil", x), make("floor", x))


def add(x: Any, y: Any, alpha: Any = 1.0) -> Term:
    return number(x) + number(y) * number(alpha)


def sub(x: Any, y: Any, alpha: Any = 1.0) -> Term:
    return number(x) - number(y) * number(alpha)


def rsub(x: Any, y: Any, alpha: Any = 1.0) -> Term:
    return sub(y, x, alpha)


def div(x: Any, y: Any, rounding_mode: str | None = None) -> Term:
    quotient = number(x) / number(y)
    if rounding_mode is None:
        return quotient
    return make("floor", quotient) if rounding_mode == "floor" else truncated(quotient)


def fmod(x: Term, y: Term) -> Term:
    return x - truncated(x / y) * y


def truth(x: Any) -> Term:
    return make("ne", x, 0.0)


def logical_not(x: Term) -> Term:
    return make("eq", x, 0.0)


def logical_and(x: Any, y: Any) -> Term:
    return truth(x) * truth(y)


def logical_or(x: Any, y: Any) -> Term:
    return make("max", truth(x), truth(y))


def logical_xor(x: Any, y: Any) -> Term:
    return make("ne", truth(x), truth(y))


def round_to(x: Term, decimals: Any = 0) -> Term:
    places = int(number(decimals).value)
    return make("round", x) if places == 0 else make("round", x * 10.0**places) / 10.0**places


def nan_to_num(x: Term, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Term:
    x = where(make("ne", x, x), 0.0 if nan is None else nan, x)
    high, low = LARGEST if posinf is None else posinf, -LARGEST if neginf is None else neginf
    return where(make("gt", x, LARGEST), high, where(make("lt", x, -LARGEST), low, x))


def atan(x: Term) -> Term:
    """By the half angle, three times, so that |x| is at most 0.2; then Taylor's series. Of larger numbers than the
    bound it is the same, and their squares have no end."""
    x = clamp(x, -_MOST, _MOST)
    for _ in range(3):
        x = x / (1.0 + make("sqrt", 1.0 + x * x))
    square = x * x
    series = number(1 / 9)
    for term in (-1 / 7, 1 / 5, -1 / 3, 1.0):
        series = series * square + term
    return 8.0 * x * series


def atan2(y: Any, x: Any) -> Term:
    """The angle of a vector; that of none is 0."""
    y, x = number(y), number(x)
    acute = atan(where(make("eq", y, 0.0), 0.0, y / make("abs", x)))
    return where(signbit(x), where(signbit(y), -math.pi, math.pi) - acute, acute)


def signbit(x: Term) -> Term:
    """Also of a zero that has one, whose inverse is infinity with it."""
    return make("lt", x + 1.0 / x, 0.0)


def asin(x: Term) -> Term:
    return atan(x / make("sqrt", (1.0 - x) * (1.0 + x)))


def _elementwise(call: Call, function: Function) -> Step:
    return call.map(function, *(value for name, value in call.arguments.items() if name not in _IGNORED))


def _cast(call: Call) -> Step:
    x = call.value()
    if call.dtype == torch.bool and call.read_dtype != torch.bool:
        return call.map(truth, x)
    if call.read_dtype.is_floating_point and not call.dtype.is_floating_point:
        return call.map(truncated, x)
    return x


def _bitwise(call: Call, function: Function) -> Step:
    if call.dtype != torch.bool:
        raise call.refuse("of integers cannot be packed, of what is true or false it can")
    return _elementwise(call, function)


def _prelu(call: Call) -> Step:
    x, weight = call.value("self"), call["weight"]
    step = None if getattr(weight, "tensor", None) is not None and weight.tensor.numel() == 1 else call.as_value(weight)
    if step is not None and len(x.shape) > 1:
        step = call.reshape(step, (1, step.shape[0], *[1] * (len(x.shape) - 2)))
    return call.map(leaky, x, weight if step is None else step)


def _glu(call: Call) -> Step:
    x, axis = call.value(), call.axis()
    half = call.shape[axis]
    halves = [call.slice(x, axis, start, half) for start in (0, half)]
    return call.map(lambda a, b: a * sigmoid(b), *halves)


def _dropout(call: Call) -> Any:
    if call["train"]:
        raise call.refuse("drops numbers at random; call it with training=self.training")
    return [call.value(), None] if call.results else call.value()


def _rrelu(call: Call) -> Step:
    if call["training"]:
        raise call.refuse("draws slopes at random; call it with training=self.training")
    return call.map(lambda x, lower, upper: leaky(x, (lower + upper) / 2.0), call.value(), call["lower"], call["upper"])


def _same(call: Call) -> Step:
    return call.value()


def _copied(call: Call) -> Step:
    return call.expand(call.value("src"), call.shape)


_IGNORED = {
    "inplace",
    "memory_format",
    "layout",
    "device",
    "pin_memory",
    "non_blocking",
    "generator",
    "dtype",
}

_FUNCTIONS: dict[str, Function] = {
    **{name: unary(name) for name in ("neg", "abs", "sign", "sqrt", "rsqrt", "exp", "expm1", "log", "log1p")},
    **{name: unary(name) for name in ("sin", "cos", "tanh", "erf", "floor", "ceil", "relu", "sigmoid")},
    "round": round_to,
    "negative": unary("neg"),
    "trunc": truncated,
    "frac": lambda x: x - truncated(x),
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1.0 / x,
    "exp2": lambda x: make("exp", x * math.log(2)),
    "log2": lambda x: make("log", x) / math.log(2),
    "log10": lambda x: make("log", x) / math.log(10),
    "tan": lambda x: make("sin", x) / make("cos", x),
    "sinh": lambda x: (make("exp", x) - make("exp", -x)) / 2.0,
    "cosh": lambda x: (make("exp", x) + make("exp", -x)) / 2.0,
    "asinh": lambda x: make("sign", x) * make("log", make("abs", x) + make("sqrt", x * x + 1.0)),
    "acosh": lambda x: make("log", x + make("sqrt", x * x - 1.0)),
    "atanh": lambda x: (make("log1p", x) - make("log1p", -x)) / 2.0,
    "atan": atan,
    "atan2": atan2,
    "asin": asin,
    "acos": lambda x: math.pi / 2 - asin(x),
    "signbit": signbit,
    "erfc": lambda x: 1.0 - make("erf", x),
    "sinc": lambda x: where(make("eq", x, 0.0), 1.0, make("sin", x * math.pi) / (x * math.pi)),
    "logit": lambda x, eps=None: (lambda y: make("log", y / (1.0 - y)))(x if eps is None else clamp(x, eps, 1.0 - eps)),
    "relu6": lambda x: clamp(x, 0.0, 6.0),
    "leaky_relu": leaky,
    "silu": silu,
    "mish": mish,
    "softplus": softplus,
    "elu": elu,
    "selu": selu,
    "celu": celu,
    "gelu": gelu,
    "hardtanh": clamp,
    "hardsigmoid": hardsigmoid,
    "hardswish": hardswish,
    "log_sigmoid": log_sigmoid,
    "threshold": threshold,
    "softshrink": softshrink,
    "hardshrink": hardshrink,
    "clamp": clamp,
    "clip": clamp,
    "clamp_min": clamp,
    "clamp_max": lambda x, high: clamp(x, None, high),
    "maximum": partial(make, "max"),
    "minimum": partial(make, "min"),
    "fmax": partial(make, "max"),
    "fmin": partial(make, "min"),
    "max.other": partial(make, "max"),
    "min.other": partial(make, "min"),
    "add": add,
    "sub": sub,
    "subtract": sub,
    "rsub": rsub,
    "mul": lambda x, y: number(x) * number(y),
    "multiply": lambda x, y: number(x) * number(y),
    "div": div,
    "divide": div,
    "true_divide": div,
    "floor_divide": lambda x, y: div(x, y, "floor"),
    "remainder": partial(make, "mod"),
    "fmod": fmod,
    "pow": lambda x, y: power(number(x), y),
    "hypot": lambda x, y: make("sqrt", x * x + y * y),
    "lerp": lambda x, y, weight: x + weight * (y - x),
    "addcmul": lambda x, a, b, value=1.0: x + value * (a * b),
    "addcdiv": lambda x, a, b, value=1.0: x + value * (a / b),
    "where": where,
    "masked_fill": lambda x, mask, value: where(mask, value, x),
    **{name: partial(make, name) for name in ("lt", "le", "gt", "ge", "eq", "ne")},
    "isnan": lambda x: make("ne", x, x),
    "nan_to_num": nan_to_num,
    "logical_not": logical_not,
    "logical_and": logical_and,
    "logical_or": logical_or,
    "logical_xor": logical_xor,
}

_BITS: dict[str, Function] = {
    "bitwise_not": logical_not,
    "bitwise_and": logical_and,
    "bitwise_or": logical_or,
    "bitwise_xor": logical_xor,
}

OPERATORS: dict[str, Callable[[Call], Any]] = {
    **{name: partial(_elementwise, function=function) for name, function in _FUNCTIONS.items()},
    **{name: partial(_bitwise, function=function) for name, function in _BITS.items()},
    "rrelu": _rrelu,
    "rrelu_with_noise": _rrelu,
    "prelu": _prelu,
    "_prelu_kernel": _prelu,
    "glu": _glu,
    "_to_copy": _cast,
    "convert_element_type": _cast,
    "copy": _copied,
    **dict.fromkeys(("clone", "detach", "alias", "contiguous", "lift_fresh_copy"), _same),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"), _dropout),
    "native_dropout": _dropout,
}
