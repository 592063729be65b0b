"""The student learns to make what its teacher makes, and the best of it is kept."""

import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TypedDict, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricOptimizer
from torch import Tensor, nn

from pbgen.binarize import binary_weights, estimator_of
from pbgen.compression.inputs import Batch, Inputs
from pbgen.compression.judge import Judge, Psnr
from pbgen.compression.sound import is_sound, spectral_distance
from pbgen.errors import PBGenError, PBGenWarning
from pbgen.files import write_atomically
from pbgen.training import checkpoint
from pbgen.training.interrupt import Interrupts
from pbgen.training.teacher import Teacher, distance

Progress = Callable[[int, int, Mapping[str, float]], object]
"""Called with what is done, the whole, and figures: none while layers are measured; `psnr` of the best so far, in
decibels, while it learns; `engines` while so many are compared."""

SIGN_RATE, LEVEL_RATE, RATE = 3e-2, 1e-2, 3e-3
"""A step's part of a tensor's usual size: of weights behind signs, other weights, and all else (scales, shifts)."""
LEAST_SIZE = 1e-2  # that is taken for a tensor's: shifts begin at 0
_WARM_UP = 20  # steps
MOST = 3.0
"""Times its usual length that a gradient may have: a flat picture before instance norms makes it 1e30 times as long."""
_RECENT = 20  # gradients, whose median is the usual length
_FIRST_LENGTH = 1.0  # at most; of a loss that is a part of the variance, some tenths are common
_MOST_FAILURES = 20  # steps in a row
_EVALUATIONS = 40
_WHOLE = 1000  # in which progress is counted where time says how long
_VERSION = 1


@dataclass(frozen=True)
class Schedule:
    """How long: so many steps, or so many seconds. The learning rate falls along a half cosine."""

    steps: int | None
    seconds: float | None

    def fraction(self, step: int, seconds: float) -> float:
        """The part that is done."""
        return step / self.steps if self.steps is not None else seconds / cast(float, self.seconds)

    def rate(self, step: int, fraction: float) -> float:
        """What the learning rate is multiplied by."""
        return min(1.0, (step + 1) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))


@dataclass(frozen=True)
class Point:
    """Of the curve: after so many steps and seconds, how near the held-out outputs are."""

    step: int
    seconds: float
    psnr: Psnr


@dataclass
class Learned:
    """What has been learned so far; `best` is the student's state where the median was highest."""

    step: int = 0
    seconds: float = 0.0
    best: dict[str, Tensor] = field(default_factory=dict)
    curve: list[Point] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)  # of the recent gradients

    @property
    def best_point(self) -> Point:
        return max(self.curve, key=lambda point: point.psnr.median)


class _State(TypedDict):
    version: int
    task: str
    step: int
    seconds: float
    student: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[str, Any]
    curve: list[tuple[int, float, float, float]]
    lengths: list[float]


class Imitation:
    """Trains `student` on what `teacher` makes of `inputs`. Both are moved to the device, and back by `run`.

    What a step draws follows from its number. `place` is the file to go on from; `task` says what it belongs to.
    """

    def __init__(
        self, fabric: Fabric, teacher: nn.Module, student: nn.Module, inputs: Inputs, batch: int, place: Path, task: str
    ) -> None:
        self._fabric, self._inputs, self._batch, self._place, self._task = fabric, inputs, batch, place, task
        self._judge = Judge(teacher, inputs.chosen_by)
        self._teacher = Teacher(fabric, teacher)
        self._student = student
        self._forward = fabric.setup_module(student)
        self._adam = torch.optim.Adam(_groups(student), betas=(0.9, 0.99))
        self._optimizer = cast(_FabricOptimizer, fabric.setup_optimizers(self._adam))
        self.learned = Learned()

    def restore(self) -> None:
        """Go on from the file. Raises PBGenError where it is missing, damaged or belongs to something else."""
        state = _load(self._place, self._task)
        self._student.load_state_dict(state["student"])
        self._adam.load_state_dict(state["optimizer"])
        curve = [Point(step, seconds, Psnr(*psnr)) for step, seconds, *psnr in state["curve"]]
        self.learned = Learned(state["step"], state["seconds"], state["best"], curve, state["lengths"])

    def run(self, schedule: Schedule, interrupts: Interrupts, progress: Progress) -> bool:
        """Learn to the end, or until `interrupts` asks to stop; says whether the end was reached. The student is then
        the best there was, on the CPU."""
        learned = self.learned
        if not learned.curve:
            self._evaluate()
        begun = time.perf_counter() - learned.seconds
        fraction, failures = schedule.fraction(learned.step, learned.seconds), 0
        while fraction < 1 and not interrupts.requested:
            progress(*_done(schedule, learned.step, fraction), {"psnr": learned.best_point.psnr.median})
            failures = 0 if self._one_step(schedule.rate(learned.step, fraction)) else failures + 1
            if failures == _MOST_FAILURES:
                warnings.warn(
                    f"the gradient is no longer finite at step {learned.step}; the best before is kept",
                    PBGenWarning,
                    stacklevel=4,
                )
                fraction = 1.0
                break
            learned.step, learned.seconds = learned.step + 1, time.perf_counter() - begun
            before, fraction = fraction, schedule.fraction(learned.step, learned.seconds)
            if int(fraction * _EVALUATIONS) > int(before * _EVALUATIONS) or fraction >= 1:
                self._evaluate()
                self._save()
        if fraction < 1:
            self._save()
            self._evaluate()  # after it was saved: a run that never stopped would not have looked here
        progress(*_done(schedule, learned.step, fraction), {"psnr": learned.best_point.psnr.median})
        self._student.load_state_dict(learned.best)
        self._student.cpu()
        self._teacher.module.cpu()
        return fraction >= 1

    def _one_step(self, rate: float) -> bool:
        """False, and nothing is learned, where the loss or its gradient is not finite."""
        batch = tuple(self._fabric.to_device(value) for value in self._inputs.train(self.learned.step, self._batch))
        for group in self._adam.param_groups:
            group["lr"] = group["full_rate"] * rate
        expected = self._teacher.outputs(batch, self.learned.step)
        self._adam.zero_grad()
        loss = torch.stack(list(map(_loss, self._made(batch), expected, self._judge.variances))).mean()
        self._fabric.backward(loss)
        if not self._shorten_gradient():
            return False
        self._optimizer.step()
        return True

    def _shorten_gradient(self) -> bool:
        """Hold the gradient to some times its usual length, that of a tensor counted in its size; False: it has none.

        One that is far longer points nowhere, and Adam, which divides by what it has seen, would stand still for long.
        """
        groups = [group for group in self._adam.param_groups if group["params"][0].grad is not None]
        lengths = [group["size"] * group["params"][0].grad.norm() for group in groups]
        length = float(torch.stack(lengths).norm())
        if not math.isfinite(length):
            return False
        recent = self.learned.lengths
        most = MOST * min(_FIRST_LENGTH, median(recent or [_FIRST_LENGTH]))
        if length > most:
            for group in groups:
                group["params"][0].grad.mul_(most / length)
        self.learned.lengths = [*recent, length][-_RECENT:]
        return True

    def _made(self, batch: Batch) -> list[Tensor]:
        from torch.utils import _pytree as pytree

        torch.manual_seed(self.learned.step)  # as for the teacher
        made = self._forward(*(value.clone() for value in batch))
        return [value for value in pytree.tree_leaves(made) if value is not None]

    def _evaluate(self) -> None:
        learned = self.learned
        point = Point(learned.step, learned.seconds, self._judge.psnr(self._student))
        if not learned.curve or point.psnr.median > learned.best_point.psnr.median:
            learned.best = {name: value.detach().cpu().clone() for name, value in self._student.state_dict().items()}
        learned.curve.append(point)

    def _save(self) -> None:
        learned = self.learned
        state = _State(
            version=_VERSION,
            task=self._task,
            step=learned.step,
            seconds=learned.seconds,
            student=self._student.state_dict(),
            best=learned.best,
            optimizer=self._adam.state_dict(),
            curve=[(point.step, point.seconds, *point.psnr) for point in learned.curve],
            lengths=learned.lengths,
        )
        write_atomically(self._place, lambda file: torch.save(state, file))


def _done(schedule: Schedule, step: int, fraction: float) -> tuple[int, int]:
    return (step, schedule.steps) if schedule.steps is not None else (min(_WHOLE, int(_WHOLE * fraction)), _WHOLE)


def _groups(student: nn.Module) -> list[dict[str, Any]]:
    """Every parameter by itself, with a rate that is a part of its size: scales and weights of any network fit."""
    rates = {}
    for slot in binary_weights(student).values():
        estimator = estimator_of(slot.owner, slot.tensor)
        rates[id(slot.parameter)] = SIGN_RATE if estimator is not None and estimator.bits == 1 else LEVEL_RATE
    groups = []
    for parameter in student.parameters():
        if not parameter.requires_grad:
            continue
        size = max(LEAST_SIZE, float(parameter.detach().square().mean().sqrt()))
        rate = rates.get(id(parameter), LEVEL_RATE if parameter.dim() > 1 else RATE) * size
        groups.append({"params": [parameter], "lr": rate, "full_rate": rate, "size": size})
    return groups


def _loss(made: Tensor, right: Tensor, variance: float) -> Tensor:
    """Mean squared error as a part of the variance; of sounds, the distance of their spectra as well."""
    error = distance(made, right, 1 / variance)
    return error + spectral_distance(made, right) if is_sound(right) else error


def check_state(place: Path) -> None:
    """Raises PBGenError where there is no file to go on from."""
    if not place.is_file():
        raise PBGenError(f"{place}: there is nothing to go on from; start without resume")


def _load(place: Path, task: str) -> _State:
    check_state(place)
    state = checkpoint.read(place, "damaged; remove it and start without resume")
    if not isinstance(state, dict) or state.get("version") != _VERSION or set(state) != set(_State.__annotations__):
        raise PBGenError(f"{place}: of another version of PBGen; remove it and start without resume")
    if state["task"] != task:
        raise PBGenError(f"{place}: was begun with another module, other inputs or other bits; start without resume")
    return cast(_State, state)
