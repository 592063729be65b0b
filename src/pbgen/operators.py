"""Torch's operators, one by one, while a module runs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Instead = Callable[[torch._ops.OpOverload, tuple[Any, ...], Mapping[str, Any]], Any]
"""Called with an operator and its arguments, in place of it; returns what is to be its result."""


class EachOperator(TorchDispatchMode):
    """While entered, `instead` takes the place of each operator."""

    supports_higher_order_operators = True

    def __init__(self, instead: Instead) -> None:
        TorchDispatchMode.__init__(self)
        self._instead = instead

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if isinstance(func, torch._ops.HigherOrderOperator):  # a flow, such as torch.cond: one operator, as it stands
            return func(*args, **(kwargs or {}))
        return self._instead(func, args, kwargs or {})

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Torch would import its compiler, which takes longer than all else here, to keep it off this class.
        return False


def name_of(target: Any) -> str:
    """An operator's name without namespace and overload: aten.add.Tensor is add; of another function, its own."""
    schema = getattr(target, "_schema", None)
    return schema.name.rpartition("::")[2] if schema is not None else getattr(target, "__name__", str(target))


def arguments_of(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """An operator's arguments by name, defaults filled in."""
    schema = func._schema.arguments
    given = {argument.name: argument.default_value for argument in schema}
    return given | dict(zip((argument.name for argument in schema), args, strict=False)) | dict(kwargs)


class Product(NamedTuple):
    """Sums of a value times a weight, as an operator makes them; its outputs are on the `axis` of the result."""

    value: Tensor
    weight: Tensor
    bias: Tensor | None
    axis: int


def products(func: torch._ops.OpOverload, args: tuple[Any, ...]) -> list[Product]:
    """What an operator multiplies; of two matrices, either may be the weight."""
    match name_of(func):
        case "convolution":
            value, weight, bias = args[:3]
            return [Product(value, weight, bias, 1)]
        case "mm" | "bmm":
            bias, left, right = None, *args[:2]
        case "addmm" | "baddbmm":
            bias, left, right = args[:3]
        case _:
            return []
    return [Product(left, right, bias, -1), Product(right, left, bias, -2)]


@contextmanager
def attention_by_operators() -> Iterator[None]:
    """While entered, torch's fast path is off, which makes one operator of an attention and its layers."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
