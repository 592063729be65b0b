"""The random numbers that a module draws: told from other operators, and handed to a module that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

NORMAL = {"randn", "randn_like", "normal", "normal_functional", "normal_"}
UNIFORM = {"rand", "rand_like", "uniform", "uniform_"}
IN_PLACE = {"normal_", "uniform_"}


@dataclass(frozen=True)
class Drawn:
    """Standard normal numbers, or uniform ones in 0 .. 1, and what an operator makes of them."""

    kind: str
    scale: Any = 1.0
    shift: Any = 0.0


def drawn(operator: str, arguments: dict[str, Any]) -> Drawn | None:
    """What an aten operator of this name draws; None where it is not known to draw, or not as numbers like these."""
    if operator in NORMAL:
        return Drawn("normal", arguments.get("std", 1.0), arguments.get("mean", 0.0))
    if operator in UNIFORM:
        low, high = arguments.get("from", arguments.get("low", 0.0)), arguments.get("to", arguments.get("high", 1.0))
        return Drawn("uniform", high - low, low)
    return None


class Replayed(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Within it a module reads numbers from `source(kind, shape)` in the order in which it draws them."""

    def __init__(self, source: Callable[[str, tuple[int, ...]], Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.source = source

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = function._schema.name.removeprefix("aten::")
        names = [argument.name for argument in function._schema.arguments]
        given = {argument.name: argument.default_value for argument in function._schema.arguments}
        given |= dict(zip(names, args, strict=False)) | kwargs
        given = {key: value for key, value in given.items() if value is not None}
        draws = drawn(name, given)
        if draws is None:
            return function(*args, **kwargs)
        like = args[0] if isinstance(args[0], Tensor) else None
        value = function(*args, **kwargs)
        fresh = self.source(draws.kind, tuple(value.shape)).to(value.dtype) * draws.scale + draws.shift
        return like.copy_(fresh) if name in IN_PLACE and like is not None else fresh


def recorded(seed: int) -> tuple[Callable[[str, tuple[int, ...]], Tensor], list[Tensor]]:
    """A source of numbers, and the list of those that it gave."""
    generator = torch.Generator().manual_seed(seed)
    given: list[Tensor] = []

    def draw(kind: str, shape: tuple[int, ...]) -> Tensor:
        make = torch.randn if kind == "normal" else torch.rand
        given.append(make(shape, generator=generator))
        return given[-1]

    return draw, given


def replay(numbers: list[Tensor]) -> Callable[[str, tuple[int, ...]], Tensor]:
    """The same numbers again; a later draw than the last gets zeros."""
    left: Iterator[Tensor] = iter(numbers)
    return lambda kind, shape: next(left, torch.zeros(())).expand(shape)
