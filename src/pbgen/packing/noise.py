"""The random numbers that a module draws: told from other operators, and handed to a module that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pbgen.operators import EachOperator, arguments_of, name_of
from pbgen.packing.decompositions import decomposition_of
from pbgen.packing.targets import out_of_place

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


def replayed(source: Callable[[str, tuple[int, ...]], Tensor]) -> EachOperator:
    """Within it a module reads numbers from `source(kind, shape)` in the order in which it draws them."""

    def instead(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        name = name_of(function)
        given = {key: value for key, value in arguments_of(function, args, kwargs).items() if value is not None}
        draws = drawn(name, given)
        if draws is None and torch.Tag.nondeterministic_seeded in function.tags:
            return in_other_draws(function, args, kwargs)
        value = function(*args, **kwargs)
        if draws is None:
            return value
        fresh = source(draws.kind, tuple(value.shape)).to(value.dtype) * draws.scale + draws.shift
        return value.copy_(fresh) if name in IN_PLACE else fresh

    def in_other_draws(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """As it is packed, by operators of which some draw such numbers."""
        anew = out_of_place(function)
        made = decomposition_of(anew or function)
        if made is None:
            return function(*args, **kwargs)
        with each:
            value = made(*args, **kwargs)
        return value if anew is None else args[0].copy_(value)

    each = EachOperator(instead)
    return each


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
