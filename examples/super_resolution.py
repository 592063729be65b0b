"""waifu2x's upconv_7, twice a picture's size, made small: python examples/super_resolution.py WEIGHTS PHOTOS PICTURE

WEIGHTS: a state dict of torch, such as nagadomi's trained one (MIT licence; in the repository nagadomi/waifu2x, and in
others that converted it). PHOTOS: a folder of pictures like yours. Leaves small.safetensors and large.png.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

import pbgen


def make() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64), (64, 128), (128, 128), (128, 256)):
        layers += [nn.Conv2d(inputs, outputs, 3), nn.LeakyReLU(0.1)]
    module = nn.Sequential(*layers, nn.ConvTranspose2d(256, 3, 4, 2, 3))
    module.input_shape = (3, 48, 48)  # one of the sizes that it takes
    return module


def crops(photos: str, size: int = 48) -> torch.Tensor:
    """Sixteen random parts of each picture, (N, 3, size, size), from 0 to 1."""
    rng, parts = np.random.default_rng(0), []
    for file in sorted(Path(photos).iterdir()):
        pixels = np.asarray(Image.open(file).convert("RGB"), np.float32) / 255
        for _ in range(16):
            y, x = (rng.integers(0, length - size + 1) for length in pixels.shape[:2])
            parts.append(pixels[y : y + size, x : x + size].transpose(2, 0, 1))
    return torch.from_numpy(np.stack(parts))


def main(weights: str, photos: str, picture: str, minutes: float = 10) -> None:
    module = make().eval()
    module.load_state_dict(torch.load(weights, weights_only=True))
    info = pbgen.compress(module, crops(photos).split(8), "small.safetensors", bits=2, minutes=minutes)
    print(f"{info.packed_bytes:,} of {info.float_bytes:,} bytes; {info.psnr} to the float network's pictures")
    margin = 7  # that the network cuts off
    pixels = np.asarray(Image.open(picture).convert("RGB"), np.float32).transpose(2, 0, 1) / 255
    padded = np.pad(pixels, ((0, 0), (margin, margin), (margin, margin)), "edge")
    large = pbgen.Engine("small.safetensors").tiled(padded[None], tile=256)[0]
    Image.fromarray((large.transpose(1, 2, 0).clip(0, 1) * 255).astype(np.uint8)).save("large.png")


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(float, sys.argv[4:5]))
