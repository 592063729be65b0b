"""The module as it is at inference: a copy in float32 on the CPU whose weights are ordinary tensors."""

import copy
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pbgen.binarize import binary_layers, signs_and_scale
from pbgen.errors import PBGenError


@dataclass(frozen=True)
class Split:
    """Binary weights as torch lays them out: signs (+1 or -1), and a scale for each output channel, (C_out,)."""

    signs: Tensor
    scale: Tensor


@dataclass(frozen=True)
class Frozen:
    """A module without parametrizations, and the split of each binary weight by the id of its parameter."""

    module: nn.Module
    binary: dict[int, Split]


def inference_copy(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode, float32, on the CPU; the module itself is left as it is."""
    if not isinstance(module, nn.Module):
        raise PBGenError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    try:
        return copy.deepcopy(module).cpu().float().eval().requires_grad_(False)
    except (RuntimeError, TypeError, NotImplementedError, ValueError) as error:
        raise PBGenError(f"{type(module).__name__} cannot be copied: {first_line(error)}") from None


def freeze(module: nn.Module) -> Frozen:
    """Replace every parametrization in `module` by its value, and say which weights are signs times a scale."""
    splits = {name: Split(*signs_and_scale(layer)) for name, layer in binary_layers(module).items()}
    for layer in list(module.modules()):
        if parametrize.is_parametrized(layer):
            _settle(layer)
    return Frozen(module, {id(module.get_parameter(f"{name}.weight")): split for name, split in splits.items()})


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


def run(module: nn.Module, images: Tensor) -> Tensor:
    """What the module makes of its input. Raises PBGenError where it fails or gives anything but one tensor."""
    try:
        with torch.no_grad():
            output = module(images.clone())  # which a layer in place may write on
    except Exception as error:  # whatever a user's forward may raise
        raise PBGenError(
            f"{type(module).__name__} fails on an input of shape {list(images.shape)}: {first_line(error)}"
        ) from error
    if not isinstance(output, Tensor):
        raise PBGenError(
            f"{type(module).__name__} returns {type(output).__name__}, not one tensor; pack a module that does"
        )
    return output


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
