"""Numbers that a module's code writes down and asks for, `if (torch.tensor(std) == 0).any():`, which torch does not
follow: while the module is traced, they are known."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor
from torch._numpy._ndarray import ndarray
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.weak import WeakIdKeyDictionary

_MADE = (torch.tensor, torch.as_tensor)
_READ = (Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.item, Tensor.tolist)


class WrittenDown:
    """The tensors of such numbers, and what is made of these alone, each with its value."""

    def __init__(self) -> None:
        self._values = WeakIdKeyDictionary()

    def read(self, function: Any, args: tuple[Any, ...]) -> list[Any]:
        """What a function that reads numbers finds, as the only element; none where they are not known."""
        if function not in _READ or args[0] not in self._values:
            return []
        with _disable_current_modes():
            return [function(self._values[args[0]], *args[1:])]

    def follow(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """Take notice of what a function of torch made."""
        if not self._values and function not in _MADE:
            return
        given = pytree.tree_leaves((args, kwargs))
        tensors = [value for value in given if isinstance(value, Tensor)]
        counted = any(isinstance(value, torch.SymInt | torch.SymFloat | ndarray) for value in given)
        known = not counted and (all(value in self._values for value in tensors) if tensors else function in _MADE)
        if known and (isinstance(result, Tensor) or writes(function)):
            made = self._value(function, args, kwargs)
            if isinstance(result, Tensor):
                self._values[result] = made
        elif tensors and tensors[0] in self._values and writes(function):
            del self._values[tensors[0]]

    def _value(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        known = pytree.tree_map(
            lambda value: self._values[value] if isinstance(value, Tensor) else value, (args, kwargs)
        )
        with _disable_current_modes():
            return function(*known[0], **known[1])


def writes(function: Any) -> bool:
    name = getattr(function, "__name__", "")
    return name == "__setitem__" or (name.endswith("_") and not name.endswith("__")) or name.startswith("__i")
