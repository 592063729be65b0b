"""DCGAN (Radford et al. 2016, arXiv 1511.06434): a generator of transposed convolutions and its mirror image."""

from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn

Norm = Literal["batch", "layer"]


class Generator(nn.Sequential):
    """Latent vectors (N, latent), drawn from N(0, 1), to images (N, channels, size, size) in [-1, 1].

    `widths` are the channels of the layers before the image: the first is 4x4 pixels, and each further layer, the image
    included, doubles the size. Layers are named by the size of what they make.
    """

    def __init__(self, latent: int, widths: list[int], channels: int, kernel_size: int) -> None:
        size = 4 * 2 ** len(widths)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["unflatten"] = nn.Unflatten(1, (latent, 1, 1))
        layers["deconv4"] = nn.ConvTranspose2d(latent, widths[0], 4, bias=False)
        for step, (before, after) in enumerate(zip(widths, [*widths[1:], channels], strict=True)):
            layers[f"norm{4 << step}"] = nn.BatchNorm2d(before)
            layers[f"relu{4 << step}"] = nn.ReLU(inplace=True)
            layers[f"deconv{8 << step}"] = nn.ConvTranspose2d(
                before,
                after,
                kernel_size,
                stride=2,
                padding=(kernel_size - 1) // 2,
                output_padding=kernel_size % 2,
                bias=step == len(widths) - 1,
            )
        layers["tanh"] = nn.Tanh()
        super().__init__(layers)
        self.input_shape = (latent,)
        self.output_shape = (channels, size, size)
        self.apply(_initialize)


class Discriminator(nn.Sequential):
    """Images (N, channels, size, size) in [-1, 1] to logits (N,), positive for real.

    The generator's mirror image: `widths` are the channels of its layers, from large to small pixels. `norm` "layer"
    normalizes each image by itself, as a gradient penalty asks for (Gulrajani et al. 2017, arXiv 1704.00028).
    """

    def __init__(self, channels: int, widths: list[int], kernel_size: int, norm: Norm) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for step, (before, after) in enumerate(zip([channels, *widths], widths, strict=False)):
            size = 2 << (len(widths) - step)
            layers[f"conv{size}"] = nn.Conv2d(
                before, after, kernel_size, stride=2, padding=(kernel_size - 1) // 2, bias=step == 0
            )
            if step > 0:
                layers[f"norm{size}"] = nn.BatchNorm2d(after) if norm == "batch" else nn.GroupNorm(1, after)
            layers[f"leaky{size}"] = nn.LeakyReLU(0.2, inplace=True)
        layers["logit"] = nn.Conv2d(widths[-1], 1, 4)
        super().__init__(layers)
        self.apply(_initialize)

    def forward(self, images: Tensor) -> Tensor:
        for layer in self:
            images = layer(images)
        return images.flatten()


def _initialize(module: nn.Module) -> None:
    """Weights from N(0, 0.02), gains of the normalizations from N(1, 0.02), as in the DCGAN paper and its followers."""
    if isinstance(module, nn.ConvTranspose2d | nn.Conv2d):
        nn.init.normal_(module.weight, 0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
        nn.init.normal_(module.weight, 1, 0.02)
