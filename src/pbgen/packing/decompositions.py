"""Operators as those of which they can be made: by torch's own decompositions, and here where it has none."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten

Decomposition = Callable[..., Any]


def decomposition_of(target: torch._ops.OpOverload) -> Decomposition | None:
    """What makes of the operator's arguments what it makes, by other operators."""
    table = torch._decomp.global_decomposition_table["post_autograd"]
    return _OURS.get(target) or table.get(target)


def _bernoulli(x: Tensor, p: float = 0.5, generator: Any = None) -> Tensor:
    return (torch.rand_like(x) < p).to(x.dtype)


def _randint(low: int, high: int, size: Any, **options: Any) -> Tensor:
    dtype = options.pop("dtype", None) or torch.int64
    return (low + torch.floor(torch.rand(size) * (high - low))).to(dtype)


def _randperm(n: int, **options: Any) -> Tensor:
    return torch.rand(n).argsort()


def _multinomial(weights: Tensor, count: int, replacement: bool = False, generator: Any = None) -> Tensor:
    if replacement:
        ends = weights.cumsum(-1) / weights.sum(-1, keepdim=True)
        drawn = torch.rand((*weights.shape[:-1], count, 1))
        return (ends[..., None, :-1] <= drawn).sum(-1)
    return (weights / -torch.rand_like(weights).log()).topk(count, dim=-1)[1]


def _inverse(x: Tensor, check_errors: bool = False) -> Any:
    solved = _eliminated(x, torch.eye(x.shape[-1], dtype=x.dtype).expand_as(x))
    return solved, torch.zeros((), dtype=torch.int32)


def _solve(a: Tensor, b: Tensor, left: bool = True, check_errors: bool = False) -> Any:
    vector = b.dim() == 1 or (b.dim() == a.dim() - 1 and b.shape == a.shape[:-1])
    right = b[..., None] if vector else b
    solved = _eliminated(a, right) if left else _eliminated(a.mT, right.mT).mT
    none = torch.zeros((), dtype=torch.int32)
    return solved[..., 0] if vector else solved, none, none, none


def _eliminated(a: Tensor, b: Tensor) -> Tensor:
    """The inverse of `a` times `b`, by Gauss and Jordan: each column is cleared by the row that has the largest number
    there, of those that have cleared none."""
    size = a.shape[-1]
    beside = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    rows = torch.cat([a.expand(*beside, *a.shape[-2:]), b.expand(*beside, *b.shape[-2:])], -1)
    numbers, used, chosen = torch.arange(size), torch.zeros(size, dtype=a.dtype), []
    for column in range(size):
        largest = (rows[..., column].abs() - used * torch.finfo(a.dtype).max).argmax(-1, keepdim=True)
        one = (numbers == largest).to(a.dtype)
        row = (one[..., None] * rows).sum(-2, keepdim=True)
        row = row / row[..., column : column + 1]
        rows = rows - (rows[..., column : column + 1] - one[..., None]) * row
        used = used + one
        chosen.append(one)
    return torch.stack(chosen, -2) @ rows[..., size:]


def _resized(kernel: Callable[[Tensor], Tensor], x: Tensor, size: Any, corners: bool, *scales: Any) -> Tensor:
    """Antialiased: two products of matrices, from above and from the side."""
    height, width = (
        _weights(before, after, corners, scale, kernel).to(x.dtype)
        for before, after, scale in zip(x.shape[-2:], size, scales or (None, None), strict=True)
    )
    return height @ (x @ width.mT)


def _weights(before: Any, after: Any, corners: bool, scale: Any, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    """Of all pixels along an axis in each one that they are resized to: those of a kernel that covers a new pixel."""
    step = 1 / scale if scale and not corners else before / after
    if corners:
        step = (before - 1) / torch.sym_max(after - 1, 1)
    stretch = (torch.ones(()) * step).clamp(min=1.0)
    apart = torch.arange(before) + 0.5 - ((torch.arange(after) + 0.5) * step)[:, None]
    weights = kernel((apart / stretch).abs())
    return weights / weights.sum(1, keepdim=True)


def _triangle(distance: Tensor) -> Tensor:
    return (1 - distance).clamp(min=0)


def _cubic(x: Tensor, a: float = -0.5) -> Tensor:
    """Keys' kernel, with another `a` than where nothing is averaged."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


_OURS: dict[torch._ops.OpOverload, Decomposition] = {
    aten.bernoulli.p: _bernoulli,
    aten.randint.default: lambda high, size, **options: _randint(0, high, size, **options),
    aten.randint.low: _randint,
    aten.randint_like.default: lambda x, high, **options: _randint(0, high, x.shape, dtype=x.dtype),
    aten.randint_like.low_dtype: lambda x, low, high, **options: _randint(low, high, x.shape, dtype=x.dtype),
    aten.randperm.default: _randperm,
    aten.multinomial.default: _multinomial,
    aten.linalg_inv_ex.default: _inverse,
    aten._linalg_solve_ex.default: _solve,
    aten._upsample_bilinear2d_aa.default: partial(_resized, _triangle),
    aten._upsample_bicubic2d_aa.default: partial(_resized, _cubic),
}
