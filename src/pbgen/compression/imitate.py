"""The student learns to make what its teacher makes; the best of its average is kept, against an opponent the last."""

import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pbgen.compression.inputs import Inputs
from pbgen.compression.judge import ImageSet, Judge, Psnr
from pbgen.compression.lesson import Lesson, LessonState, Order
from pbgen.errors import PBGenError, PBGenWarning
from pbgen.files import write_atomically
from pbgen.training import checkpoint
from pbgen.training.average import Average
from pbgen.training.interrupt import Interrupts

Progress = Callable[[int, int, Mapping[str, float]], object]
"""Called with what is done, the whole, and figures: none while layers are measured; `fitted` while so many are fitted
in closed form; `psnr` of the best so far, in decibels, while it learns; `engines` while so many are compared."""

_WARM_UP = 20  # steps
_AVERAGE = 0.95
"""The decay of the average that is judged and kept: a step turns levels to and fro, which tells nothing and costs 1 dB
until the rate has fallen."""
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
    """What has been learned so far; `best` is the state of the student's average at `kept`, a point of the curve."""

    step: int = 0
    seconds: float = 0.0
    best: dict[str, Tensor] = field(default_factory=dict)
    curve: list[Point] = field(default_factory=list)
    kept: int = 0

    @property
    def best_point(self) -> Point:
        return self.curve[self.kept]


class _State(LessonState):
    version: int
    task: str
    step: int
    seconds: float
    student: dict[str, Tensor]
    average: dict[str, Tensor]
    best: dict[str, Tensor]
    curve: list[tuple[int, float, float, float]]
    kept: int


class Imitation:
    """Trains `student` on what `teacher` makes of `inputs`. Both are moved to the device, and back by `run`.

    What a step draws follows from its number. `place` is the file to go on from; `task` says what it belongs to. This
    is for the first process of a run; the others follow its Lesson.
    """

    def __init__(
        self,
        fabric: Fabric,
        teacher: nn.Module,
        student: nn.Module,
        inputs: Inputs,
        judge: Judge,
        images: ImageSet | None,
        batch: int,
        place: Path,
        task: str,
    ) -> None:
        self._student, self._inputs, self._judge, self._batch = student, inputs, judge, batch
        self._place, self._task = place, task
        self._lesson = Lesson(fabric, teacher, student, images, judge.variances)
        self._keeps_last = images is not None
        self._average = Average(student, _AVERAGE)
        self.learned = Learned()

    def restore(self) -> None:
        """Go on from the file. Raises PBGenError where it is missing, damaged or belongs to something else."""
        state = _load(self._place, self._task)
        self._student.load_state_dict(state["student"])
        self._average.module.load_state_dict(state["average"])
        self._lesson.restore(state)
        curve = [Point(step, seconds, Psnr(*psnr)) for step, seconds, *psnr in state["curve"]]
        self.learned = Learned(state["step"], state["seconds"], state["best"], curve, state["kept"])

    def run(self, schedule: Schedule, interrupts: Interrupts, progress: Progress) -> bool:
        """Learn to the end, or until `interrupts` asks to stop; says whether the end was reached. The student is then
        the best that its average was, on the CPU."""
        learned = self.learned
        self._lesson.begin()
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
        self._lesson.end()
        self._student.load_state_dict(learned.best)
        return fraction >= 1

    def _one_step(self, rate: float) -> bool:
        step = self.learned.step
        done = self._lesson.step(Order(step, rate, self._inputs.train(step, self._batch)))
        self._average.update(self._student, step)
        return done

    def _evaluate(self) -> None:
        learned = self.learned
        average = self._average.module
        point = Point(learned.step, learned.seconds, self._judge.psnr(average))
        learned.curve.append(point)
        # Against an opponent, images become more like the teacher's though they become less the same.
        if self._keeps_last or point.psnr.median >= learned.best_point.psnr.median:
            learned.best = {name: value.cpu().clone() for name, value in average.state_dict().items()}
            learned.kept = len(learned.curve) - 1

    def _save(self) -> None:
        learned = self.learned
        state = _State(
            version=_VERSION,
            task=self._task,
            step=learned.step,
            seconds=learned.seconds,
            student=self._student.state_dict(),
            average=self._average.module.state_dict(),
            best=learned.best,
            curve=[(point.step, point.seconds, *point.psnr) for point in learned.curve],
            kept=learned.kept,
            **self._lesson.state(),
        )
        write_atomically(self._place, lambda file: torch.save(state, file))


def _done(schedule: Schedule, step: int, fraction: float) -> tuple[int, int]:
    return (step, schedule.steps) if schedule.steps is not None else (min(_WHOLE, int(_WHOLE * fraction)), _WHOLE)


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
