"""The two networks of a run, as its configuration says: built, planned and binarized."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pbgen.binarize import binarize
from pbgen.errors import PBGenError
from pbgen.example import several
from pbgen.measure import plan as make_plan
from pbgen.models import dcgan, load
from pbgen.redundancy import Plan
from pbgen.training import randomness
from pbgen.training.config import TrainConfig
from pbgen.training.randomness import Stream


@dataclass(frozen=True)
class Networks:
    """Generator and discriminator with the weights that a run starts from, and what the generator imitates."""

    generator: nn.Module
    discriminator: nn.Module
    teacher: nn.Module | None  # a generator in evaluation mode, without gradients
    plan: Plan | None  # of a partially binary generator
    latent_shape: tuple[int, ...]
    size: int  # of the images, pixels
    memory_format: torch.memory_format  # of weights and images in training


def build(config: TrainConfig, plan: Plan | None = None, teacher: nn.Module | None = None) -> Networks:
    """Build the networks of a run; a partially binary generator follows `plan`, or a plan made here.

    Raises PBGenError where there is no discriminator, the images are not square or not of `config.channels`, no layer
    of a partially binary generator may be binary, or `teacher` makes other images or makes them from other latents.
    """
    randomness.seed_layers(config.seed, Stream.WEIGHTS)
    generator, discriminator = load(
        config.model,
        channels=config.channels,
        kernel_size=config.kernel_size,
        width=config.width,
        latent=config.latent,
        discriminator_norm=config.objective.discriminator_norm,
    )
    if discriminator is None:
        raise PBGenError(f"{config.model}: gives a generator alone; return a pair of generator and discriminator")
    latent_shape = _latent_shape(config.model, generator)
    size = _image_size(config, generator, latent_shape)
    if teacher:
        _check_teacher(config, teacher, latent_shape, size)
    if config.generator == "partial":
        plan = plan or _plan(config, generator, latent_shape)
        if not plan.binary:
            raise PBGenError(
                f"generator partial: no layer of {config.model} reaches the threshold {config.threshold:g}; "
                "lower the threshold, or train a float generator"
            )
    else:
        plan = None
    if config.generator != "float":
        binarize(generator, plan or "all", config.method)
    if config.discriminator == "binary":
        binarize(discriminator, "all", config.method)
    memory_format = _memory_format(config, generator, discriminator, *([teacher] if teacher else []))
    return Networks(generator, discriminator, teacher, plan, latent_shape, size, memory_format)


def _plan(config: TrainConfig, generator: nn.Module, latent_shape: tuple[int, ...]) -> Plan:
    plan = make_plan(generator, torch.zeros(1, *latent_shape), config.threshold, config.bits)
    return plan if config.layers is None else plan.choosing(dict.fromkeys(config.layers, config.bits))


def _memory_format(config: TrainConfig, *modules: nn.Module) -> torch.memory_format:
    # Channels last trains DCGANs a fifth faster, but a user's module may use `view`, which it breaks; and where a
    # processor has no bfloat16, torch's gradients in it want weights that are contiguous.
    ours = all(isinstance(module, dcgan.Generator | dcgan.Discriminator) for module in modules)
    on_cpu = config.accelerator == "cpu" or not torch.cuda.is_available()
    half = config.precision == "bf16-mixed" and on_cpu
    return torch.channels_last if ours and not half else torch.contiguous_format


def _image_size(config: TrainConfig, generator: nn.Module, latent_shape: tuple[int, ...]) -> int:
    shape = _image_shape(generator, latent_shape)
    if len(shape) != 3 or shape[0] != config.channels or shape[1] != shape[2]:
        raise PBGenError(
            f"{config.model}: makes images of shape {shape}; training needs square ones, ({config.channels}, n, n)"
        )
    return int(shape[1])


def _latent_shape(model: str, generator: nn.Module) -> tuple[int, ...]:
    shape: Any = getattr(generator, "input_shape", None)  # models.load has checked it
    if shape is None or several(shape):
        raise PBGenError(
            f"{model}: training needs a generator with the input_shape of one latent vector, such as (100,)"
        )
    return tuple(shape)


@torch.no_grad()
def _image_shape(generator: nn.Module, latent_shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(generator.eval()(torch.zeros(1, *latent_shape)).shape[1:])


def _check_teacher(config: TrainConfig, teacher: nn.Module, latent_shape: tuple[int, ...], size: int) -> None:
    latents = _latent_shape(str(config.teacher), teacher)
    shape = _image_shape(teacher, latents)
    expected = config.channels, size, size
    if latents != latent_shape or shape != expected:
        raise PBGenError(
            f"{config.teacher}: makes images of shape {shape} from latents of {latents}; "
            f"this run needs a teacher that makes {expected} from {latent_shape}"
        )
