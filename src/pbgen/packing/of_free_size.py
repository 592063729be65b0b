"""What makes values of a free size by functions of torch whose operators take numbers, which fixes the size: the same
in other words, in the trace alone."""

from collections.abc import Callable
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
_DEFINED = library.Library("pbgen", "DEF")  # operators are defined as long as this is kept


def of_free_size(function: Any, *args: Any, **kwargs: Any) -> Tensor | None:
    """What a function of torch makes of these, if it is one of those here and a size is free; else None."""
    if function is torch.linspace:
        return _spaced(*args, **kwargs)
    if function in _ADAPTIVE:
        return _pooled(_ADAPTIVE[function], *args, **kwargs)
    if function in _POOLS:
        return _pooled_whole(*_POOLS[function], *args, **kwargs)
    return None


def _spaced(start: Any, end: Any, steps: Any, *, dtype: Any = None, **others: Any) -> Tensor | None:
    """Evenly from start to end."""
    if not isinstance(steps, torch.SymInt):
        return None
    numbers = torch.arange(cast(int, steps), dtype=dtype or torch.get_default_dtype(), **others)
    spaced: Tensor = numbers * ((end - start) / torch.sym_max(steps - 1, 1)) + start
    return spaced


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


for _function, _dims in _ADAPTIVE.items():
    _define(_dims, _function)
