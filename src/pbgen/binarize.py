"""Binary weights for any torch module, in place: straight-through estimators as parametrizations.

A binary layer computes with signs times one scale an output channel; the float weights behind them, the latent
weights, stay the module's parameters and are what the optimizer moves.
"""

import difflib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from pbgen.errors import PBGenError
from pbgen.modules import unwrap
from pbgen.redundancy import Plan

Layer: TypeAlias = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.Conv1d | nn.Conv2d | nn.Linear
LAYER_KINDS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.Conv1d, nn.Conv2d, nn.Linear)


def _leading_shape(layer: Layer) -> tuple[int, ...]:
    """What the first axis of a layer's weight is split into, to see it as (groups, inputs, outputs, rest...).

    Then output channel (g, j) is [g, :, j]. A transposed convolution's weight is (C_in, C_out / groups, kernel...), and
    output channel g * C_out / groups + j is its [:, j] over the input channels of group g. All others have the output
    channel first.
    """
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d):
        return layer.groups, layer.in_channels // layer.groups
    return 1, 1, layer.weight.shape[0]


def _split(weight: Tensor, leading_shape: tuple[int, ...]) -> Tensor:
    # Splitting the first axis alone keeps the memory format, so that nothing is copied.
    return weight.view(*leading_shape, *weight.shape[1:])


def _within_channel(weight: Tensor) -> tuple[int, ...]:
    """The axes of (groups, inputs, outputs, rest...) that lie within one output channel."""
    return (1, *range(3, weight.dim()))


def _one_per_channel(weight: Tensor) -> list[int]:
    """The shape of one number an output channel, (groups, 1, outputs, 1...)."""
    return [1 if axis in _within_channel(weight) else size for axis, size in enumerate(weight.shape)]


def _sign(x: Tensor) -> Tensor:
    """+1 or -1; sign(0) = +1, for a binary weight has no third value."""
    # Torch's sign has 0 for 0; taking it twice is many times faster than a choice between two numbers.
    return x.detach().sign().add_(0.5).sign_()


class Estimator(nn.Module, ABC):
    """A straight-through estimator: latent weights to signs times one scale an output channel.

    The methods take and return weights seen as (groups, inputs, outputs, rest...), see `_leading_shape`.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.leading_shape = _leading_shape(layer)

    def forward(self, latent: Tensor) -> Tensor:
        weight = self.balance(_split(latent, self.leading_shape))
        signs = self.draw(weight) if self.training else _sign(weight)
        # The value of the signs, exactly, with the gradient of the surrogate.
        surrogate = self.surrogate(weight)
        signs = signs + (surrogate - surrogate.detach())
        return (signs * self.scale(weight)).reshape(latent.shape)

    def balance(self, weight: Tensor) -> Tensor:
        """The numbers whose sign is taken."""
        return weight

    def draw(self, weight: Tensor) -> Tensor:
        """The signs used in training."""
        return _sign(weight)

    def surrogate(self, weight: Tensor) -> Tensor:
        """A differentiable function whose gradient stands in for that of the sign: 1 inside [-1, 1], 0 outside."""
        return weight.clamp(-1, 1)

    @abstractmethod
    def scale(self, weight: Tensor) -> Tensor:
        """The scales, (groups, 1, outputs, 1...)."""

    def begin(self, latent: Tensor) -> dict[str, Tensor]:
        """The estimator's own parameters, by name, where it begins with these latent weights."""
        return {}


class BinaryConnect(Estimator):
    """BinaryConnect, deterministic (Courbariaux et al. 2015, arXiv 1511.00363).

    Forward: b = sign(w), scale 1.
    Gradient: dL/dw = dL/db where |w| <= 1, else 0.
    """

    def scale(self, weight: Tensor) -> Tensor:
        return weight.new_ones(_one_per_channel(weight))


class StochasticBinaryConnect(BinaryConnect):
    """BinaryConnect, stochastic (Courbariaux et al. 2015, arXiv 1511.00363).

    Forward, in training: b = +1 with probability clip((w + 1) / 2, 0, 1), else -1, drawn anew at each use from torch's
    global generator; in evaluation: b = sign(w). Scale 1.
    Gradient: dL/dw = dL/db where |w| <= 1, else 0.
    """

    def draw(self, weight: Tensor) -> Tensor:
        return _sign(weight + torch.empty_like(weight).uniform_(-1, 1))


class BinaryWeightNetwork(Estimator):
    """Binary weight networks (Rastegari et al. 2016, XNOR-Net, arXiv 1603.05279).

    Forward: b = a * sign(w), a = mean |w| over the n weights of the output channel: the best such b in least squares.
    Gradient, with g = dL/db: dL/dw_i = a * g_i * [|w_i| <= 1] + sign(w_i) / n * sum_j g_j * sign(w_j). This is the
    product rule; of the sum, the paper writes the term j = i alone.
    """

    def scale(self, weight: Tensor) -> Tensor:
        # mean |w|, written so that a weight of 0 has the gradient of its sign, +1: zero weights can leave zero.
        return (weight * _sign(weight)).mean(_within_channel(weight), keepdim=True)


class IRNet(Estimator):
    """IR-Net: balanced weights, shift scale and error-decay estimator (Qin et al. 2020, arXiv 1909.10788).

    Forward: v = (w - mean w) / std w over the output channel; b = 2^s * sign(v), s = round(log2(mean |v|)).
    Gradient: dL/dv = 2^s * dL/db * k * t * (1 - tanh^2(t * v)), t = 10^(2 * progress - 1), k = max(1 / t, 1), then
    through v to w; none through s. `set_progress` takes progress from 0 to 1 in training: from nearly the identity
    to nearly the sign.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer)
        self.progress = 0.0

    def balance(self, weight: Tensor) -> Tensor:
        centred = weight - weight.mean(_within_channel(weight), keepdim=True)
        return centred / centred.std(_within_channel(weight), correction=0, keepdim=True).clamp_min(1e-8)

    def surrogate(self, weight: Tensor) -> Tensor:
        t = 10 ** (2 * self.progress - 1)
        return max(1 / t, 1) * torch.tanh(t * weight)

    def scale(self, weight: Tensor) -> Tensor:
        mean = weight.detach().abs().mean(_within_channel(weight), keepdim=True)
        return torch.exp2(mean.clamp_min(1e-8).log2().round())


class LearnedScale(Estimator):
    """Binary weight normalization: the scale is a parameter (Bird et al. 2021, arXiv 2010.13476).

    Forward: b = a * sign(w); a, one an output channel, is trained, and begins as mean |w| of its channel. (The paper's
    w = g * sign(w) / ||sign(w)||, with a = g / sqrt(n) as the parameter.)
    Gradient, with g = dL/db: dL/dw = a * g * [|w| <= 1]; dL/da = sum over the channel of g * sign(w).
    An optimizer made before `binarize` does not know the new parameter: make it after.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer)
        self.learned = nn.Parameter(self.begin(layer.weight.detach())["learned"])

    def begin(self, latent: Tensor) -> dict[str, Tensor]:
        weight = _split(latent, self.leading_shape)
        return {"learned": weight.abs().mean(_within_channel(weight)).flatten()}

    def scale(self, weight: Tensor) -> Tensor:
        return self.learned.reshape(_one_per_channel(weight))


METHODS: dict[str, type[Estimator]] = {
    "binaryconnect": BinaryConnect,
    "binaryconnect-stochastic": StochasticBinaryConnect,
    "bwn": BinaryWeightNetwork,
    "irnet": IRNet,
    "learned-scale": LearnedScale,
}


def binarize(module: nn.Module, selection: Plan | str | Iterable[str], method: str = "bwn") -> nn.Module:
    """Give layers of `module` binary weights, in place; returns `module`.

    `selection` is a plan (its binary layers), "all" (every layer of a kind in LAYER_KINDS) or layer names as in
    `named_modules()` of the module itself, out of what wraps it (DataParallel, torch.compile, ...). `method` is a name
    in METHODS. The latent weights stay the very same parameters, so an optimizer made before goes on with them. In
    `state_dict()` they are LAYER.parametrizations.weight.original; `load_state_dict` also takes a float module's state.

    Raises PBGenError, and changes nothing, where the module cannot be seen into or is made ready for several processes
    already, the method or a layer is unknown, a layer is of another kind, its weight is binary, normalized or otherwise
    computed already, or shared with another layer, and where no layer is selected.
    """
    if method not in METHODS:
        raise PBGenError(f"method '{method}': unknown; choose one of {', '.join(METHODS)}")
    inner = unwrap(module)
    if any(isinstance(part, nn.parallel.DistributedDataParallel) for part in module.modules()):
        raise PBGenError(
            "DistributedDataParallel: it has taken stock of the parameters; binarize the module first, then wrap it"
        )
    layers = _select(inner, selection)
    for name, layer in layers.items():
        _check(inner, name, layer, method)
    for layer in layers.values():
        parametrize.register_parametrization(layer, "weight", METHODS[method](layer))
        layer.train(layer.training)  # what was added begins in training mode
        layer.register_load_state_dict_pre_hook(_take_float)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return module


def _take_float(layer: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Where the state to be loaded is a float layer's, begin with its weights as binarize would."""
    estimator, weight = estimator_of(layer), f"{prefix}weight"
    if estimator is None or weight not in state:
        return
    latent = state.pop(weight)
    fits = latent.shape == _latent(layer).shape  # else torch will say so
    own = {f"0.{name}": value for name, value in estimator.begin(latent).items()} if fits else {}
    state.update({f"{prefix}parametrizations.weight.{key}": v for key, v in {"original": latent, **own}.items()})


def _select(module: nn.Module, selection: Plan | str | Iterable[str]) -> dict[str, Layer]:
    modules = dict(module.named_modules())
    if selection == "all":
        names = [name for name, layer in modules.items() if isinstance(layer, LAYER_KINDS)]
    elif isinstance(selection, str):
        raise PBGenError(f"selection '{selection}': give a plan, \"all\" or a list of layer names")
    else:
        names = selection.binary if isinstance(selection, Plan) else list(selection)
    if not names:
        raise PBGenError(f"nothing to binarize: no layer of {type(module).__name__} is selected")
    for name in names:
        if name not in modules:
            near = difflib.get_close_matches(name, modules) or [n for n in modules if n]
            raise PBGenError(f"layer '{name}': not in {type(module).__name__}; it has {_listed(near)}")
        if not isinstance(modules[name], LAYER_KINDS):
            raise PBGenError(
                f"layer '{name}': a {type(modules[name]).__name__} cannot be binary; "
                f"{', '.join(kind.__name__ for kind in LAYER_KINDS)} can"
            )
    return {name: cast(Layer, modules[name]) for name in names}


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _check(module: nn.Module, name: str, layer: Layer, method: str) -> None:
    if estimator_of(layer) is not None:
        raise PBGenError(f"layer '{name}': binary already; select each layer once")
    if "weight" not in layer._parameters:
        raise PBGenError(f"layer '{name}': {_computed(layer)}")
    if nn.parameter.is_lazy(layer.weight):
        raise PBGenError(f"layer '{name}': its weight has no shape yet; run the module once first")
    for other, owner in module.named_modules():
        if owner is not layer and any(parameter is layer.weight for parameter in owner._parameters.values()):
            raise PBGenError(f"layer '{name}': shares its weight with '{other}'; give each its own first")
    weight = _split(layer.weight, _leading_shape(layer))
    if method == "irnet" and weight.numel() == math.prod(_one_per_channel(weight)):
        raise PBGenError(f"layer '{name}': one weight an output channel cannot be balanced; use another method")


_REMEDIES: dict[type, str] = {
    WeightNorm: "weight_norm; call torch.nn.utils.remove_weight_norm(layer)",
    SpectralNorm: "spectral_norm; call torch.nn.utils.remove_spectral_norm(layer)",
    BasePruningMethod: 'pruning; call torch.nn.utils.prune.remove(layer, "weight")',
}
"""The classes of torch's hooks that compute a layer's tensor before each call, and how to be rid of them."""


def computing_hooks(layer: nn.Module) -> dict[int, WeightNorm | SpectralNorm | BasePruningMethod]:
    """The hooks that compute tensors of the layer, by key."""
    hooks = layer._forward_pre_hooks.items()
    return {key: hook for key, hook in hooks if isinstance(hook, WeightNorm | SpectralNorm | BasePruningMethod)}


def _computed(layer: Layer) -> str:
    """What makes a weight that is no parameter, and how to be rid of it."""
    for hook in computing_hooks(layer).values():
        name = hook._tensor_name if isinstance(hook, BasePruningMethod) else hook.name
        if name == "weight":
            (remedy,) = (told for kind, told in _REMEDIES.items() if isinstance(hook, kind))
            return f"its weight is made by {remedy} first"
    if parametrize.is_parametrized(layer, "weight"):
        kinds = cast(dict[str, nn.ModuleList], layer.parametrizations)["weight"]
        made = ", ".join(type(kind).__name__.lstrip("_") for kind in kinds)
        return (
            f"its weight is made by a parametrization, {made}; "
            'call torch.nn.utils.parametrize.remove_parametrizations(layer, "weight") first'
        )
    return "its weight is not a parameter but computed in code of its own; make it one first"


def estimator_of(layer: nn.Module) -> Estimator | None:
    """The estimator of a binary layer; None where the layer is not binary."""
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    first = cast(dict[str, nn.ModuleList], layer.parametrizations)["weight"][0]
    return first if isinstance(first, Estimator) else None


def binary_layers(module: nn.Module) -> dict[str, Layer]:
    """The binary layers of `module` by name."""
    return {name: cast(Layer, layer) for name, layer in module.named_modules() if estimator_of(layer) is not None}


def latent_weights(module: nn.Module) -> dict[str, nn.Parameter]:
    """The latent float weights of the binary layers of `module`, by the layers' names."""
    return {name: _latent(layer) for name, layer in binary_layers(module).items()}


def _latent(layer: nn.Module) -> nn.Parameter:
    return cast(nn.Parameter, cast(nn.ModuleDict, layer.parametrizations)["weight"].original)


@torch.no_grad()
def signs_and_scale(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """The binary weight as it is in evaluation: signs (+1 or -1, shaped as the weight) and scale (C_out,).

    Signs times scale, along the output channel, are exactly `layer.weight` in evaluation mode, or what another
    parametrization makes it of. Raises PBGenError where the layer is not binary.
    """
    estimator = estimator_of(layer)
    if estimator is None:
        raise PBGenError(f"{type(layer).__name__}: not a binary layer; binarize it first")
    latent = _latent(layer)
    weight = estimator.balance(_split(latent, estimator.leading_shape))
    return _sign(weight).reshape(latent.shape), estimator.scale(weight).flatten()


@torch.no_grad()
def clip_latent_weights(module: nn.Module) -> None:
    """Clip the latent weights of all binary layers to [-1, 1], in place: beyond, a straight-through gradient is 0."""
    for latent in latent_weights(module).values():
        latent.clamp_(-1, 1)


def set_progress(module: nn.Module, fraction: float) -> None:
    """Tell IR-Net's estimators how far the training is, 0 to 1. Other methods have nothing to anneal."""
    if not 0 <= fraction <= 1:
        raise PBGenError(f"progress {fraction}: must lie in 0 .. 1")
    for estimator in module.modules():
        if isinstance(estimator, IRNet):
            estimator.progress = float(fraction)
