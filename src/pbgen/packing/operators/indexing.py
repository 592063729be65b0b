"""Values picked by indices: embeddings, one-hot, index arithmetic."""

from collections.abc import Callable
from typing import Any

import sympy
import torch

from pbgen.packing import sizes
from pbgen.packing.call import Call, broadcast
from pbgen.packing.export import Constant
from pbgen.packing.picked import Picked
from pbgen.packing.step import Step
from pbgen.packing.term import Term, make


def embedding(call: Call) -> Step:
    return _take(call, call.value("weight"), 0, call.value("indices"))


def index_select(call: Call) -> Step:
    return _take(call, call.value("self"), call.axis(), call.value("index"))


def index(call: Call) -> Step | Picked:
    """x[..., i, j, ...] where neighbouring axes have indices: one index into these axes made one; or x[mask]."""
    x, given = call.value("self"), call["indices"]
    if call.dtypes["indices"] == torch.bool and all(one is None for one in given[:-1]):
        return Picked(x, call.as_value(given[-1]), len(given) - 1)
    axes = [axis for axis, one in enumerate(given) if one is not None]
    if axes != list(range(axes[0], axes[-1] + 1)):
        raise call.refuse("its indices stand in axes that are no neighbours")
    first, sizes_there = axes[0], [x.shape[axis] for axis in axes]
    parts = [not_negative(call, given[axis], x.shape[axis]) for axis in axes]
    flat, stride = parts[-1], sizes_there[-1]
    for part, size in zip(reversed(parts[:-1]), reversed(sizes_there[:-1]), strict=True):
        shape = broadcast([part.shape, flat.shape])
        flat = call.map(lambda far, near, s: far * s + near, part, flat, sympy.sympify(stride), shape=shape)
        stride = sizes.product([stride, size])
    joined = call.reshape(x, (*x.shape[:first], sizes.product(sizes_there), *x.shape[axes[-1] + 1 :]))
    return _take(call, joined, first, flat)


def not_negative(call: Call, given: Any, size: Any) -> Step:
    """Indices that count from the end, counted from the beginning."""
    if isinstance(given, Constant):
        if given.tensor.dtype.is_floating_point or given.tensor.is_complex() or str(given.tensor.dtype) == "torch.bool":
            raise call.refuse("its indices are no integers")
        if isinstance(size, int) or int(given.tensor.min()) >= 0:
            size = size if isinstance(size, int) else int(given.tensor.max()) + 1
            return call.constant((given.tensor % size).numpy())
    indices = call.as_value(given)
    wrap: Callable[..., Term] = lambda i, s: make("where", make("lt", i, 0.0), i + s, i)  # noqa: E731
    return call.map(wrap, indices, sympy.sympify(size), shape=indices.shape)


def _take(call: Call, values: Step, axis: int, indices: Step) -> Step:
    shape = (*values.shape[:axis], *indices.shape, *values.shape[axis + 1 :])
    return call.step("take", shape, [values, indices], axis=axis)


def gather(call: Call) -> Step:
    """Along an axis that is the only one where the values differ from place to place: all others as in `self`."""
    x, axis, indices = call.value("self"), call.axis(), call.value("index")
    flat, stride = None, sympy.Integer(1)
    for dim in reversed(range(len(x.shape))):
        ones = [1] * (len(x.shape) - 1 - dim)
        part = indices if dim == axis else call.reshape(call.range(indices.shape[dim]), (indices.shape[dim], *ones))
        step = stride
        if flat is None:
            flat = part
        else:
            shape = broadcast([part.shape, flat.shape])
            flat = call.map(lambda far, near, s: far * s + near, part, flat, step, shape=shape)
        stride = sympy.sympify(sizes.product([sizes.count(stride), x.shape[dim]]))
    assert flat is not None
    return _take(call, call.reshape(x, (sizes.product(x.shape),)), 0, flat)


def one_hot(call: Call) -> Step:
    x, classes = call.value("self"), call["num_classes"]
    if classes == -1:
        raise call.refuse("its number of classes hangs on the values; give num_classes")
    return call.map(lambda i, c: make("eq", i, c), call.reshape(x, (*call.shape[:-1], 1)), call.range(classes))


OPERATORS: dict[str, Callable[[Call], Any]] = {
    "embedding": embedding,
    "index_select": index_select,
    "index": index,
    "_unsafe_index": index,
    "gather": gather,
    "one_hot": one_hot,
}
