"""Does any shape fall off a cliff? The rate of single layers of many shapes, in multiply-adds per second.

python benchmarks/shapes.py [--threads 1]
"""

import argparse
import copy
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

import pbgen

Case = tuple[nn.Module, tuple[int, ...]]


def deconv(inputs: int, outputs: int, size: int, k: int, stride: int = 2, groups: int = 1) -> Case:
    padding = (k - stride + 1) // 2 if size > 1 else 0
    layer = nn.ConvTranspose2d(inputs, outputs, k, stride, padding, groups=groups, bias=False)
    return layer, (inputs, size, size)


def conv(inputs: int, outputs: int, size: int, k: int, stride: int = 1, groups: int = 1) -> Case:
    return nn.Conv2d(inputs, outputs, k, stride, k // 2, groups=groups, bias=False), (inputs, size, size)


def sound(channels: int, length: int, k: int, dilation: int = 1) -> Case:
    layer = nn.Conv1d(channels, channels, k, 1, k // 2 * dilation, dilation, bias=False)
    return layer, (channels, length)


CASES: dict[str, Case] = {
    "deconvolution 512 to 256, 8x8, 5x5": deconv(512, 256, 8, 5),
    "deconvolution 512 to 256, 8x8, 4x4": deconv(512, 256, 8, 4),
    "odd channels, 509 to 251": deconv(509, 251, 8, 5),
    "few channels, 33 to 35": deconv(33, 35, 32, 5),
    "17 to 100": deconv(17, 100, 32, 5),
    "100 to 17": deconv(100, 17, 32, 5),
    "256 to 3": deconv(256, 3, 32, 5),
    "3 to 64": deconv(3, 64, 64, 5),
    "kernel 2": deconv(256, 128, 16, 2),
    "kernel 3": deconv(256, 128, 16, 3),
    "kernel 9": deconv(64, 64, 16, 9),
    "stride 1": deconv(256, 128, 16, 3, 1),
    "stride 3": deconv(256, 128, 16, 5, 3),
    "stride 4": deconv(256, 128, 16, 4, 4),
    "1x1 image": deconv(512, 512, 1, 4, 1),
    "2x2 image": deconv(512, 512, 2, 4),
    "3x3 image": deconv(512, 512, 3, 4),
    "4x4 image": deconv(1024, 512, 4, 5),
    "7x7 image": deconv(256, 256, 7, 4),
    "64x64 image": deconv(64, 32, 64, 4),
    "128x128 image": deconv(32, 16, 128, 4),
    "2 groups": deconv(256, 256, 16, 4, groups=2),
    "16 groups": deconv(256, 256, 16, 4, groups=16),
    "depthwise": deconv(256, 256, 16, 4, groups=256),
    "convolution 256 to 256, 16x16": conv(256, 256, 16, 3),
    "convolution 256 to 256, stride 2": conv(256, 256, 32, 4, 2),
    "convolution 64 to 3, 9x9": conv(64, 3, 32, 9),
    "convolution 64 to 64, 1x1": conv(64, 64, 64, 1),
    "convolution, depthwise": conv(256, 256, 16, 3, groups=256),
    "sound, 64 channels, 3 taps": sound(64, 6400, 3),
    "sound, 64 channels, 7 taps": sound(64, 6400, 7),
    "sound, 64 channels, 7 taps, dilation 5": sound(64, 6400, 7, 5),
    "sound, 32 channels, 11 taps": sound(32, 25600, 11),
    "linear 100 to 16384": (nn.Linear(100, 16384, bias=False), (100,)),
    "linear 1024 to 1024": (nn.Linear(1024, 1024, bias=False), (1024,)),
}


def rate(case: Case, binary: bool, activations: str, threads: int, batch: int) -> tuple[float, str]:
    """Multiply-adds per second, median of many runs, and the kernel."""
    layer, shape = case
    module = nn.Sequential(nn.ReLU(), copy.deepcopy(layer))  # what an engine is given itself, it does not round
    if binary:
        pbgen.binarize(module, "all")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.safetensors"
        pbgen.pack(module.eval(), torch.zeros(1, *shape), path)
        engine = pbgen.Engine(path, threads=threads, activations=activations)
    z = np.random.default_rng(0).standard_normal((batch, *shape), np.float32)
    (layer_info,) = engine.layers
    for _ in range(3):
        engine(z)
    runs = [engine.time_layers(z)[1][layer_info.name] for _ in range(25)]
    return batch * engine.operations(shape)[layer_info.name] / float(np.median(runs)), layer_info.kernel


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'G multiply-adds/s':38}{'one-bit':>9}{'int8':>9}{'float':>9}{'int8':>9}   kernel of one-bit")
    for name, case in CASES.items():
        kinds = [(binary, activations) for binary in (True, False) for activations in ("float32", "int8")]
        rates = [rate(case, *kind, arguments.threads, arguments.batch) for kind in kinds]
        print(f"{name:38}" + "".join(f"{value / 1e9:9.1f}" for value, _ in rates) + f"   {rates[0][1]}")


if __name__ == "__main__":
    main()
