"""Values of a free size that depend on no other: ranges, zeros, ones, and masks of triangles."""

from collections.abc import Callable
from functools import partial
from typing import Any

import sympy

from pbgen.packing.call import Call
from pbgen.packing.step import Step
from pbgen.packing.term import Term, make, number


def arange(call: Call) -> Step:
    return call.range(call.shape[0], call.get("start") or 0, call.get("step") or 1)


def linspace(call: Call) -> Step:
    """Evenly from start to end."""
    size = call.shape[0]
    steps = number(sympy.sympify(size)) - 1.0
    start, end = call["start"], call["end"]
    return call.map(lambda i, a, b: a + i * ((b - a) / steps), call.range(size), start, end)


def filled(call: Call, value: Any = None) -> Step:
    value = call.get("fill_value", call.get("value")) if value is None else value
    return call.map(lambda v: number(v), value if not isinstance(value, bool) else float(value))


def triangle(call: Call, lower: bool) -> Step:
    """Zeros on one side of a diagonal."""
    x, diagonal = call.value(), call["diagonal"]
    rows = call.reshape(call.range(x.shape[-2]), (x.shape[-2], 1))
    columns = call.range(x.shape[-1])

    def kept(x: Term, row: Term, column: Term, shift: Term) -> Term:
        return make("where", make("le" if lower else "ge", column, row + shift), x, 0.0)

    return call.map(kept, x, rows, columns, diagonal)


def eye(call: Call) -> Step:
    rows = call.reshape(call.range(call.shape[0]), (call.shape[0], 1))
    return call.map(lambda r, c: make("eq", r, c), rows, call.range(call.shape[1]))


def meshgrid(call: Call) -> list[Step]:
    values = [call.as_value(value) for value in call["tensors"]]
    order = list(range(len(values)))
    if call.get("indexing") == "xy" and len(values) > 1:
        order[0], order[1] = 1, 0
    grids = []
    for value, axis in zip(values, order, strict=True):
        size = value.shape[0]
        shape = (*[1] * axis, size, *[1] * (len(values) - 1 - axis))
        grids.append(call.expand(call.reshape(value, shape), call.results[0]))
    return grids


_ZEROS = ("zeros", "zeros_like", "new_zeros", "empty", "empty_like", "new_empty", "zero", "empty_permuted")

OPERATORS: dict[str, Callable[[Call], Any]] = {
    "arange": arange,
    "iota": arange,
    "linspace": linspace,
    **dict.fromkeys(_ZEROS, partial(filled, value=0.0)),
    **dict.fromkeys(("ones", "ones_like", "new_ones"), partial(filled, value=1.0)),
    **dict.fromkeys(("full", "full_like", "new_full", "fill", "scalar_tensor"), filled),
    "tril": partial(triangle, lower=True),
    "triu": partial(triangle, lower=False),
    "eye": eye,
    "meshgrid": meshgrid,
}
OPERATORS["scalar_tensor"] = lambda call: filled(call, call["s"])
