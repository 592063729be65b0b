"""A generator and a discriminator of 16x16 grey images, small enough to train hundreds of steps in a test."""

import os
from pathlib import Path

from torch import nn

from pbgen.training import Run, TrainConfig, load_run

TINY = f"{__file__}:pair"
SHORT = f"{__file__}:of_short_latents"


def pair() -> tuple[nn.Module, nn.Module]:
    generator = nn.Sequential(
        nn.Linear(6, 8 * 4 * 4, bias=False),
        nn.Unflatten(1, (8, 4, 4)),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 6, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 1, 4, stride=2, padding=1),
        nn.Tanh(),
    )
    generator.input_shape = (6,)
    discriminator = nn.Sequential(
        nn.Conv2d(1, 6, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(6, 8, 4, stride=2, padding=1, bias=False),
        nn.GroupNorm(1, 8),
        nn.LeakyReLU(0.2),
        nn.Conv2d(8, 1, 4),
        nn.Flatten(0),
    )
    return generator, discriminator


def of_short_latents() -> tuple[nn.Module, nn.Module]:
    generator, discriminator = pair()
    generator[0] = nn.Linear(5, 8 * 4 * 4, bias=False)
    generator.input_shape = (5,)
    return generator, discriminator


def with_dropout() -> tuple[nn.Module, nn.Module]:
    generator, discriminator = pair()
    discriminator.insert(2, nn.Dropout(0.3))
    return generator, discriminator


def alone() -> nn.Module:
    return pair()[0]


def oblong() -> tuple[nn.Module, nn.Module]:
    generator, discriminator = pair()
    generator.append(nn.ZeroPad2d((0, 2, 0, 0)))
    return generator, discriminator


def load_tiny(run: str | os.PathLike[str]) -> Run:
    """The run in a folder, whose model may be of this file, or built in."""
    return load_run(run, TrainConfig.stored(Path(run, "config.json")).model)
