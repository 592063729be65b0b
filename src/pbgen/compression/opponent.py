"""A discriminator that PBGen supplies for generators of images from latents: the teacher's images are the real ones.

Few bits leave an error that differs from pixel to pixel, which a squared error takes for small and eyes, or the sliced
Wasserstein distance, do not. A discriminator sees it, and the student learns to make images like its teacher's beside
making the same ones.
"""

from typing import Any, TypedDict, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricOptimizer
from torch import Tensor, nn

from pbgen.compression.judge import ImageSet
from pbgen.models.dcgan import Discriminator
from pbgen.training.config import TrainConfig
from pbgen.training.losses import nonsaturating_discriminator, nonsaturating_generator

_MOST_WEIGHT = 1.0  # of the adversarial loss
_RAMP = 150  # steps after which it counts in full: the discriminator learns first
_RATE = 5e-4
_FIRST_WIDTH, _MOST_WIDTH = 32, 512
_SMALLEST = 4  # pixels, of what its last layer reads


class OpponentState(TypedDict):
    """What its steps change."""

    discriminator: dict[str, Tensor]
    optimizer: dict[str, Any]


class Opponent:
    """The discriminator and its training, on the device of `fabric`.

    Each process of a run has one and shows it the whole batch, so all learn the same.
    """

    def __init__(self, fabric: Fabric, images: ImageSet) -> None:
        channels, size, self._ends = images.channels, images.size, images.ends
        halvings = (size // _SMALLEST).bit_length() - 1
        widths = [min(_MOST_WIDTH, _FIRST_WIDTH << i) for i in range(halvings)]
        self.module: nn.Module = fabric.to_device(Discriminator(channels, widths, 4, "batch").train())
        self._adam = torch.optim.Adam(self.module.parameters(), betas=(0.5, 0.999))
        self._optimizer = cast(_FabricOptimizer, fabric.setup_optimizers(self._adam))
        self._fabric = fabric

    def state(self) -> OpponentState:
        """What is to be kept of it."""
        return {"discriminator": self.module.state_dict(), "optimizer": self._adam.state_dict()}

    def restore(self, state: OpponentState) -> None:
        """Go on from what `state` gave."""
        self.module.load_state_dict(state["discriminator"])
        self._adam.load_state_dict(state["optimizer"])

    def step(self, real: Tensor, made: Tensor, rate: float) -> None:
        """Learn to tell the teacher's images from the student's, (N, C, H, W) both, at a part of the full rate."""
        for group in self._adam.param_groups:
            group["lr"] = _RATE * rate
        self._adam.zero_grad()
        on_real, on_made = self.module(self._scaled(real)), self.module(self._scaled(made.detach()))
        self._fabric.backward(nonsaturating_discriminator(on_real, on_made))
        self._optimizer.step()

    def loss(self, made: Tensor, right: Tensor, step: int) -> Tensor:
        """What a student is told of its images in a step of this number; the discriminator collects no gradients.

        It is to be added to the logarithm of the squared error, whose gradient is that of the error over the error. So
        that the two are to each other as in training with a teacher, it is divided by the error and the weight there.
        """
        images = self._scaled(made)
        error = (images - self._scaled(right)).detach().square().mean()
        self.module.requires_grad_(False)
        loss = nonsaturating_generator(self.module(images))
        self.module.requires_grad_(True)
        weight = (1 / (TrainConfig.imitation * error)).clamp_max(_MOST_WEIGHT)
        return weight * min(1.0, step / _RAMP) * loss

    def _scaled(self, images: Tensor) -> Tensor:
        """To [-1, 1]."""
        low, high = self._ends
        return (images.float() - low) * (2 / (high - low)) - 1
