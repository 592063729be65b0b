"""Which data comes from which layer: followed from operator to operator while a torch module runs."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class ContentsNeededError(Exception):
    """What the module does depends on numbers that were not computed."""


class Provenance(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves __init_subclass__ untyped
    """While active, each operator's results come from where its arguments come from.

    This is remembered for each storage, so a view comes from where the whole does, and a tensor that is written to in
    place, through whatever view, comes from where all that was written comes from.

    Unless `compute`, convolutions, which take nearly all the time, give zeros of the right shape, and
    ContentsNeededError is raised where a number is then asked for.
    """

    def __init__(self, compute: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._compute = compute
        # By address; the storage itself is kept, or its address could be given to another.
        self._sources: dict[int, tuple[torch.UntypedStorage, frozenset[str]]] = {}

    def of(self, values: object) -> frozenset[str]:
        """The names from which the tensors in `values`, nested in tuples, lists and mappings, come."""
        storages = (tensor.untyped_storage()._cdata for tensor in tensors(values))
        return frozenset().union(*(self._sources[key][1] for key in storages if key in self._sources))

    def mark(self, tensor: Tensor, names: frozenset[str]) -> None:
        """From now on `tensor` comes from `names` and nowhere else."""
        storage = tensor.untyped_storage()
        self._sources[storage._cdata] = (storage, names)

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        names = frozenset() if _makes_likeness(func) else self.of((args, kwargs))
        result = func(*args, **kwargs) if self._compute else _result_shape(func, args, kwargs)
        for tensor in tensors((result, _written(func, args, kwargs))):
            self.mark(tensor, names)
        return result

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Torch would import its compiler, which takes longer than all else here, to keep it off this class.
        return False


def tensors(values: object) -> Iterator[Tensor]:
    """The tensors in `values`, nested in tuples, lists and mappings."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from tensors(tuple(values.values()))
    elif isinstance(values, tuple | list):
        for value in values:
            yield from tensors(value)


def _result_shape(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The operator's result, with zeros for that of a convolution."""
    if torch.Tag.data_dependent_output in func.tags or torch.Tag.dynamic_output_shape in func.tags:
        raise ContentsNeededError
    if func is not torch.ops.aten.convolution.default:
        return func(*args, **kwargs)
    batch: Tensor = args[0]
    nothing: Tensor = func(batch[:0], *args[1:], **kwargs)  # torch checks the shapes, and has nothing to compute
    return nothing.new_zeros(len(batch), *nothing.shape[1:])


def _makes_likeness(func: torch._ops.OpOverload) -> bool:
    """Whether the operator makes a tensor in the likeness of another without reading it: zeros_like, new_empty, ..."""
    name = func._schema.name.removeprefix("aten::")
    return name.endswith("_like") or name.startswith("new_")


def _written(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    """The arguments that the operator writes to."""
    arguments = func._schema.arguments
    values = {**{argument.name: value for argument, value in zip(arguments, args, strict=False)}, **kwargs}
    written = [argument.name for argument in arguments if argument.alias_info and argument.alias_info.is_write]
    return [values[name] for name in written if name in values]
