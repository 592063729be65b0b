"""A copy of a float module with weights of few bits."""

from typing import cast

import torch
from torch import nn

from pbgen.binarize import LearnedScale, binarize, binary_layers, binary_weights, estimator_of
from pbgen.modules import duplicate
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
            layer.bias = nn.Parameter(torch.zeros_like(cast(LearnedScale, estimator_of(layer)).learned))
    return student.eval()


@torch.no_grad()
def halve(student: nn.Module) -> None:
    """Round what stays in float to float16, in place, where that can hold it: so it is packed in two bytes."""
    latent = {id(slot.parameter) for slot in binary_weights(student).values()}
    for parameter in student.parameters():
        if parameter.dim() > 1 and id(parameter) not in latent and parameter.abs().max() <= _HALF:
            parameter.copy_(parameter.half())
