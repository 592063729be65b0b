"""The whole way of the data, small: plan, trainings, compression, judgement, packing, the engine, and a page about it.

All of it stays in the demo's folder, each training in a folder of its own, so that a second run goes on where the first
one stopped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import pbgen
from pbgen.bench import Comparison, compare
from pbgen.bench.engines import quick_engines
from pbgen.compression import CompressInfo, compress
from pbgen.compression.table import compress_table
from pbgen.data import open_images
from pbgen.engine import Engine
from pbgen.evaluation import HELD_OUT, Evaluation, Images, evaluate, real_images
from pbgen.example import example_input
from pbgen.files import check_writable, told_as
from pbgen.packing import PackInfo
from pbgen.pictures import to_pixels
from pbgen.redundancy import Plan
from pbgen.report.tables import Table, bench_table, evaluation_table, pack_table, plan_table
from pbgen.training import Run, TrainConfig, load_run, sample, train_side_by_side

VARIANTS = {"float": ("float", "float"), "partial": ("partial", "binary"), "binary": ("binary", "binary")}
"""The generator's and the discriminator's weights in each training."""

PAGE = "report.html"
"""Of the demo's folder: what the command writes at the end."""

PICTURES = 36


@dataclass(frozen=True)
class DemoSettings:
    """How small the demo is."""

    model: str = "dcgan32"
    width: int = 128
    kernel_size: int = 4
    latent: int = 64
    steps: int = 2500
    batch_size: int = 64
    learning_rate: float = 2e-4
    threshold: float = 1e4
    images: int = 2048  # of each set that is compared
    seeds: int = 3
    threads: int = 2
    rounds: int = 20
    compressed_bits: int = 2  # of the float generator, whose data is not looked at
    compressed_steps: int = 1000
    paper_model: str = "dcgan64"  # planned, packed and timed as well, without training

    def training(self, variant: str) -> TrainConfig:
        """How one of VARIANTS is trained."""
        generator, discriminator = VARIANTS[variant]
        return TrainConfig(
            model=self.model,
            generator=generator,
            discriminator=discriminator,
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            threshold=self.threshold,
            width=self.width,
            kernel_size=self.kernel_size,
            latent=self.latent,
            accelerator="cpu",
        )


@dataclass(frozen=True)
class DemoResults:
    """Everything that the page tells. Images are uint8 (n, C, H, W), those made all from the same latents."""

    settings: DemoSettings
    paper_plan: Plan
    plan: Plan
    runs: dict[str, Run]
    evaluations: dict[str, Evaluation]
    pictures: dict[str, Images]  # "real", each of VARIANTS, "compressed", "engine"
    file: Path  # the partial generator, packed
    engine_difference: float  # largest, between the engine's floats and those of the trained module
    packed: PackInfo
    comparison: Comparison
    compressed: CompressInfo
    paper_packed: PackInfo
    paper_comparison: Comparison


class Display(Protocol):
    """Where the demo shows how far it is."""

    def say(self, text: str) -> None: ...

    def show(self, table: Table) -> None: ...

    def task(self, title: str, total: int) -> Callable[[int, int], None]: ...

    def training(self, title: str, steps: int) -> Callable[[int, int, Mapping[str, float | None]], None]: ...

    def compressing(self) -> Callable[[int, int, Mapping[str, float]], None]: ...


def run_demo(out: Path, settings: DemoSettings, display: Display) -> DemoResults:
    """Do everything that is not done yet in `out`, a folder that is made where it does not exist."""
    file, small = out / "partial.safetensors", out / "compressed.safetensors"
    paper_file = out / f"{settings.paper_model}-untrained.safetensors"
    with told_as(out):
        out.mkdir(parents=True, exist_ok=True)
    for output in (file, small, paper_file, out / PAGE):
        check_writable(output)
    paper, _ = pbgen.models.create(settings.paper_model)
    paper_plan = _plan(settings.paper_model, paper, settings, display)
    plan = _plan("the generators trained here", _untrained(settings), settings, display)
    runs = _trainings(out, settings, display)
    pictures = {name: sample(run.generator, PICTURES) for name, run in runs.items()}
    _, channels, size, _ = pictures["float"].shape
    source = open_images("faces", size, channels)
    pictures["real"] = source.images(HELD_OUT + np.arange(PICTURES, dtype=np.int64))
    compressed = _compressed(small, runs["float"].generator, settings, display)
    pictures["compressed"] = _engine_sample(small, settings.threads, PICTURES)
    samplers = {name: partial(sample, run.generator) for name, run in runs.items()}
    samplers["compressed"] = partial(_engine_sample, small, settings.threads)
    evaluations = _evaluations(samplers, real_images(source, settings.images), settings, display)
    packed, comparison = _packed(file, runs["partial"].generator, settings, display)
    pictures["engine"], difference = _engine_images(file, runs["partial"].generator, settings.threads)
    pbgen.binarize(paper, paper_plan)
    paper_packed, paper_comparison = _packed(paper_file, paper.eval(), settings, display)
    return DemoResults(
        settings=settings,
        paper_plan=paper_plan,
        plan=plan,
        runs=runs,
        evaluations=evaluations,
        pictures=pictures,
        file=file,
        engine_difference=difference,
        packed=packed,
        comparison=comparison,
        compressed=compressed,
        paper_packed=paper_packed,
        paper_comparison=paper_comparison,
    )


def _untrained(settings: DemoSettings) -> nn.Module:
    generator, _ = pbgen.models.create(
        settings.model, width=settings.width, kernel_size=settings.kernel_size, latent=settings.latent
    )
    return generator


def _plan(title: str, generator: nn.Module, settings: DemoSettings, display: Display) -> Plan:
    plan = pbgen.plan(generator, example_input(generator), settings.threshold)
    display.say(f"The plan of {title}")
    display.show(plan_table(plan))
    return plan


def _trainings(out: Path, settings: DemoSettings, display: Display) -> dict[str, Run]:
    advance = {out / name: display.training(f"training {name:7}", settings.steps) for name in VARIANTS}
    train_side_by_side(
        {out / name: settings.training(name) for name in VARIANTS},
        lambda folder, step, steps, row: advance[folder](step, steps, row),
    )
    return {name: load_run(out / name) for name in VARIANTS}


def _compressed(file: Path, generator: nn.Module, settings: DemoSettings, display: Display) -> CompressInfo:
    """The float generator made small, as a user's would be who has nothing else."""
    info = compress(
        generator, "noise", file, settings.compressed_bits, None, settings.compressed_steps, display.compressing()
    )
    display.say(f"{file}: the float generator, compressed; PSNR to its own images {info.psnr}")
    display.show(compress_table(info))
    return info


def _engine_sample(file: Path, threads: int, n: int, seed: int = 0) -> Images:
    """What `sample` gives of a module, of a packed file."""
    engine = Engine(file, threads=threads)
    return to_pixels(np.asarray(engine(_latents(engine, n, seed))))


def _latents(engine: Engine, n: int, seed: int = 0) -> NDArray[np.float32]:
    """Those from which `sample` makes its images."""
    return np.random.default_rng(seed).standard_normal((n, *engine.input_shape), np.float32)


def _evaluations(
    samplers: Mapping[str, Callable[[int, int], Images]], real: Images, settings: DemoSettings, display: Display
) -> dict[str, Evaluation]:
    evaluations = {
        name: evaluate(sampler, real, settings.seeds, display.task(f"judging {name}", settings.seeds))
        for name, sampler in samplers.items()
    }
    display.say(f"Sliced Wasserstein distance x 1000 to {settings.images} real images; smaller is better")
    display.show(evaluation_table(evaluations))
    return evaluations


def _engine_images(file: Path, generator: nn.Module, threads: int) -> tuple[Images, float]:
    engine = Engine(file, threads=threads)
    z = _latents(engine, PICTURES)
    ours = np.asarray(engine(z))
    with torch.inference_mode():
        theirs = generator.eval()(torch.from_numpy(z)).numpy()
    return to_pixels(ours), float(np.abs(ours - theirs).max())


def _packed(file: Path, generator: nn.Module, settings: DemoSettings, display: Display) -> tuple[PackInfo, Comparison]:
    packed = pbgen.pack(generator, example_input(generator), file)
    display.say(f"{file}: packed")
    display.show(pack_table(packed))
    measuring = display.task(f"measuring {file.stem}", settings.rounds)
    comparison = compare(file, quick_engines(), settings.threads, rounds=settings.rounds, progress=measuring)
    display.say(f"Engines on {comparison.processor}, {comparison.threads} threads, an image a run")
    display.show(bench_table(comparison))
    return packed, comparison
