"""The values of options, each brought to the type that its annotation says, or refused by name."""

import math
import os
import reprlib
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import numpy as np

from pbgen.errors import PBGenError


def converted(name: str, value: Any, hint: Any) -> Any:
    """`value` as a str, int, float, tuple of them, a Literal of strings, or None where `hint` has it.

    A path becomes the absolute one, numbers of NumPy and whole floats become Python's. No truth value is a number, and
    neither are infinity and NaN. Raises PBGenError that names the option.
    """
    kinds = get_args(hint)
    if get_origin(hint) is tuple:
        return _tuple(name, value, kinds)
    if NoneType in kinds:
        (kind,) = (kind for kind in kinds if kind is not NoneType)
        return None if value is None else converted(name, value, kind)
    if hint is int or hint is float:
        return _number(name, value, hint)
    assert hint is str or get_origin(hint) is Literal
    if isinstance(value, os.PathLike):
        value = os.fsdecode(Path(value).absolute())
    if not isinstance(value, str) or not value:
        raise PBGenError(f"{name} {shown(value)}: must be text, and not empty")
    return str(value)


def shown(value: object) -> str:
    """A value for a message: short, on one line, however large or deep it is."""
    try:
        return " ".join(reprlib.repr(value).split())
    except Exception:  # whatever a foreign object does; Python's own refuse to write numbers of 5000 digits
        return f"of type {type(value).__name__}"


def _tuple(name: str, value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise PBGenError(f"{name} {shown(value)}: must be several values")
    items = tuple(value)
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(items)
    if len(items) != len(kinds):
        raise PBGenError(f"{name} {shown(value)}: must be {len(kinds)} values")
    return tuple(converted(name, item, kind) for item, kind in zip(items, kinds, strict=True))


def _number(name: str, value: Any, kind: type[int] | type[float]) -> int | float:
    wanted = "a whole number" if kind is int else "a finite number"
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise PBGenError(f"{name} {shown(value)}: must be {wanted}")
    try:
        exact = int(value) if isinstance(value, Integral) else float(value)
        number = kind(exact)
    except (OverflowError, ValueError):  # beyond floats; or infinity and NaN, of which there is no int
        raise PBGenError(f"{name} {shown(value)}: must be {wanted}") from None
    if (kind is int and number != exact) or (isinstance(number, float) and not math.isfinite(number)):
        raise PBGenError(f"{name} {shown(value)}: must be {wanted}")
    return number
