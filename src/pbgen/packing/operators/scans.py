"""What is made of all values up to each place along an axis: sums, products, extremes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pbgen.packing import sizes
from pbgen.packing.call import Call
from pbgen.packing.operators.views import padded
from pbgen.packing.sizes import Count
from pbgen.packing.step import Step, Weight
from pbgen.packing.term import LARGEST, Term, make

MOST_SUMMED = 1024  # by one triangle
BLOCK = 128  # of a longer axis, each summed by itself


def cumsum(call: Call) -> Step:
    """Sums up to each place: the product with a triangle of ones. Of an axis that is long, or of free size, blocks are
    summed so, and to each is added what the blocks before it make."""
    x, axis = call.value(), call.axis()
    axes = list(range(len(x.shape)))
    axes[axis], axes[-1] = axes[-1], axes[axis]
    swapped = call.permute(x, axes)
    size = swapped.shape[-1]
    short = isinstance(size, int) and size <= MOST_SUMMED
    return call.permute(_summed(call, swapped) if short else _summed_in_blocks(call, swapped), axes)


def _summed(call: Call, x: Step) -> Step:
    size = int(x.shape[-1])
    weight = Weight(np.tril(np.ones((size, size), np.float32)))
    return Step("linear", call.name, x.shape, [x], weight=weight, scale=np.ones(size), shift=np.zeros(size))


def _summed_in_blocks(call: Call, x: Step) -> Step:
    *others, size = x.shape
    last, blocks = len(x.shape), sizes.floor_divided(sizes.count(size + BLOCK - 1), BLOCK)
    whole = padded(call, x, [0, sizes.count(blocks * BLOCK - size)])
    within = _summed(call, call.reshape(whole, (*others, blocks, BLOCK)))
    totals = call.slice(within, last, BLOCK - 1, 1)
    earlier = call.map(
        lambda one, other: make("lt", other, one),
        call.reshape(call.range(blocks), (blocks, 1)),
        call.range(blocks),
        shape=(blocks, blocks),
    )
    before = call.matmul(earlier, totals)
    made = call.map(lambda a, b: a + b, within, before, shape=within.shape)
    return call.slice(call.reshape(made, whole.shape), last - 1, 0, size)


def scanned(call: Call, function: Callable[[Term, Term], Term], neutral: float) -> Step:
    """Each value joined with that one place before it, these with those two before, and so on."""
    x, axis = call.value(), call.axis()
    size = x.shape[axis]
    if not isinstance(size, int):
        raise call.refuse("along an axis of free size cannot be packed; of a fixed one it can")
    before = 1
    while before < size:
        edges: list[Count] = [0, 0] * (len(x.shape) - 1 - axis) + [before, 0]
        earlier = call.slice(padded(call, x, edges, value=neutral), axis, 0, size)
        x = call.map(function, earlier, x, shape=x.shape)
        before *= 2
    return x


def extreme(call: Call, op: str, neutral: float) -> list[Any]:
    """The values alone: where they are, a packed file does not say."""
    return [scanned(call, partial(make, op), neutral), None]


OPERATORS: dict[str, Callable[[Call], Any]] = {
    "cumsum": cumsum,
    "cumprod": partial(scanned, function=lambda a, b: a * b, neutral=1.0),
    "cummax": partial(extreme, op="max", neutral=-LARGEST),
    "cummin": partial(extreme, op="min", neutral=LARGEST),
}
