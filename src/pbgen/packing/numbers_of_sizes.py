"""`int(height * 0.7)`, `float(length)`, `math.sqrt(width)`, `np.arange(length)` in a module's own code: Python makes
plain numbers of free sizes, which fixes them; while a module is traced, these names make torch's numbers."""

import builtins
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from pbgen.packing import sizes
from pbgen.packing.numpy_of_sizes import arrays_taken, numpy_of_sizes

_OTHERS = sys.stdlib_module_names | {"torch", "numpy", "pbgen"}  # packages whose code is none of a generator's
_plain_sqrt = math.sqrt


class _OfSizes(type):
    """A kind of number that is Python's plain one, and takes torch's numbers for such."""

    plain: type[Any]
    symbolic: Callable[[Any], Any]
    counted: type

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], torch.SymInt | torch.SymFloat):
            return cls.symbolic(args[0])
        return cls.plain(*args, **kwargs)

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, (cls.plain, cls.counted))

    def __eq__(cls, other: Any) -> bool:  # `type(scale) == int`
        return other is cls or other is cls.plain

    def __hash__(cls) -> int:
        return hash(cls.plain)


def _sayable_int(value: Any) -> Any:
    """Torch's number where a file can say that size: of windows / (height * width / 64) none can, and Python's is 1."""
    made = torch.sym_int(value)
    return made if sizes.can_be_said(made) else int(value)


class _Int(int, metaclass=_OfSizes):
    plain = int
    symbolic = staticmethod(_sayable_int)
    counted = torch.SymInt


class _Float(float, metaclass=_OfSizes):
    plain = float
    symbolic = staticmethod(torch.sym_float)
    counted = torch.SymFloat


_KINDS = {"int": _Int, "float": _Float}


def _sqrt(value: Any) -> Any:
    return torch.sym_sqrt(value) if isinstance(value, torch.SymInt | torch.SymFloat) else _plain_sqrt(value)


@contextmanager
def numbers_of_sizes(module: nn.Module) -> Iterator[None]:
    """While entered, the code of the module and of what it imports makes torch's numbers of free sizes."""
    written: list[tuple[dict[str, Any], str, Any]] = []
    for names in [vars(math), *_namespaces(module)]:
        for name, before, now in _instead(names):
            written.append((names, name, before))
            names[name] = now
    try:
        with arrays_taken():
            yield
    finally:
        for names, name, before in written:
            if before is None:
                names.pop(name, None)
            else:
                names[name] = before


def _instead(names: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """What to write to a namespace: names, what they mean there (None: the builtin), and what they shall mean."""
    found: list[tuple[str, Any, Any]] = [(name, value, _sqrt) for name, value in names.items() if value is _plain_sqrt]
    if names is vars(math):
        return found
    found += [(name, value, numpy_of_sizes) for name, value in names.items() if value is np]
    return [*found, *((name, None, kind) for name, kind in _KINDS.items() if name not in names)]


def _namespaces(module: nn.Module) -> list[dict[str, Any]]:
    """Of the files that say what the module and its parts do, and of those from which these have their functions."""
    parts = list(module.modules())
    kinds = {kind for part in parts for kind in type(part).__mro__}
    given = {value for part in parts for value in vars(part).values() if isinstance(value, FunctionType)}
    own = [file for one in kinds | given if (file := _file(one)) is not None]
    imported = [file for one in own for value in vars(one).values() if (file := _file(value)) is not None]
    return list({id(file): vars(file) for file in own + imported}.values())


def _file(value: Any) -> ModuleType | None:
    """The Python file that a function or class is from, or a module itself; none that is not a generator's."""
    if not isinstance(value, ModuleType | FunctionType | type):
        return None
    file = value if isinstance(value, ModuleType) else sys.modules.get(value.__module__)
    return None if file is None or file is builtins or file.__name__.split(".")[0] in _OTHERS else file
