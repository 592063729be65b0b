"""The closed form in which a student begins: a run of the teacher, and one of the student in which it is fitted."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pbgen.binarize import LearnedScale, binary_weights, estimator_of, nearest_level
from pbgen.compression.columns import Call
from pbgen.compression.inputs import Batch
from pbgen.compression.levels import fit_levels, fit_scale
from pbgen.errors import PBGenError
from pbgen.operators import EachOperator, attention_by_operators, products
from pbgen.packing.freeze import run
from pbgen.weights import Slot

_MOST_MET = 4608
"""Weights of an output whose levels are fitted: the time grows with the third power of their number."""


Meet = Callable[[Slot, Tensor, Call], None]
"""Called with a weight's slot, the weight, and a product of it."""


@dataclass(frozen=True)
class Moments:
    """What the levels of a layer are fitted by: what its weights meet, x, and what it should make, y, less their means
    where there is a bias; (groups, n, n), (groups, outputs, n), (groups, n, 1) and (groups, outputs, 1)."""

    gram: Tensor  # the mean of x x'
    cross: Tensor  # that of y x'
    mean_met: Tensor
    mean_right: Tensor


@dataclass(frozen=True)
class Fit:
    """All that the levels of a layer are fitted by.

    places: where in the weight the rows are that meet what has these moments, (groups, outputs, n); shift: the name of
    the parameter that takes the shift, if there is one.
    """

    moments: Moments
    places: Tensor
    shift: str | None


class _AllMetError(BaseException):
    """Ends a run of which no more is wanted. Not an Exception: a module may catch those, and `run` takes them for its
    failure."""


@torch.no_grad()
def calibrate(
    student: nn.Module,
    teacher: nn.Module,
    batch: Batch,
    names: Collection[str],
    known: dict[str, Fit] | None = None,
) -> None:
    """Fit the levels, scales and shifts of layers to what the teacher's layers make, in the order in which they run.

    Each is fitted on what the ones before it, fitted, make. A layer is wherever its weight is multiplied, in a module
    of torch's or in code of the user's, the first time that it is; there is a shift where that adds a bias. Levels stay
    those nearest to the weights where the product is of something else than the weight, a view or a multiple of it, or
    sums too many numbers. A layer whose products are not the teacher's, or not of all its channels, stays as it is.

    known: what layers are fitted by, by name; those that are missing are added. For the same teacher and batch, and
    layers that meet what the teacher's do, so that they can be fitted again with other bits, and nothing is run.
    """
    slots = {name: slot for name, slot in binary_weights(student).items() if name in names}
    for name in slots.keys() & (known or {}).keys():
        _fit_levels(student, slots.pop(name), cast(dict[str, Fit], known)[name])
    if not slots:
        return
    expected: dict[str, Tensor] = {}
    fitted: list[tuple[Tensor, Tensor]] = []

    def keep(slot: Slot, weight: Tensor, call: Call) -> None:
        expected[slot.name] = call.values()

    def fit(slot: Slot, weight: Tensor, call: Call) -> None:
        if slot.name in expected:
            changed = _fit(student, slot, weight, call, expected[slot.name], known)
            fitted.extend((tensor, tensor.clone()) for tensor in changed)

    _first_products(teacher, slots, batch, keep)
    _first_products(student, slots, batch, fit)
    for tensor, value in fitted:  # `run` leaves a module as it was
        tensor.copy_(value)


def _first_products(module: nn.Module, slots: Mapping[str, Slot], batch: Batch, meet: Meet) -> None:
    """Run a module until the first product of each weight was met, which may be scaled, cut or turned before.

    Nothing but weights is followed, and kept: a Provenance would keep all that the module makes of a batch.
    """
    torch.manual_seed(0)
    with parametrize.cached():  # so that a weight is the same tensor wherever it is asked for
        weights = {
            name: cast(Tensor, getattr(module.get_submodule(slot.path), slot.tensor)) for name, slot in slots.items()
        }
        left = dict(slots)
        # By address; the storage itself is kept, or its address could be given to another.
        names = {_address(weight): (weight.untyped_storage(), name) for name, weight in weights.items()}

        def name_in(value: object) -> str:
            return names[_address(value)][1] if isinstance(value, Tensor) and _address(value) in names else ""

        def look(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
            result = func(*args, **kwargs)
            name = max(map(name_in, args), default="")
            if not name:
                return result
            used = next((product for product in products(func, args) if name_in(product.weight)), None)
            if used is not None:
                name = name_in(used.weight)
                if left.pop(name, None):
                    meet(slots[name], weights[name], Call(func, args, used, result))
                    if not left:
                        raise _AllMetError
            elif isinstance(result, Tensor) and result.numel() <= weights[name].numel():
                names[_address(result)] = result.untyped_storage(), name
            return result

        try:
            with attention_by_operators(), EachOperator(look):
                run(module, batch)
        except (_AllMetError, PBGenError):  # TorchScript makes a failure of it
            if left:
                raise


def _address(value: Tensor) -> int:
    return int(value.untyped_storage()._cdata)


def _fit(
    student: nn.Module, slot: Slot, weight: Tensor, call: Call, right: Tensor, known: dict[str, Fit] | None
) -> list[Tensor]:
    """Fit a product, whose result becomes what it makes then; returns the parameters that have changed."""
    estimator = cast(LearnedScale, estimator_of(slot.owner, slot.tensor))
    made = call.values()
    if right.shape != made.shape or len(made) != len(estimator.learned):
        return []
    shift = _shift(student, slot, call.product.bias)
    bias = None if shift is None else student.get_parameter(shift)
    used = call.product.weight
    factor = _factor(weight, used)
    places = call.rows(_layout(weight, used)) if factor else None
    if places is None or places.shape[2] > _MOST_MET or not _are_channels(places, slot, estimator):
        _fit_scale(slot, estimator, call, made, right, bias)
    else:
        moments = _moments(call.columns().mul_(factor), right.view(*places.shape[:2], -1), bias is not None)
        fit = Fit(moments, places, shift)
        if known is not None:
            known[slot.name] = fit
        _fit_levels(student, slot, fit)
        weight.copy_(estimator(slot.parameter))
        if not _is_view(used, weight):
            used.copy_(factor * weight)
        call.result.copy_(call.func(*call.args))
    return [slot.parameter, estimator.learned, *([bias] if bias is not None else [])]


def _shift(student: nn.Module, slot: Slot, added: Tensor | None) -> str | None:
    """What can take a shift: the layer's bias; in code of the user's, the parameter that the product adds."""
    if slot.name == slot.path:
        return f"{slot.path}.bias".removeprefix(".")
    if added is None:
        return None
    own = [name for name, own in student.named_parameters() if own.data_ptr() == added.data_ptr()]
    return own[0] if len(own) == 1 else None


def _is_view(used: Tensor, weight: Tensor) -> bool:
    return _address(used) == _address(weight)


def _factor(weight: Tensor, used: Tensor) -> float:
    """Times the weight that is what is multiplied, or all of it seen in another way; 0 if it is something else."""
    if _is_view(used, weight):
        return float(used.numel() == weight.numel())
    if used.shape != weight.shape:
        return 0.0
    factor = float((used * weight).sum() / weight.square().sum())
    return factor if torch.allclose(used, factor * weight, rtol=1e-4) else 0.0


def _layout(weight: Tensor, used: Tensor) -> Tensor:
    """The number in the weight of each number of what is multiplied."""
    numbers = torch.empty_like(weight, dtype=torch.int64)  # as it lies in memory, be it with the channels last
    numbers.copy_(torch.arange(weight.numel()).view(weight.shape))
    if not _is_view(used, weight):
        return numbers
    return numbers.as_strided(used.shape, used.stride(), used.storage_offset() - weight.storage_offset())


def _are_channels(places: Tensor, slot: Slot, estimator: LearnedScale) -> bool:
    """Whether each row has one scale."""
    channels = estimator.channels(slot.parameter).flatten()[places]
    return bool((channels == channels[:, :, :1]).all())


def _moments(met: Tensor, right: Tensor, shifted: bool) -> Moments:
    """Of columns, which are moved, and what the rows should make of them."""
    mean_met, mean_right = met.mean(2, keepdim=True), right.mean(2, keepdim=True)
    if shifted:  # by a bias, which takes the means
        met, right = met.sub_(mean_met), right - mean_right
    gram, cross = (one @ met.transpose(1, 2) / met.shape[2] for one in (met, right))
    return Moments(gram, cross, mean_met, mean_right)


def _fit_levels(student: nn.Module, slot: Slot, fit: Fit) -> None:
    estimator, moments, places = cast(LearnedScale, estimator_of(slot.owner, slot.tensor)), fit.moments, fit.places
    latent, channels = slot.parameter.flatten(), estimator.channels(slot.parameter).flatten()[places[:, :, 0]]
    weights = latent[places]
    levels, scale = fit_levels(moments.gram, moments.cross, weights, estimator.learned[channels], estimator.bits)
    estimator.learned[channels] = scale
    fitted = levels * scale[:, :, None]
    kept = nearest_level(weights / scale[:, :, None], estimator.bits) == levels
    latent[places] = torch.where(kept, weights, fitted)
    slot.parameter.copy_(latent.view_as(slot.parameter))
    if fit.shift is not None:
        bias = student.get_parameter(fit.shift)
        bias.add_((moments.mean_right - fitted @ moments.mean_met).reshape(bias.shape))


def _fit_scale(
    slot: Slot, estimator: LearnedScale, call: Call, made: Tensor, right: Tensor, bias: Tensor | None
) -> None:
    gain, shift = fit_scale(made, right, bias is not None)
    estimator.learned.mul_(gain)
    if estimator.bits > 1:  # so that the levels stay
        slot.parameter.mul_(gain[estimator.channels(slot.parameter)])
    result, added = call.result.movedim(call.product.axis, -1), call.product.bias
    if added is None:
        result.mul_(gain)
    else:
        result.sub_(added).mul_(gain)
    if bias is not None:
        bias.add_(shift.view_as(bias))
    if added is not None:
        result.add_(added)  # which is `bias`
