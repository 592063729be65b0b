"""weight_norm and spectral_norm on a tensor that becomes binary: as torch's hooks and as its parametrizations.

A norm of length is redundant on binary weights, as their scale is the estimator's: it is folded into the weights. A
spectral norm says how far a layer may stretch its input: it stays, over the binary weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm, SpectralNormLoadStateDictPreHook
from torch.nn.utils.weight_norm import WeightNorm

from pbgen.weights import Slot, computing_hooks, hook_tensor

_Length, _Spectral = parametrizations._WeightNorm, parametrizations._SpectralNorm


@dataclass(frozen=True)
class Stretch:
    """A spectral norm's settings."""

    steps: int
    dim: int
    eps: float

    def over(self, owner: nn.Module, tensor: str) -> None:
        """Norm the tensor, as it is made now."""
        parametrizations.spectral_norm(owner, tensor, self.steps, self.eps, self.dim)


def normed(owner: nn.Module, tensor: str) -> bool:
    """Whether the tensor is made by such norms and nothing else."""
    hooks = [hook for hook in computing_hooks(owner).values() if hook_tensor(hook) == tensor]
    if hooks:
        return len(hooks) == 1 and isinstance(hooks[0], WeightNorm | SpectralNorm)
    if not parametrize.is_parametrized(owner, tensor):
        return False
    return all(isinstance(kind, _Length | _Spectral) for kind in steps(owner, tensor))


def steps(owner: nn.Module, tensor: str) -> nn.ModuleList:
    """The parametrizations of a tensor."""
    return cast(dict[str, nn.ModuleList], owner.parametrizations)[tensor]


@torch.no_grad()
def insert(slot: Slot, estimator: Callable[[Tensor], nn.Module]) -> None:
    """Make an estimator the first that works on the tensor's parameter, in place of a norm of length.

    `estimator` makes it of the latent weights. It is left in evaluation mode.
    """
    owner, tensor, latent = slot.owner, slot.tensor, slot.parameter
    kept: list[Stretch] = []
    for hook in [hook for hook in computing_hooks(owner).values() if hook_tensor(hook) == tensor]:
        if isinstance(hook, WeightNorm):
            latent.copy_(hook.compute_weight(owner))
            remove_weight_norm(owner, tensor)
        elif isinstance(hook, SpectralNorm):
            kept.append(Stretch(hook.n_power_iterations, hook.dim, hook.eps))
            remove_spectral_norm(owner, tensor)
            _forget_loading(owner, tensor)
        owner._parameters[tensor] = latent  # torch makes one anew, which no optimizer knows
    if parametrize.is_parametrized(owner, tensor):
        kept += _take_off(steps(owner, tensor), latent)
        steps(owner, tensor).append(estimator(latent))
    else:
        parametrize.register_parametrization(owner, tensor, estimator(latent))
    steps(owner, tensor).eval()  # no random signs
    for stretch in kept:
        stretch.over(owner, tensor)


def _forget_loading(owner: nn.Module, tensor: str) -> None:
    """Remove what would look for a spectral norm's numbers in a state; torch's own removal misses it."""
    for key, wrapped in list(owner._load_state_dict_pre_hooks.items()):
        hook = getattr(wrapped, "hook", wrapped)
        if isinstance(hook, SpectralNormLoadStateDictPreHook) and hook.fn.name == tensor:
            del owner._load_state_dict_pre_hooks[key]


def _take_off(made: nn.ModuleList, latent: nn.Parameter) -> list[Stretch]:
    """Leave a list of parametrizations empty, and give the spectral norms that were in it.

    Not by torch's remove_parametrizations: a copy shares its class with its original, and that would alter the class.
    """
    kept = [Stretch(kind.n_power_iterations, kind.dim, kind.eps) for kind in made if isinstance(kind, _Spectral)]
    if isinstance(made[0], _Length):
        latent.copy_(made[0](made.original0, made.original1))
        del made.original0, made.original1
        made.register_parameter("original", latent)
        vars(made).update(is_tensor=True, ntensors=1)
    while len(made):
        del made[-1]
    return kept


def take_float(state: dict[str, Tensor], prefix: str, tensor: str) -> Tensor | None:
    """Take a float module's tensor, however it is normed, out of a state, and what the norms know; None without one.

    prefix: the owner's, with its dot. What a spectral norm has learned of float weights is of no use on binary ones.
    """
    name, listed = f"{prefix}{tensor}", f"{prefix}parametrizations.{tensor}."
    for length, direction in ((f"{name}_g", f"{name}_v"), (f"{listed}original0", f"{listed}original1")):
        if length in state and direction in state:
            return _with_length(state.pop(length), state.pop(direction))
    for stretched, *known in (
        (f"{name}_orig", f"{name}_u", f"{name}_v"),
        (f"{listed}original", f"{listed}0._u", f"{listed}0._v"),
    ):
        if stretched in state and known[0] in state:
            for key in known:
                state.pop(key, None)
            return state.pop(stretched)
    return state.pop(name, None)


def begin(owner: nn.Module, tensor: str, weight: Tensor) -> dict[str, Tensor]:
    """What the spectral norms after an estimator know of binary weights, by name in the tensor's part of the state."""
    known = {}
    for place, kind in enumerate(steps(owner, tensor)):
        if isinstance(kind, _Spectral):
            fresh = _Spectral(weight, kind.n_power_iterations, kind.dim, kind.eps)
            known.update({f"{place}.{name}": value for name, value in fresh.named_buffers()})
    return known


def _with_length(length: Tensor, direction: Tensor) -> Tensor:
    """Weights of this direction; the norm is taken over the axes along which the length is one number."""
    axes = [axis for axis in range(direction.dim()) if length.dim() == 0 or length.shape[axis] == 1]
    norm: Tensor = torch.linalg.vector_norm(direction, dim=axes, keepdim=True)
    return direction * (length / norm)
