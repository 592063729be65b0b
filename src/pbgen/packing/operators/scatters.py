"""Values written, or added, where a mask or indices say."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from pbgen.packing.call import Call
from pbgen.packing.operators.elementwise import truth
from pbgen.packing.operators.indexing import not_negative
from pbgen.packing.picked import REFUSED, Picked
from pbgen.packing.step import Step
from pbgen.packing.term import make

PLACED = "values cannot be written or added where indices of several axes say (F.fold adds up frames that overlap)"


def index_put(call: Call) -> Step:
    """`x[:, mask] = value`, and `x[:, [0, 2]] = values`."""
    x, indices = call.value("self"), call["indices"]
    axis = len(indices) - 1
    if any(one is not None for one in indices[:-1]):
        raise call.refuse(PLACED)
    if call.dtypes["indices"] == torch.bool:
        return _masked(call, x, axis, call.as_value(indices[-1]))
    index = not_negative(call, indices[-1], x.shape[axis])
    if len(index.shape) != 1:
        raise call.refuse(PLACED)
    rest = x.shape[axis + 1 :]
    return _written(
        call,
        x,
        axis,
        call.reshape(index, (*[1] * axis, *index.shape, *[1] * len(rest))),
        call.expand(call.as_value(call["values"]), (*x.shape[:axis], *index.shape, *rest)),
        call["accumulate"],
    )


def _masked(call: Call, x: Step, axis: int, mask: Step) -> Step:
    """One value for all places, or one for each of those that the mask does not tell apart; or what it picks."""
    picked, rest = call["values"], len(x.shape) - axis - len(mask.shape)
    if call["accumulate"]:
        raise call.refuse("values cannot be added where a mask says; torch.where picks what to add")
    if isinstance(picked, Picked):
        if picked.whole.shape != x.shape or not picked.written_by(mask, axis):
            raise call.refuse(REFUSED)
        values = picked.whole
    else:
        values = call.as_value(picked)
        if any(size != 1 for size in values.shape[: max(0, len(values.shape) - rest)]):
            raise call.refuse("as many values as a mask has places cannot be written; one can, or torch.where picks")
        values = call.reshape(values, values.shape[max(0, len(values.shape) - rest) :] or (1,))
    mask = call.reshape(mask, (*[1] * axis, *mask.shape, *[1] * rest))
    return call.map(lambda x, m, v: make("where", truth(m), v, x), x, mask, values)


def scatter(call: Call, add: bool = False) -> Step:
    x, axis, index = call.value("self"), call.axis(), call.value("index")
    given = call.get("src", call.get("value"))
    beside = [size for at, size in enumerate(x.shape) if at != axis]
    if call.get("reduce") is not None:
        raise call.refuse(f"reduce={call['reduce']!r} cannot be packed")
    if [size for at, size in enumerate(index.shape) if at != axis] != beside:
        raise call.refuse("writes to a part of the other axes; write to a slice of the value")
    if isinstance(given, Step) and given.shape != index.shape:
        raise call.refuse("takes a part of its source; give a slice of it")
    return _written(call, x, axis, index, given, add)


def _written(call: Call, x: Step, axis: int, index: Step, values: Any, add: bool) -> Step:
    """`x` with values at the places along an axis that the indices there say, the last of those that say the same.

    Every place is compared with every index, which takes no memory.
    """
    count, size = index.shape[axis], x.shape[axis]
    ones = [1] * (len(x.shape) - 1 - axis)

    def apart(value: Any) -> Any:
        """With an axis of size 1 for the places, after that of the indices."""
        if not isinstance(value, Step):
            return value
        return call.reshape(value, (*value.shape[: axis + 1], 1, *value.shape[axis + 1 :]))

    def whole(value: Step) -> Step:
        return call.reshape(value, (*value.shape[:axis], *value.shape[axis + 1 :]))

    places = call.reshape(call.range(size), (size, *ones))
    numbers = call.reshape(call.range(count, start=1), (count, 1, *ones))
    index, values = apart(index), apart(call.weights.as_step(values) if hasattr(values, "tensor") else values)
    if add:
        added = call.reduce(
            "sum",
            [axis],
            index,
            places,
            values,
            function=lambda i, p, v: make("where", make("eq", i, p), v, 0.0),
        )
        return call.map(lambda x, a: x + a, x, whole(added))
    last = call.reduce(
        "max", [axis], index, places, numbers, function=lambda i, p, n: make("where", make("eq", i, p), n, 0.0)
    )
    if isinstance(values, Step):
        values = whole(
            call.reduce(
                "sum", [axis], last, numbers, values, function=lambda i, n, v: make("where", make("eq", i, n), v, 0.0)
            )
        )
    return call.map(lambda x, i, v: make("where", truth(i), v, x), x, whole(last), values)


OPERATORS: dict[str, Callable[[Call], Any]] = {
    "index_put": index_put,
    "scatter": scatter,
    "scatter_add": partial(scatter, add=True),
}
