"""A copy of the module in which the weights that a layer computes with are its parameters."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pbgen.binarize import binary_layers, computing_hooks
from pbgen.errors import PBGenError
from pbgen.modules import first_line


@dataclass(frozen=True)
class Frozen:
    """A module whose weights are parameters, and the names of its binary layers by the ids of their weights."""

    module: nn.Module
    binary: dict[int, str]


def freeze(module: nn.Module) -> Frozen:
    """Replace what parametrizations and hooks compute in `module`, an inference copy, by its value."""
    binary = list(binary_layers(module))
    for layer in list(module.modules()):
        for key, hook in computing_hooks(layer).items():
            hook.remove(layer)
            del layer._forward_pre_hooks[key]
        if parametrize.is_parametrized(layer):
            _settle(layer)
    return Frozen(module, {id(module.get_submodule(name).weight): name for name in binary})


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


def run(module: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    """What the module makes of its inputs. Raises PBGenError where it fails."""
    try:
        with torch.no_grad():
            return module(*(value.clone() for value in inputs))  # which a layer in place may write on
    except Exception as error:  # whatever a user's forward may raise
        shapes = " and ".join(str(list(value.shape)) for value in inputs)
        plural = "inputs" if len(inputs) > 1 else "an input"
        raise PBGenError(f"{type(module).__name__} fails on {plural} of shape {shapes}: {first_line(error)}") from error
