"""Operators that only say where numbers stand: shapes, axes, parts, repetitions, padding."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import sympy

from pbgen.packing import sizes
from pbgen.packing.call import Call
from pbgen.packing.sizes import Count
from pbgen.packing.step import Step
from pbgen.packing.term import LARGEST, Term, make


def reshape(call: Call) -> Step:
    return call.reshape(call.value(), call.shape)


def permute(call: Call) -> Step:
    x = call.value()
    return call.permute(x, [axis % len(x.shape) for axis in call["dims"]])


def transpose(call: Call) -> Step:
    x = call.value()
    if len(x.shape) < 2:
        return x
    first, second = (0, 1) if "dim0" not in call.arguments else (call.axis("dim0"), call.axis("dim1"))
    axes = list(range(len(x.shape)))
    axes[first], axes[second] = axes[second], axes[first]
    return call.permute(x, axes)


def reversed_axes(call: Call) -> Step:
    x = call.value()
    return call.permute(x, list(reversed(range(len(x.shape)))))


def expand(call: Call) -> Step:
    return call.expand(call.value(), call.shape)


def part(call: Call) -> Step:
    """slice: from `start` to `end`, negative ones counted from the end."""
    x, axis, step = call.value(), call.axis(), call["step"]
    start = _inside(call, call["start"] or 0, x.shape[axis])
    return call.slice(x, axis, start, call.shape[axis], step)


def _inside(call: Call, start: Count, size: Count) -> Count:
    if call.at(start) >= 0:
        return start
    return sizes.larger(sizes.count(size + start), 0)


def narrow(call: Call) -> Step:
    x, axis = call.value(), call.axis()
    return call.slice(x, axis, _inside(call, call["start"], x.shape[axis]), call["length"])


def select(call: Call) -> Step:
    x, axis = call.value(), call.axis()
    index = call["index"]
    index = index if call.at(index) >= 0 else sizes.count(x.shape[axis] + index)
    return call.reshape(call.slice(x, axis, index, 1), call.shape)


def split(call: Call) -> list[Step]:
    """Parts of the sizes that torch says, one after another."""
    x, axis = call.value(), call.axis()
    parts, start = [], 0
    for shape in call.results:
        parts.append(call.slice(x, axis, start, shape[axis]))
        start = sizes.count(start + shape[axis])
    return parts


def unbind(call: Call) -> list[Step]:
    x, axis = call.value(), call.axis()
    parts = [call.slice(x, axis, index, 1) for index in range(len(call.results))]
    return [call.reshape(one, shape) for one, shape in zip(parts, call.results, strict=True)]


def concatenate(call: Call) -> Step:
    values = [call.as_value(value) for value in call["tensors"] if not _empty(value)]
    return values[0] if len(values) == 1 else call.concat(values, call["dim"] % len(call.shape))


def _empty(value: Any) -> bool:
    return 0 in (value.shape if isinstance(value, Step) else value.tensor.shape)


def stack(call: Call) -> Step:
    axis = call["dim"] % len(call.shape)
    shape = (*call.shape[:axis], 1, *call.shape[axis + 1 :])
    values = [call.reshape(call.as_value(value), shape) for value in call["tensors"]]
    return values[0] if len(values) == 1 else call.concat(values, axis)


def flip(call: Call) -> Step:
    x = call.value()
    for axis in call["dims"]:
        axis %= len(x.shape)
        size = x.shape[axis]
        x = call.slice(x, axis, sizes.count(size - 1), size, -1)
    return x


def roll(call: Call) -> Step:
    x, shifts, axes = call.value(), _listed(call["shifts"]), _listed(call["dims"])
    if not axes:
        x, axes = call.reshape(x, (sizes.product(x.shape),)), [0]
    for shift, axis in zip(shifts, axes, strict=True):
        axis %= len(x.shape)
        size = x.shape[axis]
        if isinstance(size, int) and isinstance(shift, int):
            shift %= size
            if shift == 0:
                continue
        elif call.at(shift) < 0:
            shift = sizes.count(size + shift)
        rest = sizes.count(size - shift)
        x = call.concat([call.slice(x, axis, rest, shift), call.slice(x, axis, 0, rest)], axis)
    return x


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def repeat(call: Call) -> Step:
    x, times = call.value(), call["repeats"]
    missing = len(times) - len(x.shape)
    x = call.reshape(x, (1,) * missing + x.shape) if missing > 0 else x
    for axis, count in enumerate(times):
        if count != 1:
            x = _repeated(call, x, axis, count, each=False)
    return x


def repeat_interleave(call: Call) -> Step:
    x = call.value()
    if call["dim"] is None:
        x = call.reshape(x, (sizes.product(x.shape),))
    return _repeated(call, x, (call["dim"] or 0) % len(x.shape), call["repeats"], each=True)


def _repeated(call: Call, x: Step, axis: int, times: Count, each: bool) -> Step:
    """The whole axis several times, or each of its numbers."""
    if x.shape[axis] == 1:
        return call.expand(x, (*x.shape[:axis], times, *x.shape[axis + 1 :]))
    at = axis + 1 if each else axis
    apart = call.reshape(x, (*x.shape[:at], 1, *x.shape[at:]))
    more = call.expand(apart, (*x.shape[:at], times, *x.shape[at:]))
    size = sizes.product([x.shape[axis], times])
    return call.reshape(more, (*x.shape[:axis], size, *x.shape[axis + 1 :]))


def pixel_shuffle(call: Call) -> Step:
    x, factor = call.value(), call["upscale_factor"]
    *lead, channels, height, width = call.shape
    apart = call.reshape(x, (*lead, channels, factor, factor, *x.shape[-2:]))
    n = len(lead)
    mixed = call.permute(apart, [*range(n), n, n + 3, n + 1, n + 4, n + 2])
    return call.reshape(mixed, (*lead, channels, height, width))


def pixel_unshuffle(call: Call) -> Step:
    x, factor = call.value(), call["downscale_factor"]
    *lead, channels, _, _ = x.shape
    height, width = call.shape[-2:]
    apart = call.reshape(x, (*lead, channels, height, factor, width, factor))
    n = len(lead)
    mixed = call.permute(apart, [*range(n), n, n + 2, n + 4, n + 1, n + 3])
    return call.reshape(mixed, (*lead, sizes.product([channels, factor, factor]), height, width))


def channel_shuffle(call: Call) -> Step:
    x, groups = call.value(), call["groups"]
    apart = call.reshape(x, (1, groups, sizes.floor_divided(x.shape[1], groups), *x.shape[2:]))
    return call.reshape(call.permute(apart, [0, 2, 1, *range(3, len(apart.shape))]), x.shape)


def pad(call: Call, mode: str = "") -> Step:
    mode = mode or call.get("mode", "constant")
    value = call.get("value")
    edges = call.get("pad", call.get("padding"))
    return padded(call, call.value(), edges, mode, 0.0 if value is None else value)


def padded(call: Call, x: Step, edges: Sequence[Count], mode: str = "constant", value: Any = 0.0) -> Step:
    """`edges` as torch has them: low and high edge of the last dimension, of the one before, ... Negative ones crop."""
    dims = len(x.shape)
    before: list[Count] = [0] * dims
    after: list[Count] = [0] * dims
    for number in range(len(edges) // 2):
        axis, (low, high) = dims - 1 - number, edges[2 * number : 2 * number + 2]
        cut_low, cut_high = _outside(low), _outside(high)
        if cut_low != 0 or cut_high != 0:
            x = call.slice(x, axis, cut_low, sizes.count(x.shape[axis] - cut_low - cut_high))
        before[axis] = sizes.count(low + cut_low)
        after[axis] = sizes.count(high + cut_high)
    shape = [sizes.count(size + low + high) for size, low, high in zip(x.shape, before, after, strict=True)]
    if isinstance(value, float | int) and math.isinf(value):
        value = math.copysign(LARGEST, value)
    attributes: dict[str, Any] = {"before": before, "mode": mode}
    if mode == "constant":
        attributes["value"] = float(value)
    return call.step("pad", shape, [x], **attributes)


def _outside(edge: Count) -> Count:
    """How much an edge crops: what it is below 0."""
    return max(-edge, 0) if isinstance(edge, int) else sizes.larger(sizes.count(-edge), 0)


def slice_scatter(call: Call) -> Step:
    """`self` with `src` in the place of a slice."""
    x, source, axis = call.value("self"), call.value("src"), call.axis()
    start = _inside(call, call["start"] or 0, x.shape[axis])
    if call["step"] != 1:
        return _with_every(call, x, source, axis, start, call["step"])
    return _with_part(call, x, source, axis, start)


def _with_every(call: Call, x: Step, source: Step, axis: int, start: Count, step: int) -> Step:
    """`x` with the source's elements at every so many places."""
    size, count = x.shape[axis], source.shape[axis]
    places, begin, end = call.range(size), sympy.sympify(start), sympy.sympify(count)

    def number(place: Term, begin: Term) -> Term:
        return (place - begin) / float(step)

    def inside(place: Term, begin: Term, end: Term) -> Term:
        return make("max", make("min", make("floor", number(place, begin)), end - 1.0), 0.0)

    def written(x: Term, new: Term, place: Term, begin: Term, end: Term) -> Term:
        at = number(place, begin)
        here = make("eq", at, make("floor", at)) * make("ge", at, 0.0) * make("lt", at, end)
        return make("where", here, new, x)

    index = call.map(inside, places, begin, end, shape=places.shape)
    spread = call.step("take", (*source.shape[:axis], size, *source.shape[axis + 1 :]), [source, index], axis=axis)
    along = call.reshape(places, (size, *[1] * (len(x.shape) - 1 - axis)))
    return call.map(written, x, spread, along, begin, end, shape=x.shape)


def select_scatter(call: Call) -> Step:
    x, axis, index = call.value("self"), call.axis(), call["index"]
    index = index if call.at(index) >= 0 else sizes.count(x.shape[axis] + index)
    source = call.reshape(call.value("src"), (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    return _with_part(call, x, source, axis, index)


def _with_part(call: Call, x: Step, source: Step, axis: int, start: Count) -> Step:
    end = sizes.count(start + source.shape[axis])
    after = sizes.count(x.shape[axis] - end)
    parts = [source]
    if call.at(start) > 0:
        parts.insert(0, call.slice(x, axis, 0, start))
    if call.at(after) > 0:
        parts.append(call.slice(x, axis, end, after))
    return parts[0] if len(parts) == 1 else call.concat(parts, axis)


def unfold(call: Call) -> Step:
    """Windows of an axis, along a new last one."""
    x, axis, size, step = call.value(), call.axis("dimension"), call["size"], call["step"]
    windows = call.shape[axis]
    starts = call.reshape(call.range(windows, 0, step), (windows, 1))
    places = call.map(lambda a, b: a + b, starts, call.range(size), shape=(windows, size))
    taken = call.step("take", (*x.shape[:axis], windows, size, *x.shape[axis + 1 :]), [x, places], axis=axis)
    rest = range(axis + 2, len(taken.shape))
    return call.permute(taken, [*range(axis + 1), *rest, axis + 1])


_RESHAPES = ("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "flatten", "unflatten", "view_as", "reshape_as")

OPERATORS: dict[str, Callable[[Call], Any]] = {
    **dict.fromkeys(_RESHAPES, reshape),
    "permute": permute,
    "transpose": transpose,
    "t": transpose,
    "numpy_T": reversed_axes,
    "expand": expand,
    "expand_as": expand,
    "broadcast_to": expand,
    "slice": part,
    "narrow": narrow,
    "select": select,
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "tensor_split"), split),
    "unbind": unbind,
    "cat": concatenate,
    "concat": concatenate,
    "stack": stack,
    "flip": flip,
    "roll": roll,
    "repeat": repeat,
    "repeat_interleave.self_int": repeat_interleave,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "channel_shuffle": channel_shuffle,
    "pad": pad,
    "constant_pad_nd": pad,
    **{f"reflection_pad{n}d": partial(pad, mode="reflect") for n in (1, 2, 3)},
    **{f"replication_pad{n}d": partial(pad, mode="replicate") for n in (1, 2, 3)},
    "_pad_circular": partial(pad, mode="circular"),
    "unfold": unfold,
    "slice_scatter": slice_scatter,
    "select_scatter": select_scatter,
}
