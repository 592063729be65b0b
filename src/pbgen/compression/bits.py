"""Which layer gets how many bits: the least error for the bytes that there are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from pbgen.compression.inputs import Batch
from pbgen.compression.judge import Judge, outputs
from pbgen.compression.student import calibrate, make_student
from pbgen.errors import PBGenError
from pbgen.redundancy import FLOAT_BITS, MAX_BITS, Plan

CHOICES = (*range(1, MAX_BITS + 1), FLOAT_BITS)

Errors = dict[str, dict[int, float]]
"""By layer and bits: the error of the outputs, where that layer alone has so many bits, as a part of their variance."""


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
    teacher: nn.Module, plan: Plan, names: Sequence[str], batch: Batch, progress: Callable[[int, int], object]
) -> Errors:
    """Each layer alone with each number of bits, its channels' scales and shifts fitted, nothing learned."""
    judge = Judge(teacher, [batch])
    errors: Errors = {}
    for number, name in enumerate(names, 1):
        measured = {bits: _error(teacher, plan.choosing({name: bits}), judge) for bits in CHOICES[:-1]}
        errors[name] = measured | {FLOAT_BITS: 0.0}
        progress(number, len(names))
    return errors


def _error(teacher: nn.Module, plan: Plan, judge: Judge) -> float:
    student = make_student(teacher, plan)
    calibrate(student, teacher, judge.batches, plan.binary)
    total = 0.0
    for batch, expected in zip(judge.batches, judge.expected, strict=True):
        for made, right, variance in zip(outputs(student, batch), expected, judge.variances, strict=True):
            total += float((made - right).square().mean()) / variance
    return total / len(judge.batches)


@dataclass(frozen=True)
class _Step:
    name: str
    bits: int
    gain: float  # of error, a byte
    cost: int  # bytes


def choose_bits(plan: Plan, errors: Errors, budget: int) -> Plan:
    """From one bit everywhere, the step that takes away most error for its bytes, as long as one fits the budget.

    A step may take a layer over several bits at once. The errors of layers are taken to add up. Layers without measured
    errors stay in float.
    """
    bits = dict.fromkeys(errors, 1)
    weights = {layer.name: layer.weights for layer in plan.layers}
    left = budget - plan_bytes(plan.choosing(bits))
    while steps := [step for name in bits for step in _steps(name, bits[name], weights[name], errors[name], left)]:
        best = max(steps, key=lambda step: step.gain)
        bits[best.name] = best.bits
        left -= best.cost
    return plan.choosing(bits)


def _steps(name: str, now: int, weights: int, errors: dict[int, float], left: int) -> list[_Step]:
    found = []
    for bits in CHOICES:
        cost = weight_bytes(weights, bits) - weight_bytes(weights, now)
        if bits > now and 0 < cost <= left and errors[bits] < errors[now]:
            found.append(_Step(name, bits, (errors[now] - errors[bits]) / cost, cost))
    return found
