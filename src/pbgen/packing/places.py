"""Where in an image the largest numbers of its windows stand, as max pooling tells; and images with numbers put back
there."""

import math
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pbgen.packing.term import LARGEST


def max_pool1d(
    x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Tensor:
    """By that of images, which does not fix a free length."""
    kernel, stride, padding, dilation = (
        value[0] if isinstance(value, list | tuple) and value else value
        for value in (kernel_size, stride, padding, dilation)
    )
    steps = (1, kernel if stride in (None, [], ()) else stride)
    made = nn.functional.max_pool2d(x[..., None, :], (1, kernel), steps, (0, padding), (1, dilation), ceil_mode)
    return made[..., 0, :]


_POOLS: dict[int, Any] = {1: max_pool1d, 2: nn.functional.max_pool2d, 3: nn.functional.max_pool3d}


class _Axis(NamedTuple):
    """Windows of `taps` pixels that lie `apart`, from `low` pixels before the first on, `step` from one to the next."""

    taps: int
    step: int
    low: int
    apart: int
    size: Any
    windows: Any

    @property
    def high(self) -> Any:
        """How far the last window goes beyond the last pixel."""
        return (self.windows - 1) * self.step + self.apart * (self.taps - 1) + 1 - self.size - self.low


def pooled_with_places(
    dims: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> tuple[Tensor, Tensor]:
    """What max_pool1d to 3d make, and of each number where it stood, counted row by row."""
    pooled = _POOLS[dims](input, kernel_size, stride, padding, dilation, ceil_mode)
    kernel = listed(kernel_size, dims)
    steps = kernel if stride in (None, [], ()) else listed(stride, dims)
    counts = list(input.shape[-dims:]), list(pooled.shape[-dims:])
    axes = [
        _Axis(*one) for one in zip(kernel, steps, listed(padding, dims), listed(dilation, dims), *counts, strict=True)
    ]
    edges = [edge for axis in reversed(axes) for edge in (axis.low, axis.high)]
    wide = nn.functional.pad(input, edges, value=-LARGEST)
    taps = [_pixels(wide, axes, at) for at in product(*map(range, kernel))]
    return pooled, _places(torch.stack(taps).argmax(0), axes)


def _pixels(wide: Tensor, axes: list[_Axis], at: tuple[int, ...]) -> Tensor:
    """Of each window the pixel at this place in it."""
    for number, (axis, tap) in enumerate(zip(axes, at, strict=True), -len(axes)):
        wide = wide.narrow(number, tap * axis.apart, (axis.windows - 1) * axis.step + 1)
        each: Any = (..., slice(None, None, axis.step), *[slice(None)] * (-1 - number))
        wide = wide[each]
    return wide


def _places(tap: Tensor, axes: list[_Axis]) -> Tensor:
    """Of each window the place in the image of the pixel with that number in it."""
    place, row = torch.zeros((), dtype=torch.int64), 1
    for number, axis in enumerate(reversed(axes)):
        first = (torch.arange(axis.windows) * axis.step - axis.low).reshape(-1, *[1] * number)
        place = place + (first + tap % axis.taps * axis.apart) * row
        tap, row = tap // axis.taps, row * axis.size
    return place


def put_back(
    dims: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor | None:
    """What max_unpool1d to 3d make of windows that lie side by side; None of others."""
    kernel, small = listed(kernel_size, dims), input.shape[-dims:]
    if (stride not in (None, [], ()) and listed(stride, dims) != kernel) or {*listed(padding, dims)} != {0}:
        return None
    whole = [count * taps for count, taps in zip(small, kernel, strict=True)]
    size = whole if output_size is None else list(output_size[-dims:])

    def spread(value: Tensor, beyond: float) -> Tensor:
        """Each number all over its window."""
        for axis, taps in enumerate(kernel, -dims):
            value = value.repeat_interleave(taps, axis)
        edges = [edge for axis in reversed(range(dims)) for edge in (0, size[axis] - whole[axis])]
        return nn.functional.pad(value, edges, value=beyond)

    return torch.where(spread(indices, -1) == torch.arange(math.prod(size)).reshape(size), spread(input, 0.0), 0.0)


def listed(value: Any, dims: int) -> list[Any]:
    """A value for each axis."""
    return list(value) * (dims // len(value)) if isinstance(value, list | tuple) else [value] * dims
