"""The discriminator of compression: it tells sets apart, says so to what it is shown, and is the same everywhere."""

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from pbgen.compression.inputs import Examples, Noise
from pbgen.compression.judge import ImageSet, Judge, image_set
from pbgen.compression.opponent import Opponent

FABRIC = Fabric(accelerator="cpu", devices=1)


def images(seed: int, size: int, channels: int, ends: tuple[float, float], smooth: bool) -> Tensor:
    noise = torch.rand(32, channels, size, size, generator=torch.Generator().manual_seed(seed))
    grey = torch.nn.functional.avg_pool2d(noise, 5, 1, 2) if smooth else noise
    return ends[0] + (ends[1] - ends[0]) * grey


@pytest.mark.parametrize(("size", "channels", "ends"), [(16, 3, (-1, 1)), (20, 1, (0, 255)), (48, 3, (0, 1))])
def test_it_learns_to_tell(size: int, channels: int, ends: tuple[float, float]) -> None:
    torch.manual_seed(0)
    opponent = Opponent(FABRIC, ImageSet(channels, size, ends))
    for step in range(60):
        opponent.step(
            images(2 * step, size, channels, ends, True), images(2 * step + 1, size, channels, ends, False), 1.0
        )
    smooth, rough = (images(-1 - k, size, channels, ends, k == 0).requires_grad_() for k in range(2))
    losses = [opponent.loss(made, made.detach() + 0.1 * (ends[1] - ends[0]), 10_000) for made in (smooth, rough)]
    assert losses[0] < 0.5 * losses[1]
    losses[1].backward()
    assert rough.grad is not None and rough.grad.abs().max() > 0
    assert all(parameter.requires_grad for parameter in opponent.module.parameters())
    assert opponent.loss(rough, smooth, 0) == 0  # it learns first


def test_its_weight_is_that_of_training_with_a_teacher() -> None:
    """The gradients are as those of 300 times the squared error and the adversarial loss."""
    torch.manual_seed(0)
    opponent = Opponent(FABRIC, ImageSet(3, 16, (-1, 1)))
    made, right = (images(k, 16, 3, (-1, 1), False).requires_grad_() for k in range(2))
    error = (made - right).square().mean()
    (error.log() + opponent.loss(made, right, 10_000)).backward()
    adversarial = torch.nn.functional.softplus(-opponent.module(made)).mean()
    (expected,) = torch.autograd.grad(300 * (made - right).square().mean() + adversarial, made)
    assert made.grad is not None
    torch.testing.assert_close(made.grad * 300 * error.detach(), expected, rtol=1e-4, atol=1e-7)


def test_its_range_does_not_matter() -> None:
    losses = []
    for ends in [(-1.0, 1.0), (0.0, 255.0)]:
        torch.manual_seed(0)
        opponent = Opponent(FABRIC, ImageSet(3, 16, ends))
        opponent.step(images(1, 16, 3, ends, True), images(2, 16, 3, ends, False), 1.0)
        made, right = images(3, 16, 3, ends, True), images(4, 16, 3, ends, True)
        losses.append(float(opponent.loss(made, right, 150)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_it_is_for_images_of_latents_alone() -> None:
    class Generator(torch.nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.tanh(z).reshape(-1, 1, 16, 16)

    module, latents = Generator(), Noise([(256,)], 0)
    judge = Judge(module, latents.chosen_by)
    assert image_set(latents, judge) == ImageSet(1, 16, (-1.0, 1.0))
    assert image_set(Examples([torch.randn(8, 256)], 0), judge) is None
