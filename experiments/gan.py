"""A trial of a generator and its discriminator: `pbgen train`, then the sliced Wasserstein distance."""

import fcntl
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

import pbgen
from pbgen import models, training
from pbgen.binarize import LAYER_KINDS
from pbgen.data import open_images
from pbgen.evaluation import real_images
from pbgen.metrics import sliced_wasserstein

from .trial import JUDGED, Trial

NETWORKS = Path(__file__).with_name("networks.py")
SEEDS = 1
"""Of the judgement: every trial is judged with the same one, so that its chance falls out of comparisons."""

_DRAWN = ("step", "generator_loss", "discriminator_loss")


def run(trial: Trial, data: str, folder: Path, progress: training.Progress, accelerator: str) -> dict[str, Any]:
    """Train in `folder`, going on where it was left, and judge on images from `data`."""
    teacher = None
    if trial.taught_by:
        teacher = folder.parent / trial.taught_by.folder
        _train(_config(trial.taught_by, data, accelerator), teacher, progress)
    _train(_config(trial, data, accelerator, teacher), folder, progress)
    trained = training.load_run(folder, _model(trial))
    generator = trained.generator.to(Fabric(accelerator=accelerator, devices=1).device)
    channels, size = _image_shape(generator)
    real = real_images(open_images(data, size, channels), JUDGED)
    distances = [
        sliced_wasserstein(real[:JUDGED], training.sample(generator, JUDGED, seed), seed) for seed in range(SEEDS)
    ]
    return {
        "swd": sum(d.mean for d in distances) / SEEDS,
        "swd_seeds": [d.mean for d in distances],
        "swd_levels": {str(size): sum(d.levels[size] for d in distances) / SEEDS for size in distances[0].levels},
        "quantization_error": {} if trial.layers else quantization_errors(generator),
        "losses": {key: [_short(row[key]) for row in trained.log] for key in _DRAWN},
    }


def _train(config: training.TrainConfig, folder: Path, progress: training.Progress) -> None:
    """Train, or go on; where another trial is at it, which has the same teacher, wait."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        training.train(config, folder, resume=(folder / "config.json").exists(), progress=progress)


@torch.no_grad()
def quantization_errors(generator: nn.Module) -> dict[str, float]:
    """Of each float layer |W - a sign(W)|^2 / |W|^2 with the best scale a an output channel."""
    errors = {}
    for name, layer in generator.named_modules():
        if isinstance(layer, LAYER_KINDS):
            weight = layer.weight.detach().clone()
            pbgen.binarize(generator, [name])
            errors[name] = float((weight - layer.weight).square().sum() / weight.square().sum())
    return errors


def _config(trial: Trial, data: str, accelerator: str, teacher: Path | None = None) -> training.TrainConfig:
    return training.TrainConfig(
        model=_model(trial),
        data=data,
        channels=1 if trial.network == "grey" else 3,
        generator="partial" if trial.layers else "float",
        layers=trial.layers or None,
        bits=trial.bits,
        discriminator=trial.discriminator,
        loss=trial.loss,
        method=trial.method,
        teacher=str(teacher) if teacher else None,
        teacher_model=_model(trial.taught_by) if trial.taught_by else None,
        imitation=trial.imitation if teacher else training.TrainConfig.imitation,
        steps=trial.steps,
        batch_size=trial.batch_size,
        learning_rate=trial.learning_rate,
        latent_rate=trial.latent_rate,
        average=trial.average,
        generator_steps=trial.generator_steps,
        precision=trial.precision,
        seed=trial.seed,
        accelerator=accelerator,
        log_every=max(1, trial.steps // 50),
        sample_every=trial.steps,
        checkpoint_every=max(500, trial.steps // 10),
    )


def _model(trial: Trial) -> str:
    return trial.network if trial.network in models.names() else f"{NETWORKS}:{trial.network}"


@torch.no_grad()
def _image_shape(generator: nn.Module) -> tuple[int, int]:
    shape = training.sample(generator, 1).shape
    return shape[1], shape[2]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
