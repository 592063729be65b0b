"""Numbers that a module keeps in tensors, such as the stride of a layer, to count by them: torch takes what hangs on
tensors for unknown, `ceil(length / self.stride)`, while a file can say it of free sizes."""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from pbgen.packing.written_down import writes

_Number = int | float | torch.SymInt | torch.SymFloat | torch.SymBool


def _cast(value: Any, to: Any = torch.int64) -> Any:
    """What `.long()`, or `.to(...)` a type or a device, makes of it."""
    if not isinstance(to, torch.dtype):
        return value
    return torch.sym_float(value) if to.is_floating_point else torch.sym_int(value)


def _clamp(value: Any, min: Any = None, max: Any = None) -> Any:
    value = value if min is None else torch.sym_max(value, min)
    return value if max is None else torch.sym_min(value, max)


_MADE: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("add", "radd"), operator.add),
    "sub": operator.sub,
    "rsub": lambda a, b: b - a,
    **dict.fromkeys(("mul", "rmul"), operator.mul),
    **dict.fromkeys(("div", "truediv"), operator.truediv),
    **dict.fromkeys(("rdiv", "rtruediv"), lambda a, b: b / a),
    **dict.fromkeys(("floordiv", "floor_divide"), operator.floordiv),
    **dict.fromkeys(("mod", "remainder"), operator.mod),
    "neg": operator.neg,
    "ceil": math.ceil,
    "floor": math.floor,
    "maximum": torch.sym_max,  # of which, and of clamp, torch.export makes Python's max
    "minimum": torch.sym_min,
    "clamp": _clamp,
    **{name: getattr(operator, name) for name in ("lt", "le", "gt", "ge", "eq", "ne")},
    **dict.fromkeys(("to", "long"), _cast),
}
_READ: dict[Any, Callable[[Any], Any]] = {
    Tensor.__bool__: bool,
    Tensor.__int__: int,
    Tensor.__float__: float,
    Tensor.item: lambda value: value,
}


class Counted:
    """The numbers in buffers of a module that hold one integer each, and in what is made of these and of sizes."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._kept = {name: int(value) for name, value in module.named_buffers() if _is_count(value)}
        self._numbers = WeakIdKeyDictionary()  # by tensor; None where it was written to

    def read(self, function: Any, args: tuple[Any, ...]) -> list[Any]:
        """What a function that reads a number finds, as the only element; none where it is not known."""
        number = self._number(args[0]) if self._kept and function in _READ else None
        return [] if number is None else [_READ[function](number)]

    def said(self, function: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, with numbers where edges of that many pixels are meant."""
        if not self._kept or function is not nn.functional.pad:
            return args
        return (args[0], *pytree.tree_map(lambda value: value if (n := self._number(value)) is None else n, args[1:]))

    def follow(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """Take notice of what a function of torch made."""
        name = getattr(function, "__name__", "")
        if not self._kept or not any(self._number(value) is not None for value in args if isinstance(value, Tensor)):
            return
        if writes(function):
            self._numbers[args[0]] = None
        elif (make := _MADE.get(name.strip("_"))) is not None and isinstance(result, Tensor) and not result.shape:
            given = [self._number(value) if isinstance(value, Tensor) else value for value in args]
            if all(isinstance(value, _Number | torch.dtype | torch.device | str) for value in given):
                self._numbers[result] = make(*given, **kwargs)

    def _number(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return None
        if value in self._numbers or not _is_count(value):
            return self._numbers.get(value)
        names = (name for name, buffer in self._module.named_buffers() if buffer is value)
        return next((self._kept.get(name) for name in names), None)


def _is_count(value: Tensor) -> bool:
    return value.dim() == 0 and value.dtype in (torch.int64, torch.int32)
