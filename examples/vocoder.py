"""A vocoder in the manner of HiFi-GAN V3, packed and run on a sound of any length: python examples/vocoder.py

Its weights are random: this shows shapes, bytes and speed. With trained weights, `pbgen compress vocoder.py:make
--weights g.pt --inputs sounds.py:mels` makes them few bits.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

import pbgen


class Residual(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        gaps = [(d, nn.Conv1d(channels, channels, kernel, dilation=d, padding=d * (kernel - 1) // 2)) for d in (1, 3)]
        self.convolutions = nn.ModuleList(convolution for _, convolution in gaps)

    def forward(self, x: Tensor) -> Tensor:
        for convolution in self.convolutions:
            x = x + convolution(nn.functional.leaky_relu(x, 0.1))
        return x


class Vocoder(nn.Module):
    """80 mel bands of n frames -> 256 n samples."""

    def __init__(self, channels: int = 256) -> None:
        super().__init__()
        self.first = nn.Conv1d(80, channels, 7, padding=3)
        stages: list[nn.Module] = []
        for stride in (8, 8, 4):
            half = channels // 2
            stages += [nn.LeakyReLU(0.1), nn.ConvTranspose1d(channels, half, 2 * stride, stride, stride // 2)]
            stages += [Residual(half, 3), Residual(half, 5)]
            channels = half
        self.stages = nn.Sequential(*stages)
        self.last = nn.Conv1d(channels, 1, 7, padding=3)

    def forward(self, mel: Tensor) -> Tensor:
        return torch.tanh(self.last(nn.functional.leaky_relu(self.stages(self.first(mel)))))


def make() -> nn.Module:
    module = Vocoder()
    module.input_shape = (80, 32)  # one of the lengths that it takes
    return module


def main() -> None:
    torch.manual_seed(0)
    module, mel = make().eval(), torch.randn(1, 80, 32)
    plan = pbgen.plan(module, mel)
    pbgen.binarize(module, plan)
    with TemporaryDirectory() as folder:
        info = pbgen.pack(module, mel, Path(folder, "vocoder.safetensors"))
        engine = pbgen.Engine(Path(folder, "vocoder.safetensors"))
    print(f"{len(plan.binary)} of {len(plan.layers)} layers in one bit")
    print(f"{info.packed_bytes:,} bytes, as float32 {info.float_bytes:,}")
    frames = np.random.default_rng(0).standard_normal((1, 80, 200), np.float32)
    engine(frames)  # works out the sizes
    begun = time.perf_counter()
    sound = engine(frames)
    print(
        f"{sound.shape[-1]} samples, {sound.shape[-1] / 22050:.1f} s of sound, in {time.perf_counter() - begun:.3f} s"
    )


if __name__ == "__main__":
    main()
