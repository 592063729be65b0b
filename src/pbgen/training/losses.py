"""The adversarial losses, over the discriminator's raw outputs D(x) on real and on generated images G(z).

Every function takes outputs of any shape and returns a scalar, the mean over all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pbgen.models.dcgan import Norm


@dataclass(frozen=True)
class Loss:
    """What each network minimizes, and what comes with the choice."""

    discriminator: Callable[[Tensor, Tensor], Tensor]  # of D(x) and D(G(z))
    generator: Callable[[Tensor], Tensor]  # of D(G(z))
    gradient_penalty: float = 0.0  # the factor of the penalty
    discriminator_steps: int = 1  # for one step of the generator
    discriminator_norm: Norm = "batch"


def nonsaturating_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log s(D(x)) - log(1 - s(D(G(z)))), s the logistic function. Goodfellow et al. 2014, arXiv 1406.2661."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def nonsaturating_generator(fake: Tensor) -> Tensor:
    """-log s(D(G(z))): the form that still has a gradient where the discriminator wins. arXiv 1406.2661, section 3."""
    return F.softplus(-fake).mean()


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """((D(x) - 1)^2 + D(G(z))^2) / 2. Mao et al. 2017, arXiv 1611.04076, equation 9."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def least_squares_generator(fake: Tensor) -> Tensor:
    """(D(G(z)) - 1)^2 / 2. arXiv 1611.04076, equation 9."""
    return (fake - 1).square().mean() / 2


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """D(G(z)) - D(x). Arjovsky et al. 2017, arXiv 1701.07875; `gradient_penalty` is added by the training step."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """-D(G(z)). arXiv 1701.07875; the generator's half of the hinge loss too."""
    return -fake.mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))). Lim and Ye 2017, arXiv 1705.02894."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mixing: Tensor) -> Tensor:
    """(|grad D(m)| - 1)^2 averaged over the images m = e x + (1 - e) G(z). Gulrajani et al. 2017, arXiv 1704.00028.

    `real` and `fake` are (N, C, H, W); `mixing` holds each image's e in 0..1, (N,). The discriminator must treat each
    image by itself (no batch norm), or the gradient is not one image's.
    """
    e = mixing.view(-1, 1, 1, 1)
    mixed = (e * real + (1 - e) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(mixed).sum(), mixed, create_graph=True)
    lengths: Tensor = gradient.flatten(1).norm(dim=1)
    return (lengths - 1).square().mean()


LOSSES = {
    "nonsaturating": Loss(nonsaturating_discriminator, nonsaturating_generator),
    "lsgan": Loss(least_squares_discriminator, least_squares_generator),
    "wgan-gp": Loss(wasserstein_discriminator, wasserstein_generator, 10.0, 5, "layer"),
    "hinge": Loss(hinge_discriminator, wasserstein_generator),
}
