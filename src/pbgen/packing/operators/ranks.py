"""Values in the order of their size: sorted, the largest, the one in the middle."""

from collections.abc import Callable
from functools import partial
from typing import Any

import sympy

from pbgen.packing import sizes
from pbgen.packing.call import Call
from pbgen.packing.sizes import Count
from pbgen.packing.step import Step
from pbgen.packing.term import Term, make


def ordered(call: Call, x: Step, axis: int, descending: bool, first: Count, count: Count) -> list[Step]:
    """Of the values along an axis, in their order, `count` from the `first` on, and their places.

    A value's rank is how many stand before it; what has a wanted rank is picked by it. That takes as many comparisons
    as there are pairs, no memory, and works at any size.
    """
    size = x.shape[axis]

    def along(value: Step, one: int) -> Step:
        """The value with the axis as one of two, the other of size 1."""
        return call.reshape(value, (*x.shape[:axis], *((size, 1) if one == 0 else (1, size)), *x.shape[axis + 1 :]))

    def numbers(count: Count, one: int) -> Step:
        shape = (count, 1) if one == 0 else (1, count)
        return call.reshape(call.range(count), (*shape, *[1] * (len(x.shape) - 1 - axis)))

    def stands_before(other: Term, own: Term, place: Term, own_place: Term) -> Term:
        equal = make("eq", other, own) * make("lt", place, own_place)
        return make("gt" if descending else "lt", other, own) + equal

    places = numbers(size, 0)
    rank = call.reduce("sum", [axis], along(x, 0), along(x, 1), places, numbers(size, 1), function=stands_before)
    rank = along(call.reshape(rank, x.shape), 0)
    wanted = numbers(count, 1)

    def picked(values: Step) -> Step:
        made = call.reduce(
            "sum",
            [axis],
            values,
            rank,
            wanted,
            sympy.sympify(first),
            function=lambda v, r, w, f: make("where", make("eq", r, w + f), v, 0.0),
        )
        return call.reshape(made, (*x.shape[:axis], count, *x.shape[axis + 1 :]))

    return [picked(along(x, 0)), picked(places)]


def sort(call: Call) -> list[Step]:
    x, axis = call.value(), call.axis()
    return ordered(call, x, axis, bool(call["descending"]), 0, x.shape[axis])


def argsort(call: Call) -> Step:
    return sort(call)[1]


def topk(call: Call) -> list[Step]:
    return ordered(call, call.value(), call.axis(), bool(call["largest"]), 0, call["k"])


def one_of(call: Call, which: Callable[[Call, Count], Count]) -> Any:
    """The value of one rank along an axis, and its place; without an axis, the value of all."""
    x = call.value()
    if call.get("dim") is None:
        x, axis = call.reshape(x, (sizes.product(x.shape),)), 0
    else:
        axis = call.axis()
    found = ordered(call, x, axis, False, which(call, x.shape[axis]), 1)
    return found if call.results else found[0]


OPERATORS: dict[str, Callable[[Call], Any]] = {
    "sort": sort,
    "argsort": argsort,
    "topk": topk,
    "kthvalue": partial(one_of, which=lambda call, size: sizes.count(call["k"] - 1)),
    "median": partial(one_of, which=lambda call, size: sizes.floor_divided(sizes.count(size - 1), 2)),
}
