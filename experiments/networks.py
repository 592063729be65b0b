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


def attention() -> Pair:
    """Self-attention between `base`'s second and third layer, at 8x8 pixels."""
    return _pair(AttentionGenerator(64, [128, 128, 32], 3))


def modulation() -> Pair:
    """The latent vector comes in by gains and biases alone, as in StyleGAN (Karras et al. 2019, arXiv 1812.04948)."""
    return _pair(ModulatedGenerator(64, 128, [128, 64, 32], 3))


def depthwise() -> Pair:
    """Inverted residuals' layers (Sandler et al. 2018, arXiv 1801.04381): pointwise, depthwise, pointwise."""
    return _pair(DepthwiseGenerator(64, [128, 64, 32], 3))


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


class AttentionGenerator(nn.Sequential):
    """Latent vectors (N, latent) to images (N, channels, 32, 32)."""

    def __init__(self, latent: int, widths: list[int], channels: int) -> None:
        super().__init__(nn.Unflatten(1, (latent, 1, 1)))
        self.add_module("deconv4", nn.ConvTranspose2d(latent, widths[0], 4, bias=False))
        for size, before, after in zip((8, 16, 32), widths, [*widths[1:], channels], strict=True):
            self.add_module(f"norm{size // 2}", nn.BatchNorm2d(before))
            if size == 16:
                self.add_module("attention", Attention(before))
            self.add_module(f"relu{size // 2}", nn.ReLU(inplace=True))
            self.add_module(f"deconv{size}", nn.ConvTranspose2d(before, after, 4, 2, 1, bias=after == channels))
        self.add_module("tanh", nn.Tanh())
        self.input_shape = (latent,)


class Attention(nn.Module):
    """Each pixel of (N, channels, H, W) reads all others (Zhang et al. 2019, arXiv 1805.08318), beside itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Conv2d(channels, channels, 1, bias=False) for _ in range(4))
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """The normalized sum."""
        query, key, value = (layer(x).flatten(2).transpose(1, 2) for layer in (self.query, self.key, self.value))
        read = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.norm(x + self.out(read.transpose(1, 2).reshape(x.shape)))


class ModulatedGenerator(nn.Module):
    """Latent vectors (N, latent) to images (N, channels, 32, 32), by way of styles (N, style)."""

    def __init__(self, latent: int, style: int, widths: list[int], channels: int) -> None:
        super().__init__()
        self.mapping = nn.Sequential()
        for i, before in enumerate((latent, style)):
            self.mapping.add_module(f"linear{i + 1}", nn.Linear(before, style))
            self.mapping.add_module(f"relu{i + 1}", nn.LeakyReLU(0.2))
        self.start = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.blocks = nn.ModuleList(
            ModulatedBlock(before, after, style)
            for before, after in zip(widths, [*widths[1:], widths[-1]], strict=True)
        )
        self.image = nn.Conv2d(widths[-1], channels, 3, padding=1)
        self.input_shape = (latent,)

    def forward(self, z: Tensor) -> Tensor:
        """Images in [-1, 1]."""
        style = self.mapping(z)
        x = self.start.expand(len(z), -1, -1, -1)
        for block in self.blocks:
            x = block(x, style)
        return self.image(x).tanh()


class ModulatedBlock(nn.Module):
    """Twice the size, and each channel of an image with a gain and a bias that its style makes."""

    def __init__(self, before: int, after: int, style: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.norm = nn.InstanceNorm2d(after)
        self.gain, self.bias = nn.Linear(style, after), nn.Linear(style, after)
        nn.init.ones_(self.gain.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(N, before, H, W) and (N, style) to (N, after, 2H, 2W)."""
        x = self.norm(self.conv(nn.functional.interpolate(x, scale_factor=2)))
        gain, bias = (layer(style)[..., None, None] for layer in (self.gain, self.bias))
        return nn.functional.leaky_relu(gain * x + bias, 0.2)


class DepthwiseGenerator(nn.Sequential):
    """Latent vectors (N, latent) to images (N, channels, 32, 32)."""

    def __init__(self, latent: int, widths: list[int], channels: int) -> None:
        super().__init__(nn.Unflatten(1, (latent, 1, 1)))
        self.add_module("deconv4", nn.ConvTranspose2d(latent, widths[0], 4, bias=False))
        self.add_module("norm4", nn.BatchNorm2d(widths[0]))
        self.add_module("relu4", nn.ReLU(inplace=True))
        for size, before, after in zip((8, 16, 32), widths, [*widths[1:], widths[-1]], strict=True):
            inside = 2 * before
            self.add_module(f"up{size}", nn.Upsample(scale_factor=2))
            self.add_module(f"expand{size}", nn.Conv2d(before, inside, 1, bias=False))
            self.add_module(f"spread{size}", nn.Conv2d(inside, inside, 3, padding=1, groups=inside, bias=False))
            self.add_module(f"inner{size}", nn.BatchNorm2d(inside))
            self.add_module(f"relu{size}", nn.ReLU(inplace=True))
            self.add_module(f"project{size}", nn.Conv2d(inside, after, 1, bias=False))
            self.add_module(f"norm{size}", nn.BatchNorm2d(after))
        self.add_module("image", nn.Conv2d(widths[-1], channels, 3, padding=1))
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
        half, quarter, eighth, double, quadruple, large, large_wide_end, large_double, resize, attention,
        modulation, depthwise,
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
