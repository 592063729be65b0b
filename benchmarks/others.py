"""Generators of other people's designs beside the engines that they usually run in, at full resolution.

python benchmarks/others.py [hifigan hifigan3 cyclegan srvgg taesd unet esrgan] [--threads 2] [--rounds 5]

The networks are built here as their papers and authors describe them, with random weights and the binary layers that a
plan chooses: speed does not hang on what was learned. Wants the bench extra.
"""

import argparse
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

import pbgen
from pbgen.bench import compare
from pbgen.report.text import duration

PEERS = ("onnxruntime", "openvino")


class Residual(nn.Module):
    """x + f(x), and perhaps what comes after."""

    def __init__(self, *inner: nn.Module, after: nn.Module | None = None) -> None:
        super().__init__()
        self.inner, self.after = nn.Sequential(*inner), after or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.after(x + self.inner(x))


class HifiGan(nn.Module):
    """HiFi-GAN V1 or V3 (Kong et al. 2020, arXiv 2010.05646): mel spectrograms (80, frames) to (1, 256 frames)."""

    def __init__(self, version: int) -> None:
        super().__init__()
        channels, rates, kernels = {1: (512, (8, 8, 2, 2), (3, 7, 11)), 3: (256, (8, 8, 4), (3, 5, 7))}[version]
        block = self._block_1 if version == 1 else self._block_2
        self.first, self.stages = weight_norm(nn.Conv1d(80, channels, 7, padding=3)), nn.ModuleList()
        for rate in rates:
            channels //= 2
            up = weight_norm(nn.ConvTranspose1d(2 * channels, channels, 2 * rate, rate, rate // 2))
            self.stages.append(nn.ModuleList([up, *(block(channels, i, kernel) for i, kernel in enumerate(kernels))]))
        self.last = weight_norm(nn.Conv1d(channels, 1, 7, padding=3))

    @staticmethod
    def _conv(channels: int, kernel: int, dilation: int) -> nn.Module:
        return weight_norm(nn.Conv1d(channels, channels, kernel, 1, dilation * (kernel // 2), dilation))

    @classmethod
    def _block_1(cls, channels: int, _: int, kernel: int) -> nn.Module:
        slope, conv = nn.LeakyReLU(0.1), cls._conv
        steps = (Residual(slope, conv(channels, kernel, d), slope, conv(channels, kernel, 1)) for d in (1, 3, 5))
        return nn.Sequential(*steps)

    @classmethod
    def _block_2(cls, channels: int, i: int, kernel: int) -> nn.Module:
        dilations = ((1, 2), (2, 6), (3, 12))[i]
        return nn.Sequential(*(Residual(nn.LeakyReLU(0.1), cls._conv(channels, kernel, d)) for d in dilations))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for up, *blocks in self.stages:
            x = up(F.leaky_relu(x, 0.1))
            x = sum(block(x) for block in blocks) / len(blocks)
        return torch.tanh(self.last(F.leaky_relu(x)))


def cyclegan() -> nn.Module:
    """CycleGAN's generator of nine residual blocks (Zhu et al. 2017, arXiv 1703.10593)."""

    def norm(channels: int) -> list[nn.Module]:
        return [nn.InstanceNorm2d(channels), nn.ReLU()]

    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, 64, 7), *norm(64)]
    for channels in (64, 128):
        layers += [nn.Conv2d(channels, 2 * channels, 3, 2, 1), *norm(2 * channels)]
    for _ in range(9):
        half = [nn.ReflectionPad2d(1), nn.Conv2d(256, 256, 3), nn.InstanceNorm2d(256)]
        other = [nn.ReflectionPad2d(1), nn.Conv2d(256, 256, 3), nn.InstanceNorm2d(256)]
        layers.append(Residual(*half, nn.ReLU(), *other))
    for channels in (128, 64):
        layers += [nn.ConvTranspose2d(2 * channels, channels, 3, 2, 1, 1), *norm(channels)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(64, 3, 7), nn.Tanh())


class Srvgg(nn.Module):
    """Real-ESRGAN's compact network (Wang et al. 2021, arXiv 2107.10833): four times the size."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Conv2d(3, 64, 3, padding=1), nn.PReLU(64)]
        for _ in range(16):
            layers += [nn.Conv2d(64, 64, 3, padding=1), nn.PReLU(64)]
        self.body = nn.Sequential(*layers, nn.Conv2d(64, 48, 3, padding=1), nn.PixelShuffle(4))
        for module in self.modules():
            if isinstance(module, nn.PReLU):
                nn.init.uniform_(module.weight, -0.1, 0.4)  # trained ones differ from channel to channel

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + F.interpolate(x, scale_factor=4.0)


def taesd() -> nn.Module:
    """The tiny autoencoder's decoder (github.com/madebyollin/taesd): latents (4, h, w) to pictures of 8 h x 8 w."""

    def block() -> nn.Module:
        convs = [nn.Conv2d(64, 64, 3, padding=1) for _ in range(3)]
        return Residual(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2], after=nn.ReLU())

    layers = [nn.Conv2d(4, 64, 3, padding=1), nn.ReLU()]
    for _ in range(3):
        layers += [block(), block(), block(), nn.Upsample(scale_factor=2), nn.Conv2d(64, 64, 3, padding=1, bias=False)]
    return nn.Sequential(*layers, block(), nn.Conv2d(64, 3, 3, padding=1))


class Unet(nn.Module):
    """pix2pix's U-Net of eight levels (Isola et al. 2017, arXiv 1611.07004)."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, 64, 128, 256, *[512] * 5]
        down = [nn.Conv2d(a, b, 4, 2, 1, bias=False) for a, b in pairwise(widths)]
        # The outermost and the innermost have no norm.
        self.down = nn.ModuleList(
            nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels) if 0 < i < 7 else nn.Identity())
            for i, conv in enumerate(down)
        )
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                nn.ConvTranspose2d(inner if i == 7 else 2 * inner, outer, 4, 2, 1, bias=i == 0),
                nn.BatchNorm2d(outer) if i else nn.Tanh(),
            )
            for i, (outer, inner) in enumerate(pairwise(widths))
        )

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for i, down in enumerate(self.down):
            x = down(F.leaky_relu(x, 0.2) if i else x)
            kept.append(x)
        x = self.up[7](kept[7])
        for i in range(6, -1, -1):
            x = self.up[i](torch.cat([kept[i], x], 1))
        return x


class Dense(nn.Module):
    """A dense block of ESRGAN: each layer reads what all before it made."""

    def __init__(self, channels: int = 64, growth: int = 32) -> None:
        super().__init__()
        outputs = [growth] * 4 + [channels]
        self.layers = nn.ModuleList(nn.Conv2d(channels + i * growth, n, 3, 1, 1) for i, n in enumerate(outputs))

    def forward(self, x: Tensor) -> Tensor:
        parts = [x]
        for layer in self.layers[:-1]:
            parts.append(F.leaky_relu(layer(torch.cat(parts, 1)), 0.2))
        return x + 0.2 * self.layers[-1](torch.cat(parts, 1))


class Esrgan(nn.Module):
    """ESRGAN's generator (Wang et al. 2018, arXiv 1809.00219), 23 blocks of three dense blocks, 4x."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 64, 3, 1, 1), nn.Conv2d(64, 3, 3, 1, 1)
        self.blocks = nn.ModuleList(nn.Sequential(Dense(), Dense(), Dense()) for _ in range(23))
        self.body, self.up, self.higher, self.before = (nn.Conv2d(64, 64, 3, 1, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        made = first = self.first(x)
        for block in self.blocks:
            made = made + 0.2 * block(made)
        made = first + self.body(made)
        for layer in (self.up, self.higher):
            made = F.leaky_relu(layer(F.interpolate(made, scale_factor=2)), 0.2)
        return self.last(F.leaky_relu(self.before(made), 0.2))


# How each is made, the shape that it is packed by, and the free sizes that it is timed at.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...]]] = {
    "hifigan": (partial(HifiGan, 1), (80, 32), (100,)),
    "hifigan3": (partial(HifiGan, 3), (80, 32), (100,)),
    "cyclegan": (cyclegan, (3, 64, 64), (256, 256)),
    "srvgg": (Srvgg, (3, 64, 64), (256, 256)),
    "taesd": (taesd, (4, 32, 32), (32, 32)),
    "unet": (Unet, (3, 256, 256), (256, 256)),
    "esrgan": (Esrgan, (3, 32, 32), (64, 64)),
}


def measure(name: str, folder: Path, threads: int, rounds: int) -> list[str]:
    """Times of our engine, float32 and int8, and of the fastest peer; and how many times faster ours are."""
    make, shape, sizes = NETWORKS[name]
    torch.manual_seed(0)
    module, example = make().eval(), torch.randn(1, *shape)
    pbgen.binarize(module, pbgen.plan(module, example))
    pbgen.pack(module.eval(), example, folder / name)
    comparison = compare(folder / name, ["pbgen-int8", *PEERS], threads, rounds=rounds, sizes=sizes)
    medians = {one.engine: one.median for one in comparison.measurements}
    peer = min((engine for engine in medians if engine in PEERS), key=lambda engine: medians[engine])
    ours = [medians["pbgen"], medians["pbgen-int8"]]
    return [
        *(duration(seconds) for seconds in [*ours, medians[peer]]),
        peer,
        *(f"{medians[peer] / seconds:.2f}x" for seconds in ours),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", help=f"of {', '.join(NETWORKS)}; all if none is named")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    head = ["network", "float32", "int8", "fastest peer", "which", "faster by", "int8 by"]
    print("".join(f"{word:14}" for word in head))
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.networks or NETWORKS:
            cells = measure(name, Path(folder), arguments.threads, arguments.rounds)
            print("".join(f"{cell:14}" for cell in [name, *cells]), flush=True)


if __name__ == "__main__":
    main()
