"""What makes values of a free size by functions of torch whose operators take numbers, which fixes the size: the same
in other words, in the trace alone."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, library, nn

from pbgen.packing.places import listed, pooled_with_places, put_back

_DEFINED = library.Library("pbgen", "DEF")  # operators are defined as long as this is kept


def of_free_size(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What a function of torch makes of these, if it is one of those here and a size is free; else None."""
    make = _WORDS.get(function)
    return None if make is None else make(*args, **kwargs)


def _spaced(start: Any, end: Any, steps: Any, *, dtype: Any = None, **others: Any) -> Tensor | None:
    """Evenly from start to end."""
    if not isinstance(steps, torch.SymInt):
        return None
    numbers = torch.arange(cast(int, steps), dtype=dtype or torch.get_default_dtype(), **others)
    spaced: Tensor = numbers * ((end - start) / torch.sym_max(steps - 1, 1)) + start
    return spaced


def _log_spaced(start: Any, end: Any, steps: Any, base: float = 10.0, **others: Any) -> Tensor | None:
    spaced = _spaced(start, end, steps, **others)
    return None if spaced is None else torch.pow(base, spaced)


def _cosines(factors: Sequence[float], length: Any, periodic: bool = True, **others: Any) -> Tensor | None:
    """A window that is a sum of cosines, each with its factor."""
    angles = _spaced(0.0, 2 * math.pi, length + 1 if periodic else length, **others)
    if angles is None:
        return None
    window = torch.zeros(())
    for number, factor in enumerate(factors):
        window = window + factor * torch.cos(number * angles)
    return window[:length]


def _hamming(
    length: Any, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, **others: Any
) -> Tensor | None:
    return _cosines((alpha, -beta), length, periodic, **others)


def _bartlett(length: Any, periodic: bool = True, **others: Any) -> Tensor | None:
    along = _spaced(-1.0, 1.0, length + 1 if periodic else length, **others)
    return None if along is None else (1 - along.abs())[:length]


def _affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor | None:
    """Where a map of coordinates from -1 to 1, the last axis first, brings each pixel."""
    if not any(isinstance(count, torch.SymInt) for count in size[2:]):
        return None
    made = theta[:, :, -1].reshape(len(theta), *[1] * len(size[2:]), -1)
    for number, count in enumerate(reversed(size[2:])):
        places = torch.arange(count, dtype=theta.dtype, device=theta.device)
        steps = torch.sym_max(count - 1, 1) if align_corners else count
        along = (2 * places - (count - 1)) / steps
        made = made + theta[:, :, number].reshape(len(theta), *[1] * len(size[2:]), -1) * along.view(
            -1, *[1] * (number + 1)
        )
    return made


def _tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...] | None:
    """In so many parts, the first ones larger by one where they cannot be alike."""
    size, sections = input.shape[dim], indices_or_sections
    if not isinstance(size, torch.SymInt) or not isinstance(sections, int):
        return None
    starts = [part * (size // sections) + torch.sym_min(part, size % sections) for part in range(sections + 1)]
    return tuple(input.narrow(dim, start, end - start) for start, end in pairwise(starts))


def _take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    if dim is None:
        return input.flatten().gather(0, indices.flatten())
    input, indices = (value.transpose(dim, -1) for value in (input, indices))
    beside = torch.broadcast_shapes(input.shape[:-1], indices.shape[:-1])
    values, places = (value.expand(*beside, value.shape[-1]) for value in (input, indices))
    return values.gather(-1, places).transpose(dim, -1)


def _kron(input: Tensor, other: Tensor) -> Tensor:
    """Of each number of the first the second times it."""
    dims = max(input.dim(), other.dim())
    shapes = [[1] * (dims - value.dim()) + list(value.shape) for value in (input, other)]
    first = input.reshape([size for one in shapes[0] for size in (one, 1)])
    second = other.reshape([size for one in shapes[1] for size in (1, one)])
    return (first * second).reshape([a * b for a, b in zip(*shapes, strict=True)])


def _gradient(input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...] | None:
    """Half of the difference between the neighbours on both sides; at the ends to the one that there is."""
    if not isinstance(spacing, int | float) or edge_order != 1:
        return None
    axes = range(input.dim()) if dim is None else [dim] if isinstance(dim, int) else dim
    made = []
    for axis in axes:
        steps, size = input.diff(dim=axis), input.shape[axis]
        between = (steps.narrow(axis, 0, size - 2) + steps.narrow(axis, 1, size - 2)) / 2
        ends = steps.narrow(axis, 0, 1), steps.narrow(axis, size - 2, 1)
        made.append(torch.cat([ends[0], between, ends[1]], axis) / spacing)
    return tuple(made)


def _lp_pooled_whole(
    dims: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor | None:
    mean = _pooled_whole(dims, torch.mean, input.pow(norm_type), kernel_size, stride)
    if mean is None:
        return None
    norm: Tensor = (mean.sign() * mean.abs() * math.prod(listed(kernel_size, dims))).pow(1.0 / norm_type)
    return norm


def _pooled_whole(
    dims: int,
    reduced: Callable[..., Tensor],
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    *more: Any,
    **others: Any,
) -> Tensor | None:
    """Where windows are as large as axes of free size, `F.avg_pool2d(x, x.shape[2:])`, and a pixel along others."""
    kernel, steps = listed(kernel_size, dims), listed(1 if stride is None else stride, dims)
    whole = [axis for axis in range(-dims, 0) if _is_free_size(kernel[axis], input.shape[axis])]
    single = all(kernel[axis] == steps[axis] == 1 for axis in range(-dims, 0) if axis not in whole)
    plain = {*listed(padding, dims)} == {0} and {*listed(others.get("dilation", 1), dims)} == {1}
    if not whole or not single or not plain or more or others.get("return_indices") or others.get("divisor_override"):
        return None
    return reduced(input, whole, keepdim=True)


def _is_free_size(given: Any, size: Any) -> bool:
    """Without asking torch, which would take from it that they must be the same."""
    return isinstance(given, torch.SymInt) and isinstance(size, torch.SymInt) and given.node.expr == size.node.expr


def _pooled(dims: int, input: Tensor, output_size: Any, return_indices: bool = False) -> Tensor | None:
    given = output_size if isinstance(output_size, list | tuple) else [output_size] * dims
    sizes = [whole if size is None else size for size, whole in zip(given, input.shape[-dims:], strict=True)]
    if return_indices or not any(isinstance(size, torch.SymInt) for size in sizes):
        return None
    pooled: Tensor = getattr(torch.ops.pbgen, _name(dims))(input, sizes)
    return pooled


def _name(dims: int) -> str:
    return f"adaptive_max_pool{dims}d"


def _shaped(x: Tensor, size: list[int]) -> Tensor:
    return x.new_empty([*x.shape[: -len(size)], *size])


def _define(dims: int, function: Callable[[Tensor, list[int]], Tensor]) -> None:
    _DEFINED.define(f"{_name(dims)}(Tensor self, SymInt[] output_size) -> Tensor")
    _DEFINED.impl(_name(dims), function, "CompositeExplicitAutograd")
    _DEFINED.impl(_name(dims), _shaped, "Meta")


_WORDS: dict[Any, Callable[..., Any]] = {
    torch.linspace: _spaced,
    torch.logspace: _log_spaced,
    torch.hann_window: partial(_cosines, (0.5, -0.5)),
    torch.hamming_window: _hamming,
    torch.blackman_window: partial(_cosines, (0.42, -0.5, 0.08)),
    torch.bartlett_window: _bartlett,
    nn.functional.affine_grid: _affine_grid,
    **dict.fromkeys((torch.tensor_split, Tensor.tensor_split), _tensor_split),
    **dict.fromkeys((torch.take_along_dim, Tensor.take_along_dim), _take_along_dim),
    **dict.fromkeys((torch.kron, Tensor.kron), _kron),
    torch.gradient: _gradient,
    nn.functional.avg_pool1d: partial(_pooled_whole, 1, torch.mean),
    nn.functional.avg_pool2d: partial(_pooled_whole, 2, torch.mean),
    nn.functional.avg_pool3d: partial(_pooled_whole, 3, torch.mean),
    **dict.fromkeys((torch.max_pool1d, nn.functional.max_pool1d), partial(_pooled_whole, 1, torch.amax)),
    **dict.fromkeys((torch.max_pool2d, nn.functional.max_pool2d), partial(_pooled_whole, 2, torch.amax)),
    **dict.fromkeys((torch.max_pool3d, nn.functional.max_pool3d), partial(_pooled_whole, 3, torch.amax)),
    nn.functional.max_pool1d_with_indices: partial(pooled_with_places, 1),
    nn.functional.max_pool2d_with_indices: partial(pooled_with_places, 2),
    nn.functional.max_pool3d_with_indices: partial(pooled_with_places, 3),
    nn.functional.max_unpool1d: partial(put_back, 1),
    nn.functional.max_unpool2d: partial(put_back, 2),
    nn.functional.max_unpool3d: partial(put_back, 3),
    nn.functional.lp_pool1d: partial(_lp_pooled_whole, 1),
    nn.functional.lp_pool2d: partial(_lp_pooled_whole, 2),
    nn.functional.lp_pool3d: partial(_lp_pooled_whole, 3),
}

for _dims, _function in (
    (1, nn.functional.adaptive_max_pool1d),
    (2, nn.functional.adaptive_max_pool2d),
    (3, nn.functional.adaptive_max_pool3d),
):
    _define(_dims, _function)
    _WORDS[_function] = partial(_pooled, _dims)
