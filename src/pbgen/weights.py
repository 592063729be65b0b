"""Whose weight a parameter is: a tensor of a module, however hooks and parametrizations make it of parameters."""

from dataclasses import dataclass

from torch import nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

LAYER_KINDS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.Conv1d, nn.Conv2d, nn.Linear)


@dataclass(eq=False)
class Slot:
    """A tensor of a module: `owner.weight`, say.

    path: the owner's name in the module that holds it all. parameter: the largest of those that the tensor is made of,
    which is shaped as it is.
    """

    path: str
    owner: nn.Module
    tensor: str
    parameter: nn.Parameter

    @property
    def name(self) -> str:
        """The layer's name where it is the weight of one; else the tensor's own."""
        if isinstance(self.owner, LAYER_KINDS) and self.tensor == "weight":
            return self.path
        return f"{self.path}.{self.tensor}" if self.path else self.tensor


def computing_hooks(layer: nn.Module) -> dict[int, WeightNorm | SpectralNorm | BasePruningMethod]:
    """The hooks that compute tensors of the layer, by key."""
    hooks = layer._forward_pre_hooks.items()
    return {key: hook for key, hook in hooks if isinstance(hook, WeightNorm | SpectralNorm | BasePruningMethod)}


def hook_tensor(hook: WeightNorm | SpectralNorm | BasePruningMethod) -> str:
    """The name of the tensor that a hook computes."""
    return hook._tensor_name if isinstance(hook, BasePruningMethod) else str(hook.name)


def slots(module: nn.Module) -> dict[str, Slot]:
    """The tensors that the parameters of `module` make, by the parameters' names; shared ones once."""
    made: dict[tuple[str, str], Slot] = {}
    found = {}
    for name, parameter in module.named_parameters():
        *home, tensor = name.split(".")
        if "parametrizations" in home:
            place = home.index("parametrizations")
            home, tensor = home[:place], home[place + 1]
        path = ".".join(home)
        owner = module.get_submodule(path)
        tensor = _made_by_hook(owner, tensor)
        slot = made.setdefault((path, tensor), Slot(path, owner, tensor, parameter))
        if slot.parameter is not parameter and parameter.numel() > slot.parameter.numel():
            slot.parameter = parameter
        found[name] = slot
    return found


def _made_by_hook(owner: nn.Module, parameter: str) -> str:
    """The tensor that a hook makes of the owner's parameter of this name, or the parameter."""
    for hook in computing_hooks(owner).values():
        tensor = hook_tensor(hook)
        if parameter in (f"{tensor}_g", f"{tensor}_v", f"{tensor}_orig"):
            return tensor
    return parameter
