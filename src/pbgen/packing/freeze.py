"""The module as it is at inference: a copy in float32 on the CPU whose weights are ordinary tensors."""

import copy
from dataclasses import dataclass
from typing import Any, cast

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
        copied = copy.deepcopy(module, _computed_tensors(module))
        copied.cpu().float()
        copied.eval()  # of a module of one's own it may return nothing
        return copied.requires_grad_(False)
    except Exception as error:  # whatever a user's own methods may raise
        raise PBGenError(f"{type(module).__name__} cannot be copied: {first_line(error)}") from None


def _computed_tensors(module: nn.Module) -> dict[int, Any]:
    """Copies of tensors with a history, which deepcopy refuses: what hooks or a training step left in the module."""
    found: dict[int, Any] = {}
    for part in module.modules():
        for value in vars(part).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                found[id(value)] = value.detach().clone()
    return found


def freeze(module: nn.Module) -> Frozen:
    """Replace whatever computes weights in `module`, parametrizations and the hooks of weight_norm and spectral_norm,
    by its value, and say which weights are signs times a scale."""
    splits = {name: Split(*signs_and_scale(layer)) for name, layer in binary_layers(module).items()}
    for layer in list(module.modules()):
        _settle_hooks(layer)
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


def _settle_hooks(layer: nn.Module) -> None:
    """The same for the hooks of torch.nn.utils.weight_norm and spectral_norm, which compute a weight at each call."""
    for key, hook in list(layer._forward_pre_hooks.items()):
        name = getattr(hook, "name", None)
        if not isinstance(name, str) or not hasattr(hook, "compute_weight"):
            continue
        with torch.no_grad():
            hook(layer, ())  # in evaluation it computes without another step of the power iteration
        value = cast(Tensor, getattr(layer, name)).detach().clone()
        del layer._forward_pre_hooks[key]
        for part in list(layer._parameters) + list(layer._buffers):
            if part.startswith(f"{name}_"):
                delattr(layer, part)
        vars(layer).pop(name, None)
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


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
