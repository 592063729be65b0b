"""Adaptive max pooling to free sizes, in the trace alone: torch's own operators take numbers, which fixes the sizes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, library, nn

_FUNCTIONS: dict[Any, int] = {
    nn.functional.adaptive_max_pool1d: 1,
    nn.functional.adaptive_max_pool2d: 2,
    nn.functional.adaptive_max_pool3d: 3,
}
_DEFINED = library.Library("pbgen", "DEF")  # operators are defined as long as this is kept


def adaptive_max_pool(function: Any, *args: Any, **kwargs: Any) -> Tensor | None:
    """What a function of torch makes of these, if it is adaptive max pooling to a free size; else None."""
    dims = _FUNCTIONS.get(function)
    return None if dims is None else _pooled(dims, *args, **kwargs)


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


for _function, _dims in _FUNCTIONS.items():
    _define(_dims, _function)
