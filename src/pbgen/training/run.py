"""A run and its folder: starting, going on, and reading what came of it.

config.json      the configuration, from which alone the run follows
origin.json      what its data, model and teacher were, see origin.py
plan.json        of a partially binary generator
log.csv          a row every few steps, see log.py; the same for TensorBoard beside it
samples/         images of the same latents as training goes on
checkpoint.pt    the state to go on from, see checkpoint.py
"""

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from pbgen.data import ImageSource, open_images
from pbgen.errors import PBGenError, PBGenWarning, enough_memory
from pbgen.redundancy import Plan
from pbgen.training import checkpoint, networks
from pbgen.training.checkpoint import Checkpoint
from pbgen.training.config import TrainConfig
from pbgen.training.interrupt import Interrupts
from pbgen.training.log import read_log
from pbgen.training.loop import CHECKPOINT, Loop, Progress
from pbgen.training.networks import Networks
from pbgen.training.origin import ORIGIN, Origin, check_model, check_origin
from pbgen.training.processes import together

CONFIG, PLAN, LOG = "config.json", "plan.json", "log.csv"


def train(
    config: TrainConfig, out: str | os.PathLike[str], resume: bool = False, progress: Progress | None = None
) -> Path:
    """Train as `config` says, in the folder `out`; returns `out`.

    With `resume` the run in `out` goes on from its checkpoint, and ends with the weights of a run that never stopped,
    to the bit on a CPU with the same number of threads. Its configuration must be `config`; `steps` may grow, and data,
    model and teacher may lie elsewhere, as long as they are the same.

    The models that `config` names are imported: its caller's, and its teacher's by `teacher_model`. No code runs
    because a run's folder names it.

    `progress(step, steps, row)` is called after each step with the newest row of the log (empty before the first).
    With several devices call this from a file's `if __name__ == "__main__":`, for it starts processes.

    Raises TrainingStopped when it was interrupted, after the step was completed and saved; and PBGenError where the
    configuration, model, data or folder is not right, where the memory or the disk is full, or the training diverges.
    Of a new run that fails before its first checkpoint nothing stays.
    """
    out = Path(out)
    with _all_or_nothing(out), enough_memory("give a smaller micro_batch, batch_size or width"):
        prepared = _prepare(config, out, resume)
        devices = list(range(torch.cuda.device_count()))
        with (
            torch.random.fork_rng(devices),
            Interrupts() as interrupts,
            together(config.setup, partial(_help, config, out)) as fabric,
        ):
            _loop(fabric, config, out, prepared, progress).run(interrupts)
    return out


@contextmanager
def _all_or_nothing(out: Path) -> Iterator[None]:
    """What is new in `out` is removed in the end where no checkpoint is there; so is the folder itself."""
    before = set(out.iterdir()) if out.is_dir() else None
    try:
        yield
    finally:
        if not (out / CHECKPOINT).exists() and out.is_dir():
            for path in set(out.iterdir()) - (before or set()):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            if before is None:
                out.rmdir()


@dataclass(frozen=True)
class _Prepared:
    networks: Networks
    source: ImageSource
    checkpoint: Checkpoint | None


def _help(config: TrainConfig, out: Path, fabric: Fabric) -> None:
    """What the other processes of a run do; the first has prepared the folder, and told of files that were skipped."""
    warnings.simplefilter("ignore", PBGenWarning)
    _loop(fabric, config, out, _prepare(config, out, resume=True), None).run(Interrupts())


def _loop(fabric: Fabric, config: TrainConfig, out: Path, prepared: _Prepared, progress: Progress | None) -> Loop:
    loop = Loop(fabric, config, out, prepared.networks, prepared.source, progress)
    if prepared.checkpoint:
        try:
            loop.restore(prepared.checkpoint)
        except (RuntimeError, ValueError, KeyError):
            raise PBGenError(f"{out / CHECKPOINT}: belongs to other networks; restore the run's own") from None
    return loop


def _prepare(config: TrainConfig, out: Path, resume: bool) -> _Prepared:
    """Everything that can be refused is built and read before anything is written."""
    exists = (out / CONFIG).exists()
    if resume:
        _check_same(config, out)
    elif exists:
        raise PBGenError(f"{out}: holds a run already; resume it, or choose another folder")
    plan = Plan.load(out / PLAN) if exists and config.generator == "partial" else None
    has_state = exists and (out / CHECKPOINT).exists()
    built = networks.build(config, plan, _teacher(config))
    source = open_images(config.data, built.size, config.channels, seed=config.seed)
    origin = Origin.of(config, source, Path(config.teacher, CHECKPOINT) if config.teacher else None)
    if exists:
        check_origin(out, config, origin)
    state = checkpoint.load(out / CHECKPOINT) if has_state else None
    if state and state["step"] > config.steps:
        raise PBGenError(f"steps {config.steps}: {out} has been trained for {state['step']} already; ask for more")
    if not exists:
        _make_folder(out)
        if built.plan:
            built.plan.save(out / PLAN)
    if not (out / ORIGIN).exists():
        origin.save(out)
    if not exists or TrainConfig.stored(out / CONFIG) != config:
        config.save(out / CONFIG)
    return _Prepared(built, source, state)


def _check_same(config: TrainConfig, out: Path) -> None:
    if not (out / CONFIG).exists():
        raise PBGenError(f"{out}: holds no run to resume; start one without resume")
    difference = TrainConfig.stored(out / CONFIG).difference(config)
    if difference:
        raise PBGenError(f"{out}: was trained with another {difference}; resume it with the options that it began with")


def _teacher(config: TrainConfig) -> nn.Module | None:
    """The generator to imitate. Its model may be the run's own, which is named already."""
    if not config.teacher:
        return None
    named = config.teacher_model
    if not named and (Path(config.teacher) / CONFIG).exists():
        theirs = TrainConfig.stored(Path(config.teacher) / CONFIG).model
        named = config.model if theirs == config.model else None
    return load_run(config.teacher, named, "--teacher-model").generator


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PBGenError(f"{out}: cannot make this folder: {error.strerror}; choose another") from None


@dataclass(frozen=True)
class Run:
    """What came of a run."""

    config: TrainConfig
    plan: Plan | None  # of a partially binary generator
    generator: nn.Module  # the exponential average with its own batch-norm statistics, in evaluation mode, on the CPU
    step: int  # training steps so far
    log: list[dict[str, float | None]]  # the rows of log.csv


def load_run(path: str | os.PathLike[str], model: str | None = None, option: str = "--model") -> Run:
    """Read the run in the folder `path`.

    model: FILE.py:FACTORY of a model that is no built-in one. It is imported; nothing else that the folder names is.
    option: what names it on the command line.

    Raises PBGenError where a file is missing, damaged or does not belong, or the model's file is not what it was, and
    UnnamedCodeError where `model` is needed.
    """
    path = Path(path)
    if not (path / CONFIG).exists():
        raise PBGenError(f"{path}: not the folder of a training run; there is no {CONFIG}")
    config = TrainConfig.load(path / CONFIG, model, option)
    check_model(path, config)
    plan = Plan.load(path / PLAN) if config.generator == "partial" else None
    state = checkpoint.load(path / CHECKPOINT)
    with torch.random.fork_rng([]):
        generator = networks.build(config, plan).generator
    try:
        checkpoint.restore(generator, state["average"])
    except RuntimeError:
        raise PBGenError(f"{path / CHECKPOINT}: belongs to another generator; restore the run's own") from None
    generator.requires_grad_(False).eval()
    log: list[Mapping[str, float | None]] = list(read_log(path / LOG))
    return Run(config, plan, generator, state["step"], [dict(row) for row in log])
