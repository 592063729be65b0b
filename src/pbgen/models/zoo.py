"""The built-in models by name."""

import os

from torch import nn

from pbgen.errors import PBGenError
from pbgen.models.dcgan import Discriminator, Generator, Norm

# Name -> (pixels, channels of the widest layer). dcgan64 is the size that the paper of partial binarization used.
_DCGANS = {"dcgan32": (32, 512), "dcgan64": (64, 1024), "dcgan128": (128, 1024), "dcgan256": (256, 1024)}


def names() -> list[str]:
    """The names that `create` knows."""
    return list(_DCGANS)


def create(
    name: str,
    *,
    channels: int = 3,
    kernel_size: int = 5,
    width: int | None = None,
    latent: int = 100,
    discriminator_norm: Norm = "batch",
) -> tuple[nn.Module, nn.Module]:
    """A built-in generator and its discriminator, with fresh weights from torch's global random generator.

    The generator takes (N, latent) and gives (N, channels, size, size) in [-1, 1]; it has `input_shape` and
    `output_shape`, without the batch. The discriminator gives logits (N,). `kernel_size` is 4 or 5. `width` is the
    number of channels next to the latent vector, halved at each further layer. `discriminator_norm` is "batch", or
    "layer" for losses with a gradient penalty.

    Raises PBGenError where the name is unknown or an option is not one of these.
    """
    if name not in _DCGANS:
        raise PBGenError(
            f"model '{name}': unknown; choose one of {', '.join(_DCGANS)} or give file.py:factory or file.pt2"
        )
    size, usual_width = _DCGANS[name]
    if channels not in (1, 3):
        raise PBGenError(f"channels {channels}: {name} makes images of 1 or 3 channels")
    if kernel_size not in (4, 5):
        raise PBGenError(f"kernel size {kernel_size}: {name} has kernels of size 4 or 5")
    if latent < 1:
        raise PBGenError(f"latent {latent}: {name} needs a latent vector of at least 1 number")
    if discriminator_norm not in ("batch", "layer"):
        raise PBGenError(f"discriminator norm '{discriminator_norm}': choose batch or layer")
    widths = _widths(name, size, usual_width if width is None else width)
    _check_memory(name, latent, widths, channels, kernel_size)
    generator = Generator(latent, widths, channels, kernel_size)
    return generator, Discriminator(channels, widths[::-1], kernel_size, discriminator_norm)


def _check_memory(name: str, latent: int, widths: list[int], channels: int, kernel_size: int) -> None:
    """Torch would say it in words of its own, or begin, and be ended by the system."""
    between = kernel_size**2 * sum(a * b for a, b in zip(widths, [*widths[1:], channels], strict=True))
    needed = 4 * (2 * between + 16 * widths[0] * (latent + 1))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**40
    if needed > memory:
        raise PBGenError(
            f"width {widths[0]}, latent {latent}: the weights of {name} would take {needed // 2**30:,} GB, "
            f"and this machine has {memory // 2**30:,}; choose less"
        )


def _widths(name: str, size: int, width: int) -> list[int]:
    layers = (size // 4).bit_length() - 1
    divisor = 1 << (layers - 1)
    if width < divisor or width % divisor:
        raise PBGenError(f"width {width}: {name} halves it {layers - 1} times; choose a multiple of {divisor}")
    return [width >> step for step in range(layers)]
