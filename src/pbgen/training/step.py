"""One training step: the discriminator's updates, then the generator's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricOptimizer
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pbgen.binarize import clip_latent_weights, latent_weights, set_progress
from pbgen.training import randomness
from pbgen.training.config import TrainConfig
from pbgen.training.losses import gradient_penalty
from pbgen.training.native import NativeLayers, worthwhile
from pbgen.training.networks import Networks
from pbgen.training.randomness import Stream
from pbgen.training.teacher import Teacher, example_errors


class Pixels(Protocol):
    """Where real images come from, such as a Feed."""

    def next(self) -> npt.NDArray[np.uint8]:
        """The next batch, (n, C, H, W)."""


class Player:
    """One of the two networks, set up for a device and its processes, with its optimizer."""

    def __init__(
        self, fabric: Fabric, config: TrainConfig, module: nn.Module, memory: torch.memory_format, native: bool
    ) -> None:
        self.module = module.train()
        _arrange(module, memory)
        self.forward = fabric.setup_module(module)
        self._trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._dense = [_dense(parameter).detach() for parameter in self._trainable]
        self._adam = torch.optim.Adam(self._groups(config), lr=config.learning_rate, betas=config.betas, fused=True)
        self.optimizer = cast(_FabricOptimizer, fabric.setup_optimizers(self._adam))
        self.layers = NativeLayers(module, native)

    def _groups(self, config: TrainConfig) -> list[dict[str, Any]]:
        """Latent weights, which move faster, and the rest, for Adam."""
        latent = {id(weight) for weight in latent_weights(self.module).values()}
        groups: dict[float, list[Tensor]] = {config.latent_rate: [], 1.0: []}
        for parameter, dense in zip(self._trainable, self._dense, strict=True):
            groups[config.latent_rate if id(parameter) in latent else 1.0].append(dense)
        return [{"params": tensors, "lr": config.learning_rate * rate} for rate, tensors in groups.items() if tensors]

    def update(self) -> None:
        """Move the weights along the gradients that were collected, and forget these."""
        for dense, parameter in zip(self._dense, self._trainable, strict=True):
            dense.grad = None if parameter.grad is None else _dense(parameter.grad)
            parameter.grad = None
        self.optimizer.step()
        self._adam.zero_grad()
        clip_latent_weights(self.module)
        self.layers.forget()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Collect no gradients while entered."""
        for parameter in self._trainable:
            parameter.requires_grad_(False)
        yield
        for parameter in self._trainable:
            parameter.requires_grad_(True)


def _dense(values: Tensor) -> Tensor:
    """The same numbers in the order in which they lie in memory: others, Adam copies to and fro at each step."""
    return values if values.is_contiguous() or values.dim() < 3 else values.movedim(1, -1)


def _arrange(module: nn.Module, memory: torch.memory_format) -> nn.Module:
    return module.to(memory_format=memory)  # type: ignore[call-overload, no-any-return]  # missing in torch's annotations


class TrainingStep:
    """Trains the two networks a step at a time.

    A process works through its share of every batch in passes, one micro-batch each. The passes of all processes are
    numbered in the order of the batch, and what a pass draws follows from its number, so that it does not matter which
    process runs it.
    """

    def __init__(self, fabric: Fabric, config: TrainConfig, networks: Networks, native: bool | None = None) -> None:
        """`native`: whether binary layers on a CPU compute by PBGen's products, not torch's; None: where it pays."""
        native = worthwhile() if native is None else native
        self.generator = Player(fabric, config, networks.generator, networks.memory_format, native)
        self.discriminator = Player(fabric, config, networks.discriminator, networks.memory_format, native)
        self._teacher = networks.teacher and Teacher(fabric, _arrange(networks.teacher, networks.memory_format))
        self._fabric = fabric
        self._config = config
        self._memory_format = networks.memory_format
        self._latent_shape = networks.latent_shape
        self._passes = config.batch_size // config.devices // config.images_per_pass

    def __call__(self, step: int, feed: Pixels) -> Tensor:
        """Run training step number `step`, counted from 0, with real images from `feed`.

        Returns the losses of discriminator and generator and the mean outputs on real and generated images, (4,), on
        the device, for this process's share; those of the last update where a network has several.
        """
        config = self._config
        for player in (self.generator, self.discriminator):
            set_progress(player.module, step / config.steps)
            player.layers.forget()
        for update in range(step * config.updates, (step + 1) * config.updates):
            against = self._update_discriminator(update, self._images(feed))
        for update in range(step * config.generator_steps, (step + 1) * config.generator_steps):
            loss = self._update_generator(update)
        return torch.stack([against[0], loss, *against[1:]])

    def _images(self, feed: Pixels) -> Tensor:
        """This process's share of the next batch, scaled to [-1, 1]."""
        pixels = self._sent(torch.from_numpy(feed.next()))
        return pixels.float().div_(127.5).sub_(1).contiguous(memory_format=self._memory_format)

    def _update_discriminator(self, update: int, images: Tensor) -> Tensor:
        config, loss = self._config, self._config.objective
        latents = self._latents(Stream.DISCRIMINATOR, update)
        mixing = self._sent(randomness.uniform(config.seed, Stream.MIXING, update, config.batch_size))
        shares = torch.split(images, config.images_per_pass)
        told = []
        for number, sync in self._numbered_passes(Stream.DISCRIMINATOR_LAYERS, update):
            rows = slice(number * config.images_per_pass, (number + 1) * config.images_per_pass)
            with torch.no_grad(), self.generator.layers:
                fake = self.generator.forward(latents[rows])
            real = shares[number % self._passes]
            # The binary weights are computed, and drawn where they are stochastic, once for all of a pass.
            with (
                parametrize.cached(),
                self.discriminator.layers,
                self._fabric.no_backward_sync(self.discriminator.forward, enabled=not sync),
            ):
                on_real, on_fake = self.discriminator.forward(real), self.discriminator.forward(fake)
                value = loss.discriminator(on_real, on_fake)
                if loss.gradient_penalty:
                    penalty = gradient_penalty(self.discriminator.forward, real, fake, mixing[rows])
                    value = value + loss.gradient_penalty * penalty
                self._fabric.backward(value / self._passes)
            told.append(torch.stack([value, on_real.mean(), on_fake.mean()]).detach())
        self.discriminator.update()
        return torch.stack(told).mean(0)

    def _update_generator(self, update: int) -> Tensor:
        config = self._config
        latents = self._latents(Stream.GENERATOR, update)
        told = []
        for number, sync in self._numbered_passes(Stream.GENERATOR_LAYERS, update):
            rows = slice(number * config.images_per_pass, (number + 1) * config.images_per_pass)
            with (
                self.generator.layers,
                self.discriminator.layers,
                self.discriminator.frozen(),
                self._fabric.no_backward_sync(self.discriminator.forward),
                self._fabric.no_backward_sync(self.generator.forward, enabled=not sync),
            ):
                fake = self.generator.forward(latents[rows])
                value = config.objective.generator(self.discriminator.forward(fake))
                if self._teacher:
                    (right,) = self._teacher.outputs((latents[rows],), torch.initial_seed())  # that of the pass
                    value = value + config.imitation * example_errors(fake, right).mean()
                self._fabric.backward(value / self._passes)
            told.append(value.detach())
        self.generator.update()
        return torch.stack(told).mean()

    def _numbered_passes(self, stream: Stream, update: int) -> Iterator[tuple[int, bool]]:
        """The numbers of this process's passes, and whether gradients are exchanged after it (the last alone)."""
        for index in range(self._passes):
            number = self._fabric.global_rank * self._passes + index
            randomness.seed_layers(self._config.seed, stream, update, number)
            yield number, index == self._passes - 1

    def _latents(self, stream: Stream, update: int) -> Tensor:
        """Latents for the whole batch, of which each pass takes its rows."""
        drawn = randomness.latents(self._config.seed, stream, update, self._config.batch_size, self._latent_shape)
        return self._sent(drawn)

    def _sent(self, values: Tensor) -> Tensor:
        """The same on the device. From pinned memory, the step need not wait until the device has done all before."""
        device = self._fabric.device
        return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)
