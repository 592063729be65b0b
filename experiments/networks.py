"""The networks of the study, small ones for images of 32 pixels. Each function is a factory for `pbgen train`.

Generators are named by what sets them apart from `base`, latent vector 64 and channels 128-64-32-3 with 4x4 kernels.
All of them, but `large` for 64 pixels, meet the same discriminator, 32-64-128, so that the competition is the same.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from pbgen import measure, models
from pbgen.example import example_input
from pbgen.models.dcgan import Discriminator, Generator
from pbgen.redundancy import Plan

Pair = tuple[nn.Module, nn.Module]


def base() -> Pair:
    return _pair(Generator(64, [128, 64, 32], 3, 4))


def late_bottleneck() -> Pair:
    return _pair(Generator(64, [128, 64, 8], 3, 4))


def early_bottleneck() -> Pair:
    return _pair(Generator(64, [128, 8, 64], 3, 4))


def widening() -> Pair:
    return _pair(Generator(64, [32, 64, 128], 3, 4))


def kernel2() -> Pair:
    return _pair(Generator(64, [128, 64, 32], 3, 2))


def kernel3() -> Pair:
    return _pair(Generator(64, [128, 64, 32], 3, 3))


def kernel9() -> Pair:
    return _pair(Generator(64, [64, 32, 16], 3, 9))


def narrow_latent() -> Pair:
    return _pair(Generator(8, [128, 64, 32], 3, 4))


def wide_latent() -> Pair:
    return _pair(Generator(512, [128, 64, 32], 3, 4))


def grey() -> Pair:
    return _pair(Generator(64, [128, 64, 32], 1, 4), channels=1)


def half() -> Pair:
    return _pair(Generator(64, [64, 32, 16], 3, 4))


def quarter() -> Pair:
    return _pair(Generator(64, [32, 16, 8], 3, 4))


def eighth() -> Pair:
    return _pair(Generator(64, [16, 8, 4], 3, 4))


def double() -> Pair:
    return _pair(Generator(64, [256, 128, 64], 3, 4))


def quadruple() -> Pair:
    return _pair(Generator(64, [512, 256, 128], 3, 4))


def large() -> Pair:
    """For images of 64 pixels: what one core trains for 4,000 steps in twenty minutes."""
    return _large([256, 128, 64, 32])


def large_wide_end() -> Pair:
    """`large` with twice the channels where the image is made of them."""
    return _large([256, 128, 64, 64])


def large_double() -> Pair:
    """`large` with twice the channels everywhere."""
    return _large([512, 256, 128, 64])


def resize() -> Pair:
    """Nearest-neighbour upsampling and 3x3 convolutions instead of transposed ones (Odena et al. 2016)."""
    return _pair(ResizeGenerator(64, [128, 64, 32], 3))


def _pair(generator: nn.Module, channels: int = 3) -> Pair:
    return generator, Discriminator(channels, [32, 64, 128], 4, "batch")


def _large(widths: list[int]) -> Pair:
    return Generator(64, widths, 3, 4), Discriminator(3, [32, 64, 128, 256], 4, "batch")


class ResizeGenerator(nn.Sequential):
    """Latent vectors (N, latent) to images (N, channels, 32, 32)."""

    def __init__(self, latent: int, widths: list[int], channels: int) -> None:
        super().__init__(nn.Unflatten(1, (latent, 1, 1)))
        self.add_module("deconv4", nn.ConvTranspose2d(latent, widths[0], 4, bias=False))
        for size, before, after in zip((8, 16, 32), widths, [*widths[1:], channels], strict=True):
            self.add_module(f"norm{size // 2}", nn.BatchNorm2d(before))
            self.add_module(f"relu{size // 2}", nn.ReLU(inplace=True))
            self.add_module(f"up{size}", nn.Upsample(scale_factor=2))
            self.add_module(f"conv{size}", nn.Conv2d(before, after, 3, padding=1, bias=after == channels))
        self.add_module("tanh", nn.Tanh())
        self.input_shape = (latent,)


class Autoencoder(nn.Module):
    """A variational autoencoder (Kingma and Welling 2014) whose decoder is the generator of `base`."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 32, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(128 * 16, 128),
        )
        self.generator = base()[0]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The images as they come out, and the loss: squared error and divergence, as a sum over an image."""
        mean, deviation = self.encoder(images).chunk(2, 1)
        z = mean + (0.5 * deviation).exp() * torch.randn_like(mean) if self.training else mean
        made = self.generator(z)
        divergence = 0.5 * (mean.square() + deviation.exp() - 1 - deviation).sum(1).mean()
        # A standard deviation of 0.3 for the pixels balances the two terms for images in [-1, 1].
        return made, (made - images).square().sum((1, 2, 3)).mean() / (2 * 0.3**2) + divergence


class SuperResolution(nn.Module):
    """FSRCNN (Dong et al. 2016, arXiv 1608.00367) for twice the size; its last layer is a 9x9 deconvolution."""

    def __init__(self) -> None:
        super().__init__()
        widths, kernels = [3, 56, 12, 12, 12, 12, 12, 56], [5, 1, 3, 3, 3, 3, 1]
        self.generator = nn.Sequential()
        for i, kernel in enumerate(kernels):
            self.generator.add_module(f"conv{i + 1}", nn.Conv2d(widths[i], widths[i + 1], kernel, padding=kernel // 2))
            self.generator.add_module(f"prelu{i + 1}", nn.LeakyReLU(0.2))
        self.generator.add_module("deconv", nn.ConvTranspose2d(56, 3, 9, 2, 4, output_padding=1))
        self.generator.input_shape = (3, 16, 16)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The images made of their halves, and the mean squared error."""
        made = self.generator(nn.functional.avg_pool2d(images, 2))
        return made, (made - images).square().mean()


GANS: dict[str, Callable[[], Pair]] = {
    factory.__name__: factory
    for factory in (
        base, late_bottleneck, early_bottleneck, widening, kernel2, kernel3, kernel9, narrow_latent, wide_latent, grey,
        half, quarter, eighth, double, quadruple, large, large_wide_end, large_double, resize,
    )
}  # fmt: skip
SUPERVISED: dict[str, Callable[[], nn.Module]] = {"autoencoder": Autoencoder, "superresolution": SuperResolution}


def generator(network: str) -> nn.Module:
    """The generator of that name, untrained."""
    if network in GANS:
        return GANS[network]()[0]
    if network in models.names():
        return models.create(network)[0]
    made = SUPERVISED[network]().generator
    assert isinstance(made, nn.Module)
    return made


@cache
def plan(network: str) -> Plan:
    """Its layers as our metric sees them."""
    made = generator(network).eval()
    return measure.plan(made, example_input(made))


def layers(network: str) -> tuple[str, ...]:
    """The names of its layers."""
    return tuple(layer.name for layer in plan(network).layers)


def chosen(network: str) -> tuple[str, ...]:
    """The names of those that the plan makes binary."""
    return tuple(plan(network).binary)
