"""A trained float module -> the smallest file that still makes its images, without the data it was trained on.

The way: inputs (what it is run on) -> bits (which layer gets how many) -> student (a copy with such weights, fitted in
closed form) -> imitate (it learns to make what the float module makes) -> judge -> packing.
"""

import hashlib
import os
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pbgen.bench import Comparison, compare
from pbgen.bench.engines import quick_engines
from pbgen.binarize import binary_weights
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
from pbgen.compression.imitate import Imitation, Learned, Progress, Schedule, check_state
from pbgen.compression.info import CompressInfo, CompressionStopped
from pbgen.compression.inputs import Batch, Crops, Examples, Inputs, Noise
from pbgen.compression.judge import ImageSet, Judge, distances, image_set
from pbgen.compression.lesson import Lesson
from pbgen.compression.student import halve, make_student
from pbgen.engine import Engine
from pbgen.errors import PBGenError, PBGenWarning, enough_memory
from pbgen.example import several
from pbgen.files import check_writable
from pbgen.measure import plan as make_plan
from pbgen.modules import inference_copy
from pbgen.packing import PackInfo, pack
from pbgen.packing.freeze import freeze, run
from pbgen.packing.translate import DerivedError
from pbgen.redundancy import DEFAULT_THRESHOLD, MAX_BITS, Plan
from pbgen.training.config import CHOICES
from pbgen.training.interrupt import Interrupts
from pbgen.training.processes import Setup, together

__all__ = ["CompressInfo", "CompressionStopped", "Crops", "compress"]

DEFAULT_BITS = 3
DEFAULT_MINUTES = 20.0
_ROUNDS = 10  # of engines that a report compares
_PROBE = 1 << 40  # the number of a batch that no step draws, nor is the next one drawn
_FITTED_TO = 4  # batches at once, by which the student begins
_MOST_DEVICES = 1024
_MOST_PSNR = 120
_AT_ONCE = {1: 64, 2: 16}  # examples of a batch, by the dimensions of one; 8 where there are more


def compress(
    module: nn.Module,
    inputs: Literal["noise"] | Iterable[Tensor | Sequence[Tensor]] | Inputs,
    path: str | os.PathLike[str],
    bits: int | None = None,
    target_bytes: int | None = None,
    steps: int | None = None,
    progress: Progress | None = None,
    *,
    target_psnr: float | None = None,
    minutes: float | None = None,
    resume: bool = False,
    report: str | os.PathLike[str] | None = None,
    seed: int = 0,
    devices: int = 1,
    accelerator: str = "auto",
    factory: Callable[[], nn.Module] | None = None,
) -> CompressInfo:
    """Make a trained float module small, and pack it to `path`. The module is left as it is.

    inputs: what the module is run on: "noise", standard normal numbers of its `input_shape`; or batches, each a tensor
    (N, ...) or a tuple of as many as the module takes, of which a part is held out.
    bits, target_bytes: how large the file may be: what it would be with so many bits a weight (1 to 4, by default 3)
    in the layers that `pbgen.plan` finds redundant and 4 in the others, or so many bytes. Within that, each layer gets
    1 to 4 bits or float16 by its measured error.
    target_psnr: instead of these, the fewest bytes at which the copy is so near to the module, in decibels, before it
    learns, which brings it nearer still.
    steps, minutes: how long the copy learns, by default 20 minutes.
    progress: called with what is done, the whole and {"psnr": the best median so far, in decibels}; at first, while
    layers are measured, with their numbers and {}; in the end, for a report, with {"engines": how many are compared}.
    resume: go on with what was interrupted; its state lies beside `path`, with ".resume" at the end. With `steps`, it
    ends as one that was never stopped.
    report: write a page about it there.
    devices, accelerator: how many processes or accelerators learn together, and of what kind: "auto", "cpu", "cuda" or
    "mps". The result is that of one, up to the rounding of sums. Several need `factory`: a function that pickle can
    name, of no arguments, by which they make a module such as this one; its numbers come from here. Call this from a
    file's `if __name__ == "__main__":` then.

    Raises CompressionStopped on Ctrl-C, after the best so far was packed; and PBGenError where an option is not
    possible (with what would be), the module or its inputs do not fit each other, it has no layer to compress, or it
    cannot be packed.
    """
    path = Path(path)
    schedule = _schedule(steps, minutes)
    wanted = _Wanted(bits, target_bytes, target_psnr)
    _check_devices(devices, accelerator, factory)
    for place in [path, *([report] if report else [])]:
        check_writable(place)
    teacher = _teacher(module)
    source = _inputs(inputs, teacher, seed)
    with torch.random.fork_rng(list(range(torch.cuda.device_count()))), enough_memory("give smaller inputs"):
        torch.manual_seed(seed)
        task = _Task(teacher, source, path.with_name(path.name + ".resume"))
        progress = progress or (lambda *_: None)
        if resume:
            check_state(task.state)
        plan, errors = task.plan(wanted, progress)
        setup, worker = Setup(devices, accelerator), partial(_follow, factory, plan, task.images)
        with Interrupts() as interrupts, together(setup, worker) as fabric:
            student, learned, finished = task.learn(fabric, plan, schedule, resume, interrupts, progress, seed)
        packed = pack(student, task.example, path)
        judge = Judge(teacher, source.judged_by)
        info = CompressInfo(
            **{field.name: getattr(packed, field.name) for field in fields(PackInfo)},
            psnr=judge.psnr(student),
            plan=plan,
            errors=errors,
            distances=distances(teacher, student, source, judge),
            curve=tuple(learned.curve),
            seconds=learned.seconds,
            finished=finished,
        )
    if report:
        from pbgen.compression.page import write_compress_page

        comparison = _compare(path, task.example, progress) if finished else None
        write_compress_page(info, student, judge, comparison, report)
    if not finished:
        raise CompressionStopped(info, task.state)
    task.state.unlink(missing_ok=True)
    return info


class _Task:
    """A float module, what it is run on, and where the state of its imitation is kept."""

    def __init__(self, teacher: nn.Module, inputs: Inputs, state: Path) -> None:
        self.teacher, self.inputs, self.state = teacher, inputs, state
        self.example = inputs.judged_by[0]
        run(teacher, self.example)  # says what is wrong, if anything is
        spatial = max(_dimensions(value.shape[1:]) for value in self.example)
        self.batch = _AT_ONCE.get(spatial, 8)
        self.probe = inputs.train(_PROBE, self.batch)

    @cached_property
    def chooser(self) -> Judge:
        """By which the best step is chosen. Found when it is needed: what is refused is refused before."""
        return Judge(self.teacher, self.inputs.chosen_by)

    @cached_property
    def images(self) -> ImageSet | None:
        """What the module makes, where that is images of latents."""
        return image_set(self.inputs, self.chooser)

    def plan(self, wanted: "_Wanted", progress: Progress) -> tuple[Plan, Errors]:
        """The bits of each layer. Raises PBGenError where it cannot be so small, or so near."""
        plan = make_plan(self.teacher, self.example, DEFAULT_THRESHOLD, wanted.bits or DEFAULT_BITS)
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
        student = make_student(self.teacher, plan)
        with torch.no_grad():
            for parameter in student.parameters():
                # Shifts that begin at 0 would be left out, and what begins alike be stored once.
                parameter.add_(torch.randn_like(parameter), alpha=float(parameter.abs().mean()) or 1.0)
        halve(student)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", PBGenWarning)  # which come again in the end
            return pack(student, self.example, Path(folder, "trial.safetensors")).packed_bytes

    def learn(
        self, fabric: Fabric, plan: Plan, schedule: Schedule, resume: bool, interrupts: Interrupts, progress: Progress,
        seed: int,
    ) -> tuple[nn.Module, Learned, bool]:  # fmt: skip
        """The student that came nearest, what was learned, and whether the end was reached."""
        student = self._fitted(plan)
        fingerprint = _fingerprint(self.teacher, plan, self.probe, seed)
        imitation = Imitation(
            fabric, self.teacher, student, self.inputs, self.chooser, self.images, self.batch, self.state, fingerprint
        )
        if resume:
            imitation.restore()
        finished = imitation.run(schedule, interrupts, progress)
        halve(student)
        return student.requires_grad_(False), imitation.learned, finished


def _compare(path: Path, example: Batch, progress: Progress) -> Comparison:
    """The packed file in our engine, and what it stands for in the others that are installed; inputs as `example`."""
    engines = quick_engines()

    def told(done: int, total: int) -> None:
        progress(done, total, {"engines": len(engines)})

    return compare(path, engines, rounds=_ROUNDS, sizes=_free_sizes(path, example), progress=told)


def _free_sizes(path: Path, example: Batch) -> tuple[int, ...] | None:
    """What `example` has where the packed file takes any size."""
    found = Engine(path).input_shape
    shapes = cast(tuple[tuple[int | None, ...], ...], found if several(found) else (found,))
    pairs = (zip(shape, value.shape[1:], strict=True) for shape, value in zip(shapes, example, strict=True))
    return tuple(size for pair in pairs for free, size in pair if free is None) or None


def _dimensions(shape: Sequence[int]) -> int:
    """Of an example; a latent vector of one pixel, (C, 1, 1), has one."""
    return len(shape) if any(size != 1 for size in shape[1:]) else 1


def _follow(factory: Callable[[], nn.Module] | None, plan: Plan, images: ImageSet | None, fabric: Fabric) -> None:
    """What the other processes do."""
    assert factory is not None  # else there are none
    warnings.simplefilter("ignore", PBGenWarning)  # which the first one tells
    teacher = _teacher(factory())
    lesson = Lesson(fabric, teacher, make_student(teacher, plan), images)
    lesson.begin()
    lesson.follow()


def _teacher(module: nn.Module) -> nn.Module:
    """The module as it is imitated: weight norms and the like become the weights that they make."""
    teacher = inference_copy(module)
    _check_float(teacher)
    return freeze(teacher).module


def _schedule(steps: int | None, minutes: float | None) -> Schedule:
    if steps is not None and minutes is not None:
        raise PBGenError("steps, minutes: give one of them")
    if steps is not None:
        if type(steps) is not int or steps < 1:
            raise PBGenError(f"steps {steps}: must be a whole number of at least 1")
        return Schedule(steps, None)
    minutes = DEFAULT_MINUTES if minutes is None else minutes
    if not 0 < minutes <= 1e6:
        raise PBGenError(f"minutes {minutes}: must be more than 0")
    return Schedule(None, 60.0 * minutes)


@dataclass(frozen=True)
class _Wanted:
    """How small, or how near: one of these, or none."""

    bits: int | None
    target_bytes: int | None
    target_psnr: float | None

    def __post_init__(self) -> None:
        given = [name for name, value in asdict(self).items() if value is not None]
        if len(given) > 1:
            raise PBGenError(f"{', '.join(given)}: give one of them")
        bits, target_bytes, target_psnr = self.bits, self.target_bytes, self.target_psnr
        if bits is not None and (type(bits) is not int or not 1 <= bits <= MAX_BITS):
            raise PBGenError(f"bits {bits}: must be 1 to {MAX_BITS}")
        if target_bytes is not None and (type(target_bytes) is not int or target_bytes < 1):
            raise PBGenError(f"target_bytes {target_bytes}: must be a whole number of at least 1")
        if target_psnr is not None and not 0 < target_psnr <= _MOST_PSNR:
            raise PBGenError(f"target_psnr {target_psnr}: must be more than 0, and at most {_MOST_PSNR} decibels")


def _check_devices(devices: int, accelerator: str, factory: Callable[[], nn.Module] | None) -> None:
    if type(devices) is not int or not 1 <= devices <= _MOST_DEVICES:
        raise PBGenError(f"devices {devices}: must be 1 to {_MOST_DEVICES}")
    if accelerator not in CHOICES["accelerator"]:
        raise PBGenError(f"accelerator {accelerator!r}: choose one of {', '.join(map(str, CHOICES['accelerator']))}")
    if devices == 1:
        return
    if factory is None:
        raise PBGenError(
            f"devices {devices}: a module cannot go to other processes; give factory, a function that makes it there, "
            "or use the command pbgen compress"
        )
    try:
        pickle.dumps(factory)
    except Exception as error:  # pickle has many errors
        raise PBGenError(f"factory: cannot go to other processes: {error}; give a function of a file") from None


def _check_float(teacher: nn.Module) -> None:
    binary = binary_weights(teacher)
    if binary:
        raise PBGenError(f"layer '{next(iter(binary))}': binary already; pbgen.pack makes it small")


def _inputs(inputs: object, teacher: nn.Module, seed: int) -> Inputs:
    if isinstance(inputs, str):
        if inputs != "noise":
            raise PBGenError(f"inputs '{inputs}': give \"noise\" or batches")
        return Noise(noise_shapes(teacher), seed)
    if isinstance(inputs, Noise | Examples | Crops):
        return inputs
    if not isinstance(inputs, Iterable):
        raise PBGenError(f'inputs: got {type(inputs).__name__}; give "noise" or batches')
    return Examples(cast(Iterable[Tensor], inputs), seed)


def noise_shapes(module: nn.Module) -> list[tuple[int, ...]]:
    """The shapes of what the module takes, without the batch. Raises PBGenError where it does not say."""
    example: Tensor | tuple[Tensor, ...] | None = getattr(module, "example_input", None)
    if example is not None:
        return [tuple(value.shape[1:]) for value in ((example,) if isinstance(example, Tensor) else example)]
    shapes = getattr(module, "input_shape", None)
    if not isinstance(shapes, tuple) or not shapes:
        raise PBGenError(
            f"inputs noise: {type(module).__name__} has no input_shape, such as (100,); set it, or give batches"
        )
    return [tuple(shape) for shape in shapes] if several(shapes) else [shapes]


def _fingerprint(teacher: nn.Module, plan: Plan, probe: Batch, seed: int) -> str:
    """Of all that a state belongs to."""
    digest = hashlib.sha256(repr((sorted(plan.bits.items()), seed)).encode())
    for value in [*teacher.state_dict().values(), *probe]:
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
