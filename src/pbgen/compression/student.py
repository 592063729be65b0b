"""A copy of a float module with weights of few bits, and the closed form in which it begins."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode

from pbgen.binarize import LearnedScale, binarize, binary_layers, binary_weights, estimator_of
from pbgen.compression.inputs import Batch
from pbgen.modules import duplicate
from pbgen.packing.freeze import run
from pbgen.provenance import Product, attention_by_operators, products
from pbgen.redundancy import Plan
from pbgen.weights import Slot

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
            layer.bias = nn.Parameter(torch.zeros_like(_scale_of(layer, "weight").learned))
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

    `names` are the layers in the order in which they run: each is fitted on what the ones before it, fitted, make. A
    layer is wherever its weight is multiplied, in a module of torch's or in code of the user's; there is a shift where
    that adds a bias. One whose products are not the teacher's, or not of all its channels, is left as it is.
    """
    slots = binary_weights(student)
    for name in names:
        if name in slots:
            _calibrate_layer(student, teacher, batches, slots[name])


def _calibrate_layer(student: nn.Module, teacher: nn.Module, batches: Sequence[Batch], slot: Slot) -> None:
    estimator = _scale_of(slot.owner, slot.tensor)
    sums, biases = _Sums(len(estimator.learned)), list[Tensor]()
    for batch in batches:
        made, expected = (layer_outputs(one, batch, slot) for one in (student, teacher))
        if not sums.add(made.values, expected.values):
            return
        biases += made.biases
    gain, shift = sums.fit()
    estimator.learned.mul_(gain)
    if estimator.bits > 1:  # so that the levels stay
        rows = slot.parameter.view(*estimator.leading_shape, *slot.parameter.shape[1:])
        rows.mul_(gain.view(rows.shape[0], 1, rows.shape[2], *[1] * (rows.dim() - 3)))
    bias = _bias(student, slot, biases)
    if bias is not None:
        bias.add_(shift.view_as(bias))


def _scale_of(owner: nn.Module, tensor: str) -> LearnedScale:
    return cast(LearnedScale, estimator_of(owner, tensor))


def _bias(student: nn.Module, slot: Slot, added: Sequence[Tensor]) -> Tensor | None:
    """What can take a shift: the layer's bias; in code of the user's, the parameter that its products add."""
    if slot.name == slot.path:
        return cast(Tensor, slot.owner.bias)
    found = {id(own): own for own in student.parameters() for bias in added if own.data_ptr() == bias.data_ptr()}
    return found.popitem()[1] if len(found) == 1 else None


class _Sums:
    """Of a layer's outputs x, and what they should be, y: what least squares by channels need."""

    def __init__(self, channels: int) -> None:
        self._count, self._sums = 0, torch.zeros(4, channels, dtype=torch.float64)

    def add(self, made: Sequence[Tensor], right: Sequence[Tensor]) -> bool:
        """Of each call, (channels, n). False where they are not calls of the same layer."""
        if [value.shape for value in made] != [value.shape for value in right] or not made:
            return False
        if any(len(value) != self._sums.shape[1] for value in made):
            return False
        x, y = (torch.cat(values, 1).double() for values in (list(made), list(right)))
        self._count += x.shape[1]
        self._sums += torch.stack([x.sum(1), y.sum(1), (x * x).sum(1), (x * y).sum(1)])
        return True

    def fit(self) -> tuple[Tensor, Tensor]:
        """Gain and shift of each channel: y is about gain * x + shift."""
        x, y, xx, xy = self._sums / self._count
        variance, covariance = xx - x * x, xy - x * y
        gain = torch.where(variance > 1e-12, covariance / variance.clamp_min(1e-12), torch.ones_like(x)).clamp(0.1, 10)
        return gain.float(), (y - gain * x).float()


class LayerOutputs(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves __init_subclass__ untyped
    """While active, what products with a weight make, each as (channels, n) without its bias; and these biases.

    The weight may be scaled, cut or turned on its way to them. No more is followed, as this runs often (a Provenance
    takes several times as long).
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.values: list[Tensor] = []
        self.biases: list[Tensor] = []
        self._weights: dict[int, torch.UntypedStorage] = {}  # by address; kept, or that could be given to another
        self._follow(weight)

    def _follow(self, weight: Tensor) -> None:
        storage = weight.untyped_storage()
        self._weights[storage._cdata] = storage

    def _is_weight(self, value: object) -> bool:
        return isinstance(value, Tensor) and value.untyped_storage()._cdata in self._weights

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not any(map(self._is_weight, args)):
            return result
        used = [product for product in products(func, args) if self._is_weight(product.weight)]
        if used:
            self._note(used[0], result)
        elif isinstance(result, Tensor):
            self._follow(result)
        return result

    def _note(self, product: Product, result: Tensor) -> None:
        values = result.movedim(product.axis, 0).flatten(1)
        if product.bias is not None and product.bias.numel() == len(values):
            self.biases.append(product.bias)
            values = values - product.bias.reshape(-1, 1)
        self.values.append(values)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in Provenance


def layer_outputs(module: nn.Module, batch: Batch, slot: Slot) -> LayerOutputs:
    """What a layer makes of a batch, of each call, while the whole module runs."""
    torch.manual_seed(0)
    with torch.no_grad(), parametrize.cached():  # so that the weight is the same tensor wherever it is asked for
        found = LayerOutputs(getattr(module.get_submodule(slot.path), slot.tensor))
        with attention_by_operators(), found:
            run(module, batch)
    return found
