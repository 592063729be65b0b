"""What a layer's planes of bits cost: µs an image with weights of 1 to 4 bits, and with float weights.

python benchmarks/planes.py [--threads 1] [--runs 300]

The least of many runs, which other jobs on the machine disturb less than a median. PBGEN_ARCH=avx2 forces another
instruction set.
"""

import argparse
import copy
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from shapes import CASES, Case, conv, deconv
from torch import nn

import pbgen

FLOAT = 32
LAYERS: dict[str, Case] = {
    "deconvolution 512 to 256, 8x8, 5x5": deconv(512, 256, 8, 5),
    "deconvolution 64 to 32, 64x64, 5x5": deconv(64, 32, 64, 5),
    "convolution 64 to 64, 48x48, 3x3": conv(64, 64, 48, 3),
    "convolution 32 to 16, 64x64, 3x3": conv(32, 16, 64, 3),
    "convolution 64 to 64, 64x64, 1x1": conv(64, 64, 64, 1),
    "linear 1024 to 1024": CASES["linear 1024 to 1024"],
}


def least(case: Case, bits: int, activations: str, threads: int, runs: int) -> float:
    """Seconds an image."""
    layer, shape = case
    module, example = nn.Sequential(nn.ReLU(), copy.deepcopy(layer)), torch.zeros(1, *shape)
    if bits != FLOAT:
        pbgen.binarize(module, pbgen.plan(module, example).choosing({"1": bits}))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.safetensors"
        pbgen.pack(module.eval(), example, path)
        engine = pbgen.Engine(path, threads=threads, activations=activations)
    z = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
    return min(next(iter(engine.time_layers(z)[1].values())) for _ in range(runs))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=300)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    kinds = {"1 bit": 1, "2": 2, "3": 3, "4": 4, "float": FLOAT}
    print(f"{'µs, least of ' + str(arguments.runs):45}" + "".join(f"{name:>9}" for name in kinds))
    for name, case in LAYERS.items():
        for activations in ("float32", "int8"):
            times = [least(case, bits, activations, arguments.threads, arguments.runs) for bits in kinds.values()]
            print(f"{name:37}{activations:8}" + "".join(f"{time * 1e6:9.1f}" for time in times), flush=True)


if __name__ == "__main__":
    main()
