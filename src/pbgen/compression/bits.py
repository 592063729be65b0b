"""Which layer gets how many bits: the least error for the bytes that there are, or the fewest bytes for an error."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pbgen.compression.closed_form import Fit, calibrate
from pbgen.compression.inputs import Batch
from pbgen.compression.judge import Judge, log_error
from pbgen.compression.student import make_student
from pbgen.errors import PBGenError
from pbgen.redundancy import FLOAT_BITS, MAX_BITS, Plan
from pbgen.training.teacher import outputs

_PARTS = 1 << 16
_HALVINGS = 6
SEARCHED = _HALVINGS + 2
"""Plans that `fewest_bytes` tries at most."""
CHOICES = (*range(1, MAX_BITS + 1), FLOAT_BITS)

Errors = dict[str, dict[int, float]]
"""By layer and bits: the error of the outputs, where that layer alone has so many bits, as a part of their variance;
the geometric mean of the examples', so that a few which none can make do not count alone."""


def weight_bytes(weights: int, bits: int) -> int:
    """What a layer's weights take in a file; those that stay in float are float16 there."""
    return 2 * weights if bits == FLOAT_BITS else bits * -(-weights // 8)


def plan_bytes(plan: Plan) -> int:
    """What the weights of all layers take in a file."""
    return sum(weight_bytes(layer.weights, layer.bits) for layer in plan.layers)


def compressible(teacher: nn.Module, plan: Plan) -> tuple[list[str], dict[str, str]]:
    """The layers that can have few bits; and why, of those that cannot."""
    able: list[str] = []
    reasons: dict[str, str] = {}
    for layer in plan.layers:
        try:
            make_student(teacher, plan.choosing({layer.name: 1}))
        except PBGenError as error:
            reasons[layer.name] = str(error)
        else:
            able.append(layer.name)
    return able, reasons


def measure_errors(
    teacher: nn.Module,
    plan: Plan,
    names: Sequence[str],
    fitted_to: Batch,
    judged_by: Batch,
    progress: Callable[[int, int], object],
) -> Errors:
    """Each layer alone with each number of bits, its levels, scales and shifts fitted, nothing learned.

    Other examples judge: a layer that meets few positions can be fitted to any.
    """
    judge = Judge(teacher, [judged_by])
    errors: Errors = {}
    for number, name in enumerate(names, 1):
        known: dict[str, Fit] = {}  # the same for all bits, as what runs before the layer stays in float
        measured = {
            bits: _error(teacher, plan.choosing({name: bits}), fitted_to, judge, known) for bits in CHOICES[:-1]
        }
        errors[name] = measured | {FLOAT_BITS: 0.0}
        progress(number, len(names))
    return errors


def _error(teacher: nn.Module, plan: Plan, fitted_to: Batch, judge: Judge, known: dict[str, Fit]) -> float:
    student = make_student(teacher, plan)
    calibrate(student, teacher, fitted_to, plan.binary, known)
    found = [
        log_error(made, right, variance)
        for batch, expected in zip(judge.batches, judge.expected, strict=True)
        for made, right, variance in zip(outputs(student, batch), expected, judge.variances, strict=True)
    ]
    error = float(torch.stack(found).mean().exp())
    return math.inf if math.isnan(error) else error  # of values that grew beyond all numbers


def choose_bits(plan: Plan, errors: Errors, budget: int) -> Plan:
    """The least sum of errors within `budget` bytes of weights: a knapsack, its bytes in parts of a 65536th of them.

    Layers without measured errors stay in float. One bit everywhere is taken to fit.
    """
    one_bit = dict.fromkeys(errors, 1)
    weights = {layer.name: layer.weights for layer in plan.layers}
    room = budget - plan_bytes(plan.choosing(one_bit))
    part = max(1, room // _PARTS)
    least = np.zeros(room // part + 1)  # the sum of errors for so many parts beyond one bit everywhere
    taken: list[NDArray[np.uint8]] = []
    for name, by_bits in errors.items():
        sums = []
        for bits in CHOICES:
            more = -(-(weight_bytes(weights[name], bits) - weight_bytes(weights[name], 1)) // part)
            before = np.full_like(least, np.inf)
            before[more:] = least[: max(0, len(least) - more)]
            sums.append(before + by_bits[bits])
        taken.append(np.argmin(sums, axis=0).astype(np.uint8))
        least = np.min(sums, axis=0)
    chosen, left = {}, len(least) - 1
    for name, choice in zip(reversed(errors), reversed(taken), strict=True):
        chosen[name] = CHOICES[choice[left]]
        left -= -(-(weight_bytes(weights[name], chosen[name]) - weight_bytes(weights[name], 1)) // part)
    return plan.choosing(chosen)


def fewest_bytes(plan: Plan, errors: Errors, reaches: Callable[[Plan], bool]) -> Plan | None:
    """The plan of the fewest bytes that `reaches` what is asked for, to a 64th of the way from one bit everywhere to
    float16; None where float16 does not. More bytes are taken to bring no less."""
    least, most = (plan_bytes(plan.choosing(dict.fromkeys(errors, bits))) for bits in (1, FLOAT_BITS))
    low, high = 0, 1 << _HALVINGS

    def at(part: int) -> Plan:
        return choose_bits(plan, errors, least + (most - least) * part // (1 << _HALVINGS))

    if reaches(at(low)):
        return at(low)
    if not reaches(at(high)):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(at(middle)) else (middle, high)
    return at(high)
