"""A copy of the module in which the weights that a layer computes with are its parameters."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, cast
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pbgen.binarize import binary_weights
from pbgen.errors import PBGenError
from pbgen.modules import first_line
from pbgen.weights import computing_hooks


@dataclass(frozen=True)
class Frozen:
    """A module whose weights are parameters, and the names of its binary layers by the ids of their weights."""

    module: nn.Module
    binary: dict[int, str]


def freeze(module: nn.Module) -> Frozen:
    """Replace what parametrizations and hooks compute in `module`, an inference copy, by its value."""
    binary = binary_weights(module)
    for layer in list(module.modules()):
        for key, hook in computing_hooks(layer).items():
            hook.remove(layer)
            del layer._forward_pre_hooks[key]
        if parametrize.is_parametrized(layer):
            _settle(layer)
    return Frozen(module, {id(getattr(slot.owner, slot.tensor)): name for name, slot in binary.items()})


def _settle(layer: nn.Module) -> None:
    """Make a parametrized layer an ordinary one with the weights that it computes with.

    Not by torch's remove_parametrizations: a copy shares its class with its original, and that would alter the class.
    """
    names = list(cast(nn.ModuleDict, layer.parametrizations))
    values = {name: cast(Tensor, getattr(layer, name)).detach().clone() for name in names}
    layer.__class__ = type(layer).__bases__[0]
    del layer.parametrizations
    for name, value in values.items():
        layer.register_parameter(name, nn.Parameter(value, requires_grad=False))


@contextmanager
def _state_kept(module: nn.Module) -> Iterator[None]:
    """Afterwards, the tensors that the module holds have the numbers that they had."""
    tables: list[dict[str, Any]] = []
    for part in module.modules():
        tables += [part._parameters, part._buffers, vars(part)]
    kept = [
        (table, name, tensor, tensor.data, tensor.data.clone())
        for table in tables
        for name, tensor in table.items()
        if isinstance(tensor, Tensor) and not tensor.is_meta
    ]
    try:
        yield
    finally:
        for table, name, tensor, numbers, before in kept:
            if not torch.equal(numbers, before):
                numbers.copy_(before)
            tensor.data = numbers
            table[name] = tensor


def uncast() -> AbstractContextManager[Any]:
    """While entered, `with torch.autocast(...)` does nothing: what is packed computes in float32, as does a
    module in half precision."""
    return patch.multiple(torch.autocast, __enter__=lambda self: self, __exit__=lambda self, *error: None)


def run(module: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    """What the module makes of its inputs; it is as before then, whatever its forward writes to its own tensors.

    Raises PBGenError where it fails.
    """
    try:
        with torch.no_grad(), uncast(), _state_kept(module):
            return module(*(value.clone() for value in inputs))  # which a layer in place may write on
    except Exception as error:  # whatever a user's forward may raise
        shapes = " and ".join(str(list(value.shape)) for value in inputs)
        plural = "inputs" if len(inputs) > 1 else "an input"
        raise PBGenError(f"{type(module).__name__} fails on {plural} of shape {shapes}: {first_line(error)}") from error
