"""Where each number comes from: followed from operator to operator while a torch module runs."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import torch
from torch import Tensor

from pbgen.operators import EachOperator, name_of


class ContentsNeededError(Exception):
    """What the module does depends on numbers that were not computed."""


@dataclass(frozen=True)
class Origin:
    """Where a tensor's numbers come from.

    layers: the layers whose values it is made of, each as it is. means: those of which only sums and means come.
    factors: those of which one value has met many, or an exponential: a gain or bias that is spread over a channel, and
    what goes into a softmax. A layer can be in several. state: names of parameters and buffers, up to the next layer.
    data: whether the module's input, or chance has a part in it.
    """

    layers: frozenset[str] = frozenset()
    means: frozenset[str] = frozenset()
    factors: frozenset[str] = frozenset()
    state: frozenset[str] = frozenset()
    data: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The layers, however they come."""
        return self.layers | self.means | self.factors

    def averaged(self) -> "Origin":
        """That of sums over it."""
        return Origin(frozenset(), self.means | self.layers, self.factors, self.state, self.data)

    def shared(self) -> "Origin":
        """Where each value has a part in many."""
        return Origin(frozenset(), self.means, self.factors | self.layers, self.state, self.data)

    def __or__(self, other: "Origin") -> "Origin":
        return Origin(
            self.layers | other.layers,
            self.means | other.means,
            self.factors | other.factors,
            self.state | other.state,
            self.data or other.data,
        )


NOWHERE = Origin()


class Provenance:
    """While a module runs `following` it, each operator's results come from where its arguments come from.

    This is remembered for each storage, so a view comes from where the whole does, and a tensor that is written to in
    place, through whatever view, comes from where all that was written comes from.

    Unless `compute`, convolutions, which take nearly all the time, give zeros of the right shape, and
    ContentsNeededError is raised where a number is then asked for.
    """

    def __init__(self, compute: bool) -> None:
        self._compute = compute
        # By address; the storage itself is kept, or its address could be given to another.
        self._origins: dict[int, tuple[torch.UntypedStorage, Origin]] = {}
        self._padded: dict[int, tuple[torch.Size, torch.Size, list[int]]] = {}  # shape, that without padding, low edge

    def following(self) -> EachOperator:
        """The context in which the module is to run."""
        return EachOperator(self._follow)

    def of(self, values: object) -> Origin:
        """Where the tensors in `values`, nested in tuples, lists and mappings, come from."""
        origin = NOWHERE
        for tensor in tensors(values):
            known = self._origins.get(tensor.untyped_storage()._cdata)
            origin = origin | known[1] if known else origin
        return origin

    def mark(self, tensor: Tensor, origin: Origin) -> None:
        """From now on `tensor` comes from there and from nowhere else."""
        storage = tensor.untyped_storage()
        self._origins[storage._cdata] = (storage, origin)
        self._padded.pop(storage._cdata, None)

    def without_padding(self, tensor: Tensor) -> tuple[torch.Size, list[int]]:
        """The tensor's shape before zeros were put around it, and how many at the low edge of each axis."""
        shape, inside, low = self._padded.get(tensor.untyped_storage()._cdata, (None, tensor.shape, []))
        return (inside, low) if shape == tensor.shape else (tensor.shape, [0] * tensor.dim())

    def layer(self, func: torch._ops.OpOverload, args: tuple[Any, ...], result: Any) -> str | None:
        """The name of the layer that this operator is, if it is one: its results then come from there alone."""
        return None

    def _follow(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        origin = NOWHERE if _makes_likeness(func) else self.of((args, kwargs))
        result = func(*args, **kwargs) if self._compute else _result_shape(func, args, kwargs)
        name = self.layer(func, args, result)
        if name is not None:
            origin = Origin(layers=frozenset({name}), data=origin.data)
        elif origin.layers:
            origin = self._through(func, args, kwargs, result, origin)
        if torch.Tag.nondeterministic_seeded in func.tags:
            origin = origin | Origin(data=True)
        for tensor in tensors((result, _written(func, args, kwargs))):
            self.mark(tensor, origin)
        if name_of(func) == "constant_pad_nd" and not any(args[2:]) and min(args[1]) >= 0:
            low = [0] * (result.dim() - len(args[1]) // 2) + list(args[1][-2::-2])
            self._padded[result.untyped_storage()._cdata] = (result.shape, args[0].shape, low)
        return result

    def _through(
        self,
        func: torch._ops.OpOverload,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        origin: Origin,
    ) -> Origin:
        """What an operator that is no layer makes of where its arguments come from."""
        name = name_of(func)
        if name.startswith("_scaled_dot_product"):
            return self.of(args[:2]).shared() | self.of((args[2:], kwargs))
        if "softmax" in name:
            return origin.shared()
        if torch.Tag.reduction in func.tags or "avg_pool" in name:
            return origin.averaged()
        values = list(tensors((args, kwargs)))
        if torch.Tag.pointwise in func.tags and len(values) > 1 and isinstance(result, Tensor):
            parts = (self.of(v).shared() if _is_spread(v, result) else self.of(v) for v in values)
            return reduce(or_, parts)
        return origin


def tensors(values: object) -> Iterator[Tensor]:
    """The tensors in `values`, nested in tuples, lists and mappings."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from tensors(tuple(values.values()))
    elif isinstance(values, tuple | list):
        for value in values:
            yield from tensors(value)


def _is_spread(value: Tensor, result: Tensor) -> bool:
    """Whether one number of `value` meets many of an image of `result`; batches are not looked at."""
    sizes = [n if step else 1 for n, step in zip(value.shape, value.stride(), strict=True)]
    own = sizes[-(result.dim() - 1) :] if result.dim() > 1 else []
    return math.prod(own) < math.prod(result.shape[1:])


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
    name = name_of(func)
    return name.endswith("_like") or name.startswith("new_")


def _written(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    """The arguments that the operator writes to."""
    arguments = func._schema.arguments
    values = {**{argument.name: value for argument, value in zip(arguments, args, strict=False)}, **kwargs}
    written = [argument.name for argument in arguments if argument.alias_info and argument.alias_info.is_write]
    return [values[name] for name in written if name in values]
