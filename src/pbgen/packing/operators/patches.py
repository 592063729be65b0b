"""Patches of images as columns (F.unfold), and columns back as images (F.fold), one axis after the other. The leading
axes are two, as a rule the batch and the channels."""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

from pbgen.packing import sizes
from pbgen.packing.call import Call
from pbgen.packing.operators.views import padded
from pbgen.packing.places import listed
from pbgen.packing.sizes import Count, Counts
from pbgen.packing.step import Step


class _Axis(NamedTuple):
    """Windows of `taps` pixels that lie `apart`, `stride` from one to the next, the first `padding` pixels outside."""

    taps: int
    apart: int
    padding: int
    stride: int
    size: Count

    @property
    def windows(self) -> Count:
        span = self.apart * (self.taps - 1) + 1
        return sizes.count(sizes.floor_divided(sizes.count(self.size + 2 * self.padding - span), self.stride) + 1)


def im2col(call: Call) -> Step:
    """Of each axis the pixels at one place of all windows, for each place: views, and one copy an axis."""
    x = call.value()
    height, width = _axes(call, x.shape[-2:])
    x = call.reshape(x, (*_leading(x.shape), *x.shape[-2:]))
    x = padded(call, x, [width.padding, width.padding, height.padding, height.padding])
    return call.reshape(_taps_first(call, _taps_first(call, x, width), height), call.shape)


def _taps_first(call: Call, x: Step, axis: _Axis) -> Step:
    """Axis 3 as its windows, their pixels along a new axis 2."""
    places = [call.slice(x, 3, tap * axis.apart, axis.windows, axis.stride) for tap in range(axis.taps)]
    return call.concat([call.reshape(one, (*one.shape[:2], 1, *one.shape[2:])) for one in places], 2)


def col2im(call: Call) -> Step:
    """Of each axis the windows, added where they overlap."""
    height, width = _axes(call, call.shape[-2:])
    x = call.reshape(call.value(), (*_leading(call.shape), height.taps, width.taps, height.windows, width.windows))
    return call.reshape(_added(call, _added(call, x, height), width), call.shape)


def _added(call: Call, x: Step, axis: _Axis) -> Step:
    """The image along axis 4, its windows so far, by their pixels along axis 2, which is no more then.

    Pixels that lie within a stride do not overlap: they stand between those of the next window, and are one summand.
    """
    together = axis.stride if axis.apart == 1 else 1
    last = (axis.taps - 1) * axis.apart // axis.stride
    summands = []
    for first in range(0, axis.taps, together):
        strides, within = divmod(first * axis.apart, axis.stride)
        part = call.slice(x, 2, first, min(together, axis.taps - first))
        edges = [strides, last - strides, 0, 0, within, axis.stride - within - part.shape[2]]
        summands.append(padded(call, part, [0, 0] * (len(x.shape) - 5) + edges))
    whole = reduce(lambda a, b: call.map(lambda x, y: x + y, a, b, shape=a.shape), summands)
    whole = call.permute(whole, [0, 1, 3, 4, 2, *range(5, len(x.shape))])
    whole = call.reshape(whole, (*whole.shape[:3], sizes.product(whole.shape[3:5]), *whole.shape[5:]))
    beyond = sizes.count(axis.size + axis.padding - whole.shape[3])
    return padded(call, whole, [0, 0] * (len(whole.shape) - 4) + [-axis.padding, beyond])


def _leading(shape: Counts) -> Counts:
    return shape[0], sizes.product(shape[1:-2])


def _axes(call: Call, image: Counts) -> list[_Axis]:
    """The image's height and width."""
    names = ("kernel_size", "dilation", "padding", "stride")
    return [_Axis(*one) for one in zip(*(listed(call[name], 2) for name in names), image, strict=True)]


OPERATORS: dict[str, Callable[[Call], Any]] = {"im2col": im2col, "col2im": col2im}
