"""A copy of a float module with weights of few bits."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import allow_mutation_on_saved_tensors
from torch.utils import _pytree as pytree

from pbgen.binarize import LearnedScale, binarize, binary_layers, binary_weights, estimator_of
from pbgen.errors import PBGenError
from pbgen.modules import duplicate, first_line
from pbgen.redundancy import Plan

_ROUNDING = 2.0**-10  # of float16, of its normal numbers
_NOTHING = 2.0**-15  # of the largest number of a layer


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
            layer.bias = nn.Parameter(torch.zeros_like(cast(LearnedScale, estimator_of(layer)).learned))
    return student.eval()


def can_learn(teacher: nn.Module, inputs: tuple[Tensor, ...]) -> bool:
    """Whether what it makes of a batch hangs on any of its parameters by a gradient other than 0.

    Raises PBGenError where it fails as soon as gradients are kept.
    """
    student = duplicate(teacher).requires_grad_(True).eval()
    try:
        with torch.enable_grad(), allow_mutation_on_saved_tensors():
            gradients = _gradients(student, inputs)
    except Exception as error:  # whatever a user's forward may raise
        raise PBGenError(f"{type(teacher).__name__} fails where gradients are kept: {first_line(error)}") from error
    return any(gradient is not None and bool(gradient.any()) for gradient in gradients)


def _gradients(student: nn.Module, inputs: tuple[Tensor, ...]) -> Sequence[Tensor | None]:
    """Of its parameters, none where its outputs have none."""
    leaves = pytree.tree_leaves(student(*(value.clone() for value in inputs)))
    made = [value for value in leaves if isinstance(value, Tensor) and value.requires_grad]
    if not made:
        return []
    random = torch.Generator().manual_seed(0)  # a plain sum may be the same for all weights, as behind a norm
    total = torch.stack([(value * torch.randn(value.shape, generator=random).to(value)).sum() for value in made]).sum()
    return torch.autograd.grad(total, list(student.parameters()), allow_unused=True)


@torch.no_grad()
def halve(student: nn.Module) -> None:
    """Round what stays in float to float16, in place, where that can hold it: so it is packed in two bytes."""
    latent = {id(slot.parameter) for slot in binary_weights(student).values()}
    for module in student.modules():
        parameters = [one for one in module.parameters(recurse=False) if id(one) not in latent and one.numel()]
        nothing = _NOTHING * max((float(value.abs().max()) for value in [*parameters, *_scale(module)]), default=0.0)
        for parameter in parameters:
            if _fits_half(parameter, nothing):
                parameter.copy_(parameter.half())


def _scale(module: nn.Module) -> list[Tensor]:
    """That of a layer of few bits, beside which its shifts count."""
    estimator = estimator_of(module)
    return [estimator.learned] if isinstance(estimator, LearnedScale) else []


def _fits_half(values: Tensor, nothing: float) -> bool:
    """Whether float16 rounds all by no more than it usually does, but for those that are next to nothing."""
    return torch.allclose(values.half().to(values), values, rtol=_ROUNDING, atol=nothing)
