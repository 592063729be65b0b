"""What a forward keeps outside of its module from one call to the next, such as grids by their size: tensors of a
trace, which are no numbers, must not stay there."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch.utils._pytree as pytree
from torch._subclasses.fake_tensor import FakeTensor

_OTHERS = {*sys.stdlib_module_names, "torch", "numpy", "sympy", "pbgen"}  # which keep none, or need what they keep


def is_own(name: str) -> bool:
    """Whether a module of this name is somebody's own code, not Python's, torch's or ours."""
    return name.partition(".")[0] not in _OTHERS


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Afterwards no dictionary that is a global name of somebody's code, or one of its classes', has a value that was
    only traced."""
    try:
        yield
    finally:
        for kept in _global_dictionaries():
            # By dict's own: a dictionary that loads what it is asked for would load all of it.
            for key in [key for key, value in dict.items(kept) if _is_traced(value)]:
                del kept[key]


def _global_dictionaries() -> Iterator[dict[Any, Any]]:
    for module in list(sys.modules.values()):
        if not isinstance(module, ModuleType) or not is_own(module.__name__):
            continue
        for value in list(vars(module).values()):
            inside = (
                vars(value).values() if isinstance(value, type) and value.__module__ == module.__name__ else [value]
            )
            yield from (kept for kept in inside if isinstance(kept, dict))


def _is_traced(value: Any) -> bool:
    if not isinstance(value, FakeTensor | list | tuple):
        return False
    return any(isinstance(leaf, FakeTensor) for leaf in pytree.tree_leaves(value))
