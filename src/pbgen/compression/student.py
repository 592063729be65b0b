"""A copy of a float module with weights of few bits, and the closed form in which it begins."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import cast

import torch
from torch import Tensor, nn

from pbgen.binarize import Layer, LearnedScale, binarize, binary_layers, binary_weights, estimator_of
from pbgen.compression.inputs import Batch
from pbgen.modules import duplicate
from pbgen.packing.freeze import run
from pbgen.redundancy import Plan

_HALF = 65504.0  # the largest number of float16


def make_student(teacher: nn.Module, plan: Plan) -> nn.Module:
    """A copy whose layers have the bits of the plan, each output channel with a scale and, in layers, a shift to learn.

    It stays in evaluation mode, also while it learns: so batch norms keep the statistics of the teacher's training, and
    what is learned is what is packed.
    """
    student = duplicate(teacher).requires_grad_(True)
    if plan.binary:
        binarize(student, plan, "learned-scale")
    for layer in binary_layers(student).values():
        if layer.bias is None:
            _, scale = _parts(layer)
            layer.bias = nn.Parameter(torch.zeros_like(scale))
    return student.eval()


@torch.no_grad()
def halve(student: nn.Module) -> None:
    """Round what stays in float to float16, in place, where that can hold it: so it is packed in two bytes."""
    latent = {id(slot.parameter) for slot in binary_weights(student).values()}
    for parameter in student.parameters():
        if parameter.dim() > 1 and id(parameter) not in latent and parameter.abs().max() <= _HALF:
            parameter.copy_(parameter.half())


@torch.no_grad()
def calibrate(student: nn.Module, teacher: nn.Module, batches: Sequence[Batch], names: Iterable[str]) -> None:
    """Fit scale and shift of each output channel to the teacher's layer, by least squares, layer by layer.

    `names` are the layers in the order in which they run: each is fitted on what the ones before it, fitted, make.
    Layers that are the code of a user's module keep the scales that are nearest to their weights.
    """
    layers = binary_layers(student)
    for name in names:
        if name in layers:
            _calibrate_layer(layers[name], _sums(student, teacher, batches, name))


def _calibrate_layer(layer: Layer, sums: "_Sums | None") -> None:
    latent, scale = _parts(layer)
    if sums is None:
        return
    gain, shift = sums.fit()
    scale.mul_(gain)
    estimator = cast(LearnedScale, estimator_of(layer))
    if estimator.bits > 1:  # so that the levels stay
        rows = latent.view(*estimator.leading_shape, *latent.shape[1:])
        rows.mul_(gain.view(rows.shape[0], 1, rows.shape[2], *[1] * (rows.dim() - 3)))
    assert layer.bias is not None
    layer.bias.mul_(gain).add_(shift)


def _parts(layer: Layer) -> tuple[Tensor, Tensor]:
    estimator = cast(LearnedScale, estimator_of(layer))
    parametrizations = cast(dict[str, nn.ModuleList], layer.parametrizations)["weight"]
    return cast(Tensor, parametrizations.original), estimator.learned


class _Sums:
    """Of a layer's outputs x, and what they should be, y: what least squares by channels need."""

    def __init__(self, axis: int) -> None:
        self._axis, self._count, self._sums = axis, 0, torch.zeros(())

    def add(self, x: Tensor, y: Tensor) -> None:
        x, y = (value.double().movedim(self._axis, 0).flatten(1) for value in (x, y))
        self._count += x.shape[1]
        self._sums = self._sums + torch.stack([x.sum(1), y.sum(1), (x * x).sum(1), (x * y).sum(1)])

    def fit(self) -> tuple[Tensor, Tensor]:
        """Gain and shift of each channel: y is about gain * x + shift."""
        x, y, xx, xy = self._sums / self._count
        variance, covariance = xx - x * x, xy - x * y
        gain = torch.where(variance > 1e-12, covariance / variance.clamp_min(1e-12), torch.ones_like(x)).clamp(0.1, 10)
        return gain.float(), (y - gain * x).float()


def _sums(student: nn.Module, teacher: nn.Module, batches: Sequence[Batch], name: str) -> _Sums | None:
    """None where the layer is called otherwise than the teacher's."""
    linear = isinstance(student.get_submodule(name), nn.Linear)
    sums = _Sums(-1 if linear else 1)
    for batch in batches:
        made, expected = (
            ([], []) if not batch else (layer_outputs(one, batch, [name])[name] for one in (student, teacher))
        )
        if len(made) != len(expected) or not made:
            return None
        for x, y in zip(made, expected, strict=True):
            sums.add(x, y)
    return sums


def layer_outputs(module: nn.Module, batch: Batch, names: Iterable[str]) -> dict[str, list[Tensor]]:
    """What layers make of a batch, of each call, while the whole module runs."""
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    with ExitStack() as hooks:
        for name, values in found.items():
            hook = module.get_submodule(name).register_forward_hook(lambda _, __, made, to=values: to.append(made))
            hooks.callback(hook.remove)
        torch.manual_seed(0)
        run(module, batch)
    return found
