"""What makes values of a free size by functions of torch whose operators take numbers, which fixes the size: the same
in other words, in the trace alone."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, library, nn

_ADAPTIVE: dict[Any, int] = {
    nn.functional.adaptive_max_pool1d: 1,
    nn.functional.adaptive_max_pool2d: 2,
    nn.functional.adaptive_max_pool3d: 3,
}
_POOLS: dict[Any, tuple[int, Callable[..., Tensor]]] = {
    nn.functional.avg_pool1d: (1, torch.mean),
    nn.functional.avg_pool2d: (2, torch.mean),
    nn.functional.avg_pool3d: (3, torch.mean),
    **dict.fromkeys((torch.max_pool1d, nn.functional.max_pool1d), (1, torch.amax)),
    **dict.fromkeys((torch.max_pool2d, nn.functional.max_pool2d), (2, torch.amax)),
    **dict.fromkeys((torch.max_pool3d, nn.functional.max_pool3d), (3, torch.amax)),
}
_LP_POOLS: dict[Any, int] = {
    nn.functional.lp_pool1d: 1,
    nn.functional.lp_pool2d: 2,
    nn.functional.lp_pool3d: 3,
}
_DEFINED = library.Library("pbgen", "DEF")  # operators are defined as long as this is kept


def of_free_size(function: Any, *args: Any, **kwargs: Any) -> Tensor | None:
    """What a function of torch makes of these, if it is one of those here and a size is free; else None."""
    if function is torch.linspace:
        return _spaced(*args, **kwargs)
    if function is torch.logspace:
        return _log_spaced(*args, **kwargs)
    if function in _WINDOWS:
        return _WINDOWS[function](*args, **kwargs)
    if function is nn.functional.affine_grid:
        return _affine_grid(*args, **kwargs)
    if function in _ADAPTIVE:
        return _pooled(_ADAPTIVE[function], *args, **kwargs)
    if function in _POOLS:
        return _pooled_whole(*_POOLS[function], *args, **kwargs)
    if function in _LP_POOLS:
        return _lp_pooled_whole(_LP_POOLS[function], *args, **kwargs)
    return None


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


def _lp_pooled_whole(
    dims: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor | None:
    mean = _pooled_whole(dims, torch.mean, input.pow(norm_type), kernel_size, stride)
    if mean is None:
        return None
    norm: Tensor = (mean.sign() * mean.abs() * math.prod(_listed(kernel_size, dims))).pow(1.0 / norm_type)
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
    kernel, steps = _listed(kernel_size, dims), _listed(1 if stride is None else stride, dims)
    whole = [axis for axis in range(-dims, 0) if _is_free_size(kernel[axis], input.shape[axis])]
    single = all(kernel[axis] == steps[axis] == 1 for axis in range(-dims, 0) if axis not in whole)
    plain = {*_listed(padding, dims)} == {0} and {*_listed(others.get("dilation", 1), dims)} == {1}
    if not whole or not single or not plain or more or others.get("return_indices") or others.get("divisor_override"):
        return None
    return reduced(input, whole, keepdim=True)


def _is_free_size(given: Any, size: Any) -> bool:
    """Without asking torch, which would take from it that they must be the same."""
    return isinstance(given, torch.SymInt) and isinstance(size, torch.SymInt) and given.node.expr == size.node.expr


def _listed(value: Any, dims: int) -> list[Any]:
    return list(value) * (dims // len(value)) if isinstance(value, list | tuple) else [value] * dims


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


_WINDOWS: dict[Any, Callable[..., Tensor | None]] = {
    torch.hann_window: partial(_cosines, (0.5, -0.5)),
    torch.hamming_window: _hamming,
    torch.blackman_window: partial(_cosines, (0.42, -0.5, 0.08)),
    torch.bartlett_window: _bartlett,
}

for _function, _dims in _ADAPTIVE.items():
    _define(_dims, _function)
