"""Sums, means, extremes, variances and norms over axes."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import sympy

from pbgen.packing import sizes
from pbgen.packing.call import Call
from pbgen.packing.operators.elementwise import truth
from pbgen.packing.step import Step
from pbgen.packing.term import Term, make, number, power

Function = Callable[..., Term]

MOST_FACTORS = 16  # along an axis whose product is wanted


def _axes(call: Call, x: Step, argument: str = "dim") -> list[int]:
    """The axes to reduce: all of them where none is named."""
    given = call.get(argument)
    dims = len(x.shape)
    if given is None or given == []:
        return list(range(dims))
    return sorted({axis % dims for axis in (given if isinstance(given, list | tuple) else [given])})


def reduce(call: Call, kind: str, function: Function = lambda x: x) -> Step:
    x = call.value()
    return call.reduce(kind, _axes(call, x), x, function=function)


def extreme(call: Call, kind: str) -> Any:
    """max and min along an axis, which also say where: values alone can be packed. Without an axis, the value."""
    result = reduce(call, kind)
    return [result, _where_extreme(call, kind)] if call.results else result


def arg_extreme(call: Call, kind: str) -> Step:
    return _where_extreme(call, kind)


def _where_extreme(call: Call, kind: str) -> Step:
    """The first place of the extreme along an axis: the smallest number of those that have it."""
    x = call.value()
    if call.get("dim") is None:
        x, axis = call.reshape(x, (sizes.product(x.shape),)), 0
    else:
        axis = call.axis()
    most = call.reduce(kind, [axis], x)
    places = call.reshape(call.range(x.shape[axis]), (x.shape[axis], *[1] * (len(x.shape) - 1 - axis)))
    return call.reduce(
        "min", [axis], x, most, places, function=lambda x, m, i: make("where", make("eq", x, m), i, 2.0**24)
    )


def variance(call: Call, root: bool) -> Step:
    x = call.value()
    axes = _axes(call, x)
    mean = call.reduce("mean", axes, x)
    return _about(call, x, mean, axes, root)


def variance_and_mean(call: Call, root: bool) -> list[Step]:
    x = call.value()
    axes = _axes(call, x)
    mean = call.reduce("mean", axes, x)
    return [_about(call, x, mean, axes, root), mean]


def _about(call: Call, x: Step, mean: Step, axes: list[int], root: bool) -> Step:
    squares = call.reduce("mean", axes, x, mean, function=lambda x, m: (x - m) * (x - m))
    count = number(sympy.sympify(sizes.product([x.shape[axis] for axis in axes])))
    correction = call.get("correction")
    if "unbiased" in call.arguments:
        correction = int(call["unbiased"])
    less = count - float(1 if correction is None else correction)

    def corrected(s: Term) -> Term:
        variance = s * (count / less)
        return make("sqrt", variance) if root else variance

    return call.map(corrected, squares, shape=squares.shape)


def norm(call: Call) -> Step:
    """The p-norm over axes; of all numbers where none is named."""
    x = call.value()
    axes = _axes(call, x)
    order = call.get("ord", call.get("p"))
    order = 2.0 if order is None else float(order)
    if math.isinf(order):
        return call.reduce("max" if order > 0 else "min", axes, x, function=partial(make, "abs"))
    if order == 0:
        return call.reduce("sum", axes, x, function=truth)
    if order == 1:
        return call.reduce("sum", axes, x, function=partial(make, "abs"))
    total = call.reduce("sum", axes, x, function=lambda x: x * x if order == 2 else power(make("abs", x), order))
    return call.map(lambda s: power(s, 1 / order), total, shape=total.shape)


def product(call: Call) -> Step:
    """Of a fixed number of factors, one after another."""
    x = call.value()
    if call.get("dim") is None:
        x, axis = call.reshape(x, (sizes.product(x.shape),)), 0
    else:
        axis = call.axis()
    count = x.shape[axis]
    if not isinstance(count, int) or count > MOST_FACTORS:
        raise call.refuse(f"along an axis of {sizes.said(count)} cannot be packed; up to {MOST_FACTORS} can")
    factors = [call.slice(x, axis, index, 1) for index in range(count)]
    return call.map(lambda *terms: math.prod(terms, start=number(1.0)), *factors, shape=factors[0].shape)


def logsumexp(call: Call) -> Step:
    x = call.value()
    axes = _axes(call, x)
    most = call.reduce("max", axes, x)
    total = call.reduce("sum", axes, x, most, function=lambda x, m: make("exp", x - m))
    return call.map(lambda m, s: m + make("log", s), most, total, shape=total.shape)


OPERATORS: dict[str, Callable[[Call], Any]] = {
    "sum": partial(reduce, kind="sum"),
    "mean": partial(reduce, kind="mean"),
    "amax": partial(reduce, kind="max"),
    "amin": partial(reduce, kind="min"),
    "any": partial(reduce, kind="max", function=truth),
    "all": partial(reduce, kind="min", function=truth),
    "max": partial(extreme, kind="max"),
    "min": partial(extreme, kind="min"),
    "argmax": partial(arg_extreme, kind="max"),
    "argmin": partial(arg_extreme, kind="min"),
    "var": partial(variance, root=False),
    "std": partial(variance, root=True),
    "var_mean": partial(variance_and_mean, root=False),
    "std_mean": partial(variance_and_mean, root=True),
    "linalg_vector_norm": norm,
    "norm": norm,
    "prod": product,
    "logsumexp": logsumexp,
}
