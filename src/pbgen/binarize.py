"""Binary weights for any torch module, in place: straight-through estimators as parametrizations.

A binary layer computes with levels times one scale an output channel; the float weights behind them, the latent
weights, stay the module's parameters and are what the optimizer moves. The levels of k bits are sums of k signs with
factors 1, 2, 4, 8: the odd numbers from -(2^k - 1) to 2^k - 1, which are the signs themselves where k is 1.
"""

import difflib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod

from pbgen import norms
from pbgen.errors import PBGenError
from pbgen.modules import unwrap
from pbgen.redundancy import MAX_BITS, Plan
from pbgen.weights import LAYER_KINDS, Slot, computing_hooks, hook_tensor, slots

Layer: TypeAlias = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.Conv1d | nn.Conv2d | nn.Linear


def _leading_shape(layer: Layer, weight: Tensor) -> tuple[int, ...]:
    """What the first axis of a layer's weight is split into, to see it as (groups, inputs, outputs, rest...).

    Then output channel (g, j) is [g, :, j]. A transposed convolution's weight is (C_in, C_out / groups, kernel...), and
    output channel g * C_out / groups + j is its [:, j] over the input channels of group g. All others have the output
    channel first.
    """
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d):
        return layer.groups, layer.in_channels // layer.groups
    return 1, 1, weight.shape[0]


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


def nearest_level(x: Tensor, bits: int) -> Tensor:
    """The nearest of the odd numbers from -(2^bits - 1) to 2^bits - 1; an even number goes to the one above."""
    most = (1 << bits) - 1
    return x.detach().mul(0.5).floor_().mul_(2).add_(1).clamp_(-most, most)


# For normally distributed weights, the best scale of 2, 3 and 4 bits as a part of the mean size (Max 1960).
_BEGIN = {1: 1.0, 2: 0.624, 3: 0.367, 4: 0.210}
_LEAST = 1e-30  # of a scale that something is divided by
_FITTINGS = 4  # each brings the scale nearer to the best one; after four it hardly moves


@torch.no_grad()
def _fitted_step(weight: Tensor, bits: int) -> Tensor:
    """The scale by which the levels of a channel are near its weights: least squares, in turn with the levels."""
    axes = _within_channel(weight)
    step = weight.abs().mean(axes, keepdim=True) * _BEGIN[bits]
    for _ in range(_FITTINGS):
        level = nearest_level(weight / step.clamp_min(_LEAST), bits)
        step = (weight * level).mean(axes, keepdim=True) / level.square().mean(axes, keepdim=True)
    return step.clamp_min(_LEAST)


class Estimator(nn.Module, ABC):
    """A straight-through estimator: latent weights to signs times one scale an output channel.

    The methods take and return weights seen as (groups, inputs, outputs, rest...), see `_leading_shape`. Those that
    know weights of several bits have a `step`, the scale that latent weights are divided by to find their levels; of
    one bit, signs are taken as they are.
    """

    most_bits = 1

    def __init__(self, latent: Tensor, leading_shape: tuple[int, ...], bits: int = 1) -> None:
        super().__init__()
        self.leading_shape = leading_shape
        self.bits = bits

    def forward(self, latent: Tensor) -> Tensor:
        weight = self.balance(_split(latent, self.leading_shape))
        if self.bits > 1:
            return self.several(weight).reshape(latent.shape)
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

    def several(self, weight: Tensor) -> Tensor:
        """Levels times scale. The gradient passes through a level where |w / step| <= 2^bits, and stops beyond."""
        step = self.step(weight)
        divided = weight / step
        level = nearest_level(divided, self.bits)
        surrogate = divided.clamp(-(1 << self.bits), 1 << self.bits)
        return (level + (surrogate - surrogate.detach())) * self.scale(weight)

    def step(self, weight: Tensor) -> Tensor:
        """What a level stands for, (groups, 1, outputs, 1...), where there are several bits; above 0."""
        return self.scale(weight).clamp_min(_LEAST)

    def levels(self, weight: Tensor) -> Tensor:
        """The levels in evaluation."""
        return _sign(weight) if self.bits == 1 else nearest_level(weight / self.step(weight), self.bits)

    def channels(self, latent: Tensor) -> Tensor:
        """The number of each weight's output channel, as scales are numbered; shaped as the latent weights."""
        weight = _split(latent, self.leading_shape)
        sizes = _one_per_channel(weight)
        return torch.arange(math.prod(sizes)).view(sizes).expand(weight.shape).reshape(latent.shape)

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
    Of several bits: b = a * l, with the levels l of w / s and a = <w, l> / <l, l>, the best scale for these levels; s
    is found by least squares in turn with the levels, and has no gradient.
    """

    most_bits = MAX_BITS

    def scale(self, weight: Tensor) -> Tensor:
        axes = _within_channel(weight)
        if self.bits > 1:
            level = self.levels(weight)
            return (weight * level).mean(axes, keepdim=True) / level.square().mean(axes, keepdim=True)
        # mean |w|, written so that a weight of 0 has the gradient of its sign, +1: zero weights can leave zero.
        return (weight * _sign(weight)).mean(axes, keepdim=True)

    def step(self, weight: Tensor) -> Tensor:
        return _fitted_step(weight, self.bits)


class IRNet(Estimator):
    """IR-Net: balanced weights, shift scale and error-decay estimator (Qin et al. 2020, arXiv 1909.10788).

    Forward: v = (w - mean w) / std w over the output channel; b = 2^s * sign(v), s = round(log2(mean |v|)).
    Gradient: dL/dv = 2^s * dL/db * k * t * (1 - tanh^2(t * v)), t = 10^(2 * progress - 1), k = max(1 / t, 1), then
    through v to w; none through s. `set_progress` takes progress from 0 to 1 in training: from nearly the identity
    to nearly the sign.
    """

    def __init__(self, latent: Tensor, leading_shape: tuple[int, ...], bits: int = 1) -> None:
        super().__init__(latent, leading_shape, bits)
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
    Of several bits (Esser et al. 2020, LSQ, arXiv 1902.08153): b = a * l, l the levels of w / a, and a begins where
    they are nearest to w; dL/dw = g where |w / a| <= 2^k, else 0; dL/da sums g * (l - w / a), beyond 2^k g * l.
    An optimizer made before `binarize` does not know the new parameter: make it after.
    """

    most_bits = MAX_BITS

    def __init__(self, latent: Tensor, leading_shape: tuple[int, ...], bits: int = 1) -> None:
        super().__init__(latent, leading_shape, bits)
        self.learned = nn.Parameter(self.begin(latent.detach())["learned"])

    def begin(self, latent: Tensor) -> dict[str, Tensor]:
        weight = _split(latent, self.leading_shape)
        if self.bits > 1:
            return {"learned": _fitted_step(weight, self.bits).flatten()}
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
    `named_modules()` of the module itself, out of what wraps it (DataParallel, torch.compile, ...). Weights that code
    of the user's computes with (F.conv2d, a matrix product) have parameters' names, and need a plan: it knows which
    axis the outputs are on. A plan also says how many bits, 1 to 4, the weights of each layer have; more than one is
    for "bwn" and "learned-scale". `method` is a name in METHODS. The latent weights stay the very same parameters, so
    an optimizer made before goes on with them. In `state_dict()` they are LAYER.parametrizations.weight.original;
    `load_state_dict` also takes a float module's state.

    weight_norm (hook or parametrization) is folded: its direction, the same parameter, takes the values of the weight
    and becomes the latent weights; its length is dropped, and an optimizer made before keeps it without use.
    spectral_norm (either) stays, as a parametrization over the binary weights; its parameter becomes the latent ones.

    Raises PBGenError, and changes nothing, where the module cannot be seen into or is made ready for several processes
    already, the method or a layer is unknown, the method has fewer bits, a layer is of another kind, its weight is
    binary, pruned or otherwise computed already, or shared with another layer, and where no layer is selected.
    """
    if method not in METHODS:
        raise PBGenError(f"method '{method}': unknown; choose one of {', '.join(METHODS)}")
    if isinstance(selection, Plan):
        _check_bits(selection, method)
    inner = unwrap(module)
    if any(isinstance(part, nn.parallel.DistributedDataParallel) for part in module.modules()):
        raise PBGenError(
            "DistributedDataParallel: it has taken stock of the parameters; binarize the module first, then wrap it"
        )
    chosen = _select(inner, selection)
    for slot, leading_shape in chosen:
        _check(inner, slot, leading_shape, method)
    bits = selection.bits if isinstance(selection, Plan) else {}
    for slot, leading_shape in chosen:
        norms.insert(slot, partial(METHODS[method], leading_shape=leading_shape, bits=bits.get(slot.name, 1)))
        slot.owner.train(slot.owner.training)  # what was added begins in training mode
        load = partial(_take_float, slot.tensor)
        slot.owner.register_load_state_dict_pre_hook(load)
    return module


def _check_bits(plan: Plan, method: str) -> None:
    for layer in plan.layers:
        if layer.binary and layer.bits > METHODS[method].most_bits:
            able = ", ".join(name for name, kind in METHODS.items() if kind.most_bits >= layer.bits)
            raise PBGenError(
                f"layer '{layer.name}': {layer.bits} bits, and method '{method}' has one; {able} have more"
            )


def _take_float(tensor: str, owner: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Where the state to be loaded is a float layer's, begin with its weights as binarize would."""
    estimator = estimator_of(owner, tensor)
    latent = None if estimator is None else norms.take_float(state, prefix, tensor)
    if estimator is None or latent is None:
        return
    values = {"original": latent}
    if latent.shape == _latent(owner, tensor).shape:  # else torch will say so
        own = estimator.begin(latent)
        weight = torch.func.functional_call(estimator, own, (latent,)).detach()
        values.update({f"0.{name}": value for name, value in own.items()}, **norms.begin(owner, tensor, weight))
    state.update({f"{prefix}parametrizations.{tensor}.{name}": value for name, value in values.items()})


def _select(module: nn.Module, selection: Plan | str | Iterable[str]) -> list[tuple[Slot, tuple[int, ...]]]:
    """The weights that become binary, and what their first axis is split into."""
    modules = dict(module.named_modules())
    if selection == "all":
        names = [name for name, layer in modules.items() if isinstance(layer, LAYER_KINDS)]
    elif isinstance(selection, str):
        raise PBGenError(f"selection '{selection}': give a plan, \"all\" or a list of layer names")
    else:
        names = selection.binary if isinstance(selection, Plan) else list(selection)
    if not names:
        raise PBGenError(f"nothing to binarize: {_why_none(module, selection)}")
    rows = {row.name: row for row in selection.layers} if isinstance(selection, Plan) else {}
    known = {slot.name: slot for slot in slots(module).values()}
    chosen = []
    for name in dict.fromkeys(names):
        layer, slot = modules.get(name), known.get(name)
        if isinstance(layer, LAYER_KINDS):
            slot = slot or _shared(name, layer)
            if nn.parameter.is_lazy(slot.parameter):
                raise PBGenError(f"layer '{name}': its weight has no shape yet; run the module once first")
            chosen.append((slot, _leading_shape(layer, slot.parameter)))
        elif layer is not None and (slot is None or name == ""):
            raise PBGenError(
                f"layer '{name}': a {type(layer).__name__} cannot be binary; "
                f"{', '.join(kind.__name__ for kind in LAYER_KINDS)} can{_by_plan(name, known)}"
            )
        elif slot is None:
            near = difflib.get_close_matches(name, modules) or [n for n in modules if n]
            raise PBGenError(f"layer '{name}': not in {type(module).__name__}; it has {_listed(near)}")
        elif name not in rows:
            raise PBGenError(
                f"layer '{name}': a parameter, of which only a plan knows where its outputs are; "
                "give pbgen.plan(module, example).choosing([...]) in place of names"
            )
        else:
            chosen.append((slot, rows[name].leading_shape))
    return chosen


def _shared(name: str, layer: nn.Module) -> Slot:
    """The weight of a layer under whose name torch does not list it, as it is another layer's too."""
    weight = layer._parameters.get("weight")
    if weight is None:
        raise PBGenError(f"layer '{name}': {_computed(layer, 'weight')}")
    return Slot(name, layer, "weight", weight)


def _by_plan(path: str, known: Mapping[str, Slot]) -> str:
    """What to do about a module of the user's with weights of its own."""
    own = [slot.name for slot in known.values() if slot.path == path and slot.parameter.dim() > 1]
    return f"; for its parameter '{own[0]}' give a plan" if own else ""


def _why_none(module: nn.Module, selection: Plan | str | Iterable[str]) -> str:
    """Why nothing is selected, and what to do."""
    if not isinstance(selection, Plan):
        return f"no layer of {type(module).__name__} is selected"
    best = max(selection.layers, key=lambda layer: layer.degree_of_redundancy)
    return (
        f"the plan has no binary layer, as the largest degree of redundancy is {best.degree_of_redundancy:,.6g} (layer "
        f"'{best.name}') and its threshold {selection.threshold:,.6g}; plan with a lower threshold, or name layers"
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _check(module: nn.Module, slot: Slot, leading_shape: tuple[int, ...], method: str) -> None:
    owner, tensor, latent, name = slot.owner, slot.tensor, slot.parameter, slot.name
    if estimator_of(owner, tensor) is not None:
        raise PBGenError(f"layer '{name}': binary already; select each layer once")
    if tensor not in owner._parameters and not norms.normed(owner, tensor):
        raise PBGenError(f"layer '{name}': {_computed(owner, tensor)}")
    for other, part in module.named_modules():
        inside = other.startswith(f"{slot.path}.parametrizations." if slot.path else "parametrizations.")
        if part is not owner and not inside and any(parameter is latent for parameter in part._parameters.values()):
            raise PBGenError(f"layer '{name}': shares its weight with '{other}'; give each its own first")
    if latent.shape[0] != math.prod(leading_shape):
        raise PBGenError(f"layer '{name}': its weight is {list(latent.shape)}, not as planned; plan this module anew")
    weight = _split(latent, leading_shape)
    if method == "irnet" and weight.numel() == math.prod(_one_per_channel(weight)):
        raise PBGenError(f"layer '{name}': one weight an output channel cannot be balanced; use another method")


def _computed(owner: nn.Module, tensor: str) -> str:
    """What makes a weight that is no parameter, and how to be rid of it."""
    for hook in computing_hooks(owner).values():
        if hook_tensor(hook) == tensor and isinstance(hook, BasePruningMethod):
            return f'its weight is made by pruning; call torch.nn.utils.prune.remove(layer, "{tensor}") first'
    if parametrize.is_parametrized(owner, tensor):
        made = ", ".join(type(kind).__name__.lstrip("_") for kind in norms.steps(owner, tensor))
        return (
            f"its weight is made by a parametrization, {made}; "
            f'call torch.nn.utils.parametrize.remove_parametrizations(layer, "{tensor}") first'
        )
    return (
        f"its weight is not a parameter but computed in code of its own, {type(owner).__name__} or who calls it; "
        "give a plan, which follows it, or make it a parameter first"
    )


def estimator_of(owner: nn.Module, tensor: str = "weight") -> Estimator | None:
    """The estimator of a binary layer; None where the layer is not binary."""
    if not parametrize.is_parametrized(owner, tensor):
        return None
    first = norms.steps(owner, tensor)[0]
    return first if isinstance(first, Estimator) else None


def binary_weights(module: nn.Module) -> dict[str, Slot]:
    """The binary weights of `module` by name: their layers' names where they are those of layers."""
    found = {}
    for path, owner in module.named_modules():
        for tensor in cast(dict[str, nn.Module], owner.parametrizations) if parametrize.is_parametrized(owner) else ():
            if estimator_of(owner, tensor) is not None:
                slot = Slot(path, owner, tensor, _latent(owner, tensor))
                found[slot.name] = slot
    return found


def binary_layers(module: nn.Module) -> dict[str, Layer]:
    """The binary layers of `module` by name."""
    return {name: cast(Layer, slot.owner) for name, slot in binary_weights(module).items() if name == slot.path}


def latent_weights(module: nn.Module) -> dict[str, nn.Parameter]:
    """The latent float weights of `module` by the names of its binary weights."""
    return {name: slot.parameter for name, slot in binary_weights(module).items()}


def _latent(owner: nn.Module, tensor: str) -> nn.Parameter:
    return cast(nn.Parameter, norms.steps(owner, tensor).original)


@torch.no_grad()
def signs_and_scale(layer: nn.Module, tensor: str = "weight") -> tuple[Tensor, Tensor]:
    """The binary weight as it is in evaluation: signs (+1 or -1, shaped as the weight) and scale (C_out,). Of several
    bits, odd levels in the signs' place.

    Signs times scale, along the output channel, are exactly `layer.weight` in evaluation mode, or what another
    parametrization makes it of. Raises PBGenError where the layer is not binary.
    """
    estimator = estimator_of(layer, tensor)
    if estimator is None:
        raise PBGenError(f"{type(layer).__name__}: not a binary layer; binarize it first")
    latent = _latent(layer, tensor)
    weight = estimator.balance(_split(latent, estimator.leading_shape))
    return estimator.levels(weight).reshape(latent.shape), estimator.scale(weight).flatten()


@torch.no_grad()
def clip_latent_weights(module: nn.Module) -> None:
    """Clip the latent weights of all one-bit layers to [-1, 1], in place: beyond, a straight-through gradient is 0.

    Those of several bits have their own scale, and are left alone.
    """
    for slot in binary_weights(module).values():
        estimator = estimator_of(slot.owner, slot.tensor)
        if estimator is not None and estimator.bits == 1:
            slot.parameter.clamp_(-1, 1)


def set_progress(module: nn.Module, fraction: float) -> None:
    """Tell IR-Net's estimators how far the training is, 0 to 1. Other methods have nothing to anneal."""
    if not 0 <= fraction <= 1:
        raise PBGenError(f"progress {fraction}: must lie in 0 .. 1")
    for estimator in module.modules():
        if isinstance(estimator, IRNet):
            estimator.progress = float(fraction)
