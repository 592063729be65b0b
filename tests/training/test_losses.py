"""The losses against their formulas, written out in float64."""

import numpy as np
import pytest
import torch
from torch import nn

from pbgen.training.losses import LOSSES, gradient_penalty

REAL = np.array([-3.0, -0.4, 0.0, 0.9, 1.0, 7.5])
FAKE = np.array([-6.0, -1.0, -0.2, 0.3, 1.7, 4.0])


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.log(1 / (1 + np.exp(-x)))


FORMULAS = {
    "nonsaturating": (
        -np.mean(log_sigmoid(REAL)) - np.mean(np.log(1 - 1 / (1 + np.exp(-FAKE)))),
        -np.mean(log_sigmoid(FAKE)),
    ),
    "lsgan": (0.5 * np.mean((REAL - 1) ** 2) + 0.5 * np.mean(FAKE**2), 0.5 * np.mean((FAKE - 1) ** 2)),
    "wgan-gp": (np.mean(FAKE) - np.mean(REAL), -np.mean(FAKE)),
    "hinge": (np.mean(np.maximum(0, 1 - REAL)) + np.mean(np.maximum(0, 1 + FAKE)), -np.mean(FAKE)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_its_formula(name: str) -> None:
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    discriminator, generator = FORMULAS[name]
    assert LOSSES[name].discriminator(real, fake).item() == pytest.approx(discriminator, abs=1e-12)
    assert LOSSES[name].generator(fake).item() == pytest.approx(generator, abs=1e-12)


def test_only_wgan_gp_has_a_penalty_and_its_discriminator_settings() -> None:
    settings = {n: (x.gradient_penalty, x.discriminator_steps, x.discriminator_norm) for n, x in LOSSES.items()}
    assert settings.pop("wgan-gp") == (10.0, 5, "layer")
    assert set(settings.values()) == {(0.0, 1, "batch")}


def test_loss_of_saturated_outputs_is_finite_and_has_a_gradient() -> None:
    fake = torch.tensor([-200.0], requires_grad=True)
    LOSSES["nonsaturating"].generator(fake).backward()
    assert fake.grad is not None
    assert fake.grad.item() == pytest.approx(-1)


def test_gradient_penalty_of_a_linear_discriminator() -> None:
    weight = torch.randn(3 * 4 * 4, dtype=torch.float64)
    real, fake = torch.randn(2, 5, 3, 4, 4, dtype=torch.float64)
    penalty = gradient_penalty(lambda x: x.flatten(1) @ weight, real, fake, torch.rand(5, dtype=torch.float64))
    assert penalty.item() == pytest.approx((np.linalg.norm(weight.numpy()) - 1) ** 2)


def test_gradient_penalty_by_finite_differences() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0)).double()
    real, fake = torch.randn(2, 3, 3, 2, 2, dtype=torch.float64)
    mixing = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    expected = []
    for x, g, e in zip(real, fake, mixing, strict=True):
        mixed = e * x + (1 - e) * g
        gradient = torch.zeros(12, dtype=torch.float64)
        for i in range(12):
            step = torch.zeros(12, dtype=torch.float64)
            step[i] = 1e-6
            above, below = (network((mixed + sign * step.view(3, 2, 2))[None]) for sign in (1, -1))
            gradient[i] = (above - below).item() / 2e-6
        expected.append((gradient.norm().item() - 1) ** 2)
    penalty = gradient_penalty(network, real, fake, mixing)
    assert penalty.item() == pytest.approx(np.mean(expected), rel=1e-6)
    penalty.backward()
    assert network[1].weight.grad is not None
    assert network[1].weight.grad.abs().sum() > 0
