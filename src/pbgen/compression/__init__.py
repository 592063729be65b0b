"""A trained float module -> the smallest file that still makes its images, without the data it was trained on.

The way: options (what is asked for) -> inputs (what it is run on) -> channels (made more alike) -> task: bits (which
layer gets how many) -> student (a copy with such weights, fitted in closed form) -> imitate (it learns to make what the
float module makes) -> judge -> packing.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Literal, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pbgen.bench import Comparison, compare
from pbgen.bench.engines import quick_engines
from pbgen.binarize import binary_weights
from pbgen.compression.channels import even_out
from pbgen.compression.imitate import Progress, check_state
from pbgen.compression.info import CompressInfo, CompressionStopped
from pbgen.compression.inputs import Batch, Crops, Examples, Inputs, Noise
from pbgen.compression.judge import ImageSet, Judge, distances
from pbgen.compression.lesson import Lesson
from pbgen.compression.options import Wanted, check_devices, schedule_of
from pbgen.compression.student import make_student
from pbgen.compression.task import Task
from pbgen.engine import Engine
from pbgen.errors import PBGenError, PBGenWarning, enough_memory
from pbgen.example import several
from pbgen.files import check_writable
from pbgen.modules import inference_copy
from pbgen.packing import PackInfo, pack
from pbgen.packing.freeze import freeze
from pbgen.redundancy import Plan
from pbgen.training.interrupt import Interrupts
from pbgen.training.processes import Setup, together

__all__ = ["CompressInfo", "CompressionStopped", "Crops", "compress"]

_ROUNDS = 10  # of engines that a report compares


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
    layers are measured, with their numbers and {}, then with {"fitted": how many are fitted at once}; in the end, for a
    report, with {"engines": how many are compared}.
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
    schedule = schedule_of(steps, minutes)
    wanted = Wanted(bits, target_bytes, target_psnr)
    check_devices(devices, accelerator, factory)
    for place in [path, *([report] if report else [])]:
        check_writable(place)
    teacher = _teacher(module)
    source = _inputs(inputs, teacher, seed)
    with torch.random.fork_rng(list(range(torch.cuda.device_count()))), enough_memory("give smaller inputs"):
        torch.manual_seed(seed)
        task = Task(teacher, source, path.with_name(path.name + ".resume"))
        even_out(teacher, tuple(value[:1] for value in task.example))
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
        raise CompressionStopped(info, path, task.state)
    task.state.unlink(missing_ok=True)
    return info


def _compare(path: Path, example: Batch, progress: Progress) -> Comparison | None:
    """The packed file in our engine, and what it stands for in the others that are installed; inputs as `example`.

    None where they disagree, as they may on noise where that is not what the module takes.
    """
    engines = quick_engines()

    def told(done: int, total: int) -> None:
        progress(done, total, {"engines": len(engines)})

    try:
        return compare(path, engines, rounds=_ROUNDS, sizes=_free_sizes(path, example), progress=told)
    except PBGenError as error:
        warnings.warn(f"the report compares no engines, as on noise {error}", PBGenWarning, stacklevel=3)
        return None


def _free_sizes(path: Path, example: Batch) -> tuple[int, ...] | None:
    """What `example` has where the packed file takes any size."""
    found = Engine(path).input_shape
    shapes = cast(tuple[tuple[int | None, ...], ...], found if several(found) else (found,))
    pairs = (zip(shape, value.shape[1:], strict=True) for shape, value in zip(shapes, example, strict=True))
    return tuple(size for pair in pairs for free, size in pair if free is None) or None


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
    """The shapes of what the module takes, without the batch. Raises PBGenError where it does not say or is none."""
    example: Tensor | tuple[Tensor, ...] | None = getattr(module, "example_input", None)
    if example is not None:
        values = (example,) if isinstance(example, Tensor) else example
        for number, value in enumerate(values, 1):
            if not value.is_floating_point():
                raise PBGenError(
                    f"inputs noise: input {number} of {type(module).__name__} takes integers, and noise is none; give "
                    "batches, or a function that returns them (--inputs FILE.py:FUNCTION)"
                )
        return [tuple(value.shape[1:]) for value in values]
    shapes = getattr(module, "input_shape", None)
    if not isinstance(shapes, tuple) or not shapes:
        raise PBGenError(
            f"inputs noise: {type(module).__name__} has no input_shape, such as (100,); set it, or give batches"
        )
    return [tuple(shape) for shape in shapes] if several(shapes) else [shapes]
