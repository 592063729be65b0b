"""A module that is to be made small: which layer gets how many bits, and its student's learning."""

import hashlib
import tempfile
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from pbgen.compression.bits import (
    SEARCHED,
    Errors,
    choose_bits,
    compressible,
    fewest_bytes,
    measure_errors,
    plan_bytes,
)
from pbgen.compression.closed_form import calibrate
from pbgen.compression.imitate import Imitation, Learned, Progress, Schedule
from pbgen.compression.inputs import Batch, Inputs
from pbgen.compression.judge import ImageSet, Judge, image_set
from pbgen.compression.options import Wanted
from pbgen.compression.student import can_learn, halve, make_student
from pbgen.errors import PBGenError, PBGenWarning
from pbgen.measure import plan as make_plan
from pbgen.packing import pack
from pbgen.packing.freeze import run
from pbgen.packing.translate import DerivedError
from pbgen.packing.verify import IllConditionedError
from pbgen.redundancy import DEFAULT_THRESHOLD, MAX_BITS, Plan
from pbgen.training.interrupt import Interrupts
from pbgen.training.teacher import outputs

DEFAULT_BITS = 3
_PROBE = 1 << 40  # the number of a batch that no step draws, nor is the next one drawn
_SHRUNK = 0.25  # times the numbers of a network, so that its values shrink from layer to layer
_FITTED_TO = 4  # batches at once, by which the student begins
_AT_ONCE = {1: 64, 2: 16}  # examples of a batch, by the dimensions of one; 8 where there are more


class Task:
    """A float module, what it is run on, and where the state of its imitation is kept."""

    def __init__(self, teacher: nn.Module, inputs: Inputs, state: Path) -> None:
        self.teacher, self.inputs, self.state = teacher, inputs, state
        self.example = inputs.judged_by[0]
        _check_inputs(teacher, self.example)
        spatial = max(_dimensions(value.shape[1:]) for value in self.example)
        self.batch = _AT_ONCE.get(spatial, 8)
        self.probe = inputs.train(_PROBE, self.batch)
        _check_finite(teacher, self.probe)

    @cached_property
    def chooser(self) -> Judge:
        """By which the best step is chosen. Found when it is needed: what is refused is refused before."""
        return Judge(self.teacher, self.inputs.chosen_by)

    @cached_property
    def images(self) -> ImageSet | None:
        """What the module makes, where that is images of latents."""
        return image_set(self.inputs, self.chooser)

    def plan(self, wanted: Wanted, progress: Progress) -> tuple[Plan, Errors]:
        """The bits of each layer. Raises PBGenError where it cannot learn, or not be so small or so near."""
        plan = make_plan(self.teacher, self.example, DEFAULT_THRESHOLD, wanted.bits or DEFAULT_BITS)
        if not can_learn(self.teacher, self.probe):
            raise PBGenError(
                f"{type(self.teacher).__name__}: nothing can be learned, as its output has no gradient (it is rounded, "
                "made an integer, or computed under no_grad); return it before that"
            )
        progress(0, len(plan.layers), {})  # to try a file's size takes seconds
        names, smallest = self._smallest(plan)
        if wanted.target_bytes is not None and wanted.target_bytes < smallest:
            raise PBGenError(
                f"target_bytes {wanted.target_bytes}: below what is possible; with one bit a weight in "
                f"{'all' if len(names) == len(plan.layers) else 'all possible'} layers the file has {smallest}"
            )
        judged_by = self.inputs.train(_PROBE + 1, max(1, self.batch // 2))
        searched = SEARCHED if wanted.target_psnr is not None else 0

        def told(done: int, total: int) -> None:
            progress(done, total + searched, {})

        errors = measure_errors(self.teacher, plan, names, self.probe, judged_by, told)
        if wanted.target_psnr is not None:
            return self._reaching(wanted.target_psnr, plan, errors, progress), errors
        if wanted.target_bytes is not None:
            return self._within(wanted.target_bytes, smallest, plan, errors), errors
        budget = plan_bytes(plan.choosing({name: min(plan.bits[name], MAX_BITS) for name in names}))
        return choose_bits(plan, errors, budget), errors

    def _within(self, target: int, smallest: int, plan: Plan, errors: Errors) -> Plan:
        """The least error in a file of `target` bytes. What it holds beside weights hangs on their bits, a little."""
        least = plan_bytes(plan.choosing(dict.fromkeys(errors, 1)))
        budget, over = least + target - smallest, 1
        while over > 0:
            chosen = choose_bits(plan, errors, budget)
            over = self._packed_bytes(chosen) - target
            budget = max(least, budget - over)
        return chosen

    def _reaching(self, target: float, plan: Plan, errors: Errors, progress: Progress) -> Plan:
        """The fewest bytes whose closed form is so near."""
        found: list[float] = []

        def reaches(tried: Plan) -> bool:
            student = self._fitted(tried)
            halve(student)
            found.append(self.chooser.psnr(student).median)
            progress(len(errors) + len(found), len(errors) + SEARCHED, {})
            return found[-1] >= target

        fewest = fewest_bytes(plan, errors, reaches)
        if fewest is None:
            raise PBGenError(f"target_psnr {target:g}: above what is possible; in float16 it has {max(found):.1f} dB")
        return fewest

    def _fitted(self, plan: Plan) -> nn.Module:
        """The student in closed form."""
        student = make_student(self.teacher, plan)
        if plan.binary:
            calibrate(student, self.teacher, self.inputs.train(_PROBE, _FITTED_TO * self.batch), plan.binary)
        return student

    def _smallest(self, plan: Plan) -> tuple[list[str], int]:
        """The layers that can have few bits in a file, and its bytes with one bit a weight in each of them.

        Raises PBGenError where there are none, or the module cannot be packed.
        """
        names, reasons = compressible(self.teacher, plan)
        while names:
            try:
                return names, self._packed_bytes(plan.choosing(dict.fromkeys(names, 1)))
            except DerivedError as error:  # of a standardized weight, say
                names = [name for name in names if name not in error.layers]
                reasons |= dict.fromkeys(error.layers, str(error))
        raise PBGenError(f"{type(self.teacher).__name__}: no layer to compress; {next(iter(reasons.values()))}")

    def _packed_bytes(self, plan: Plan) -> int:
        try:
            return self._trial_bytes(plan, 1.0)
        except IllConditionedError:  # random numbers may grow from layer to layer where trained ones do not
            return self._trial_bytes(plan, _SHRUNK)

    def _trial_bytes(self, plan: Plan, gain: float) -> int:
        """Of a file with random numbers, `gain` times as large as the module's."""
        student = make_student(self.teacher, plan)
        with torch.no_grad():
            for parameter in student.parameters():
                # Shifts that begin at 0 would be left out, and what begins alike be stored once.
                parameter.add_(torch.randn_like(parameter), alpha=float(parameter.abs().mean()) or 1.0).mul_(gain)
        halve(student)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", PBGenWarning)  # which come again in the end
            return pack(student, self.example, Path(folder, "trial.safetensors")).packed_bytes

    def learn(
        self, fabric: Fabric, plan: Plan, schedule: Schedule, resume: bool, interrupts: Interrupts, progress: Progress,
        seed: int,
    ) -> tuple[nn.Module, Learned, bool]:  # fmt: skip
        """The student that came nearest, what was learned, and whether the end was reached."""
        layers = len(plan.binary)
        progress(0, layers, {"fitted": layers})
        student = self._fitted(plan)
        progress(layers, layers, {"fitted": layers})
        fingerprint = _fingerprint(self.teacher, plan, self.probe, seed)
        imitation = Imitation(
            fabric, self.teacher, student, self.inputs, self.chooser, self.images, self.batch, self.state, fingerprint
        )
        if resume:
            imitation.restore()
        finished = imitation.run(schedule, interrupts, progress)
        halve(student)
        return student.requires_grad_(False), imitation.learned, finished


def _check_inputs(teacher: nn.Module, example: Batch) -> None:
    """Raises PBGenError where it does not take them."""
    try:
        run(teacher, example)
    except PBGenError as error:
        given, taken = tuple(tuple(value.shape[1:]) for value in example), getattr(teacher, "input_shape", None)
        if taken is None or given in (taken, (taken,)):
            raise PBGenError(f"inputs: {error}") from None
        raise PBGenError(f"inputs: {error}; its input_shape is {taken}") from None


def _check_finite(teacher: nn.Module, batch: Batch) -> None:
    """Raises PBGenError where what it makes of them has no end."""
    if not all(bool(value.isfinite().all()) for value in outputs(teacher, batch)):
        raise PBGenError(
            f"inputs: {type(teacher).__name__} makes of them numbers that are not finite; give what it was trained on, "
            "such as a folder of pictures"
        )


def _dimensions(shape: Sequence[int]) -> int:
    """Of an example; a latent vector of one pixel, (C, 1, 1), has one."""
    return len(shape) if any(size != 1 for size in shape[1:]) else 1


def _fingerprint(teacher: nn.Module, plan: Plan, probe: Batch, seed: int) -> str:
    """Of all that a state belongs to."""
    digest = hashlib.sha256(repr((sorted(plan.bits.items()), seed)).encode())
    for value in [*teacher.state_dict().values(), *probe]:
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
