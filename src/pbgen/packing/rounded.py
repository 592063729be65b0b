"""A module whose results of rounding are told apart: which of them hang on the last digits of what is rounded, or on
the order of what is equal."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

from torch import Tensor, fmin, where

from pbgen.operators import EachOperator, arguments_of, name_of

TOLERANCE = 1e-4  # of the largest value of an output

_ROUNDING = {"round", "floor", "ceil", "trunc"}
_MOST = 0.1  # of a step: where the scale is that of a few large values, the others are not let off by as much


def moved(part: float) -> EachOperator:
    """Within it a module rounds, or casts to integers, what is larger by `part` of its largest value than it is, by a
    tenth of a step at most: so a result changes by one step, and only where what is rounded lies so near to it.

    Whole numbers stay as they are, as they were rounded before, such as by `x.round().byte()`.
    """

    def instead(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        name = name_of(function)
        if name.removesuffix("_") in _ROUNDING or _casts_to_integers(name, args, kwargs):
            near = _moved(args[0], part, 10.0 ** -kwargs.get("decimals", 0))
            args = (args[0].copy_(near) if name.endswith("_") else near, *args[1:])
        return function(*args, **kwargs)

    return EachOperator(instead)


def stable() -> EachOperator:
    """Within it what a module sorts has equals in their order, as a packed file does: torch leaves that open."""

    def instead(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        given = arguments_of(function, args, kwargs)
        if name_of(function) == "sort" and isinstance(given["dim"], int):
            return _sorted(given["self"], given["dim"], given["descending"])
        if name_of(function) == "topk":
            ordered = _sorted(given["self"], given["dim"], given["largest"])
            return tuple(value.narrow(given["dim"], 0, given["k"]) for value in ordered)
        return function(*args, **kwargs)

    return EachOperator(instead)


def _sorted(value: Tensor, axis: int, descending: bool) -> tuple[Tensor, Tensor]:
    ordered = value.sort(stable=True, dim=axis, descending=descending)
    return ordered.values, ordered.indices


def versions(outputs: Sequence[Tensor], again: Callable[[], Sequence[Tensor]]) -> list[tuple[Tensor, ...]]:
    """Of each output of a module what it is, and what it is `again` when what the module rounds is a little larger, or
    smaller, and when what is equal stays in its order."""
    made = [outputs]
    for way in (moved(TOLERANCE), moved(-TOLERANCE), stable()):
        with way:
            made.append(again())
    return list(zip(*made, strict=True))


def difference(result: Tensor, allowed: Sequence[Tensor]) -> float:
    """The largest difference, as a part of the largest value; of each value, that from the nearest which is allowed for
    it. Where both have no number, or both infinity, is none."""
    result, expected = result.double(), allowed[0].double()
    nearest = reduce(fmin, (_distances(result, other.double()) for other in allowed))
    scale = where(expected.isfinite(), expected.abs(), 0.0).max()
    return float(nearest.max()) / (float(scale) or 1.0)


def _distances(result: Tensor, expected: Tensor) -> Tensor:
    same = (result == expected) | (result.isnan() & expected.isnan())
    return where(same, 0.0, (result - expected).abs())


def _casts_to_integers(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    dtype = kwargs.get("dtype")
    return (
        name == "_to_copy"
        and args[0].is_floating_point()
        and dtype is not None
        and not (dtype.is_floating_point or dtype.is_complex)
    )


def _moved(value: Tensor, part: float, step: float) -> Tensor:
    if not value.is_floating_point():
        return value
    scale = float(where(value.isfinite(), value.abs(), 0.0).max()) if value.numel() else 0.0
    most = _MOST * step
    steps = value / step
    return where(steps == steps.round(), value, value + max(-most, min(part * scale, most)))
