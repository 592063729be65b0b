"""A discriminator whose real images are the teacher's: for latents, where imitation alone blurs what few bits miss.

Pictures by distance alone are means of what they might be; that they look like the teacher's images, a discriminator
sees. The losses are those of `pbgen.training`, and so is the network.
"""

from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from pbgen.models import create
from pbgen.training.config import TrainConfig
from pbgen.training.losses import LOSSES
from pbgen.training.step import Player

WEIGHT = 1 / 300  # of its loss beside the squared error of images from -1 to 1, as `pbgen train --teacher` has it
_SIZES = (32, 64, 128, 256)
_WIDTH = 128  # channels of the discriminator's widest layer
_LOSS = LOSSES["nonsaturating"]


def can_judge(images: Tensor) -> bool:
    """Whether a built-in discriminator takes such images."""
    square = images.dim() == 4 and images.shape[1] in (1, 3) and images.shape[2] == images.shape[3]
    return square and images.shape[2] in _SIZES


class Critic:
    """Learns beside the student. `ends` are what the images have for black and white."""

    def __init__(self, fabric: Fabric, example: Tensor, ends: tuple[float, float]) -> None:
        _, discriminator = create(f"dcgan{example.shape[2]}", channels=example.shape[1], width=_WIDTH)
        self._fabric, self._ends = fabric, ends
        self._player = Player(fabric, TrainConfig(discriminator="float"), discriminator, torch.contiguous_format, False)

    def learn(self, real: Tensor, fake: Tensor) -> None:
        """One step on images of the teacher and of the student, of other latents."""
        forward = self._player.forward
        self._fabric.backward(_LOSS.discriminator(forward(self._scaled(real)), forward(self._scaled(fake.detach()))))
        self._player.update()

    def loss(self, fake: Tensor) -> Tensor:
        """What the student has to lower, in units of the squared error of images from -1 to 1."""
        with self._player.frozen():
            value: Tensor = _LOSS.generator(self._player.forward(self._scaled(fake)))
        return WEIGHT * value

    def _scaled(self, images: Tensor) -> Tensor:
        low, high = self._ends
        return (images - low) * (2 / (high - low)) - 1

    def state(self) -> dict[str, Any]:
        """All that a step changes."""
        return {"module": self._player.module.state_dict(), "optimizer": self._player.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        self._player.module.load_state_dict(state["module"])
        self._player.optimizer.load_state_dict(state["optimizer"])
