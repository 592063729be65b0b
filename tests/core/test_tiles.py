"""Pictures and sounds made in tiles are those made as a whole."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import pbgen
from pbgen.engine import Engine


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.deep = nn.Conv2d(3, 6, 4, 2, 1), nn.Conv2d(6, 8, 4, 2, 1)
        self.up, self.out = nn.ConvTranspose2d(8, 6, 4, 2, 1), nn.ConvTranspose2d(12, 3, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skipped = self.down(x)
        return torch.tanh(self.out(torch.cat([skipped, self.up(F.relu(self.deep(skipped)))], 1)))


class SuperResolution(nn.Module):
    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.first = nn.Conv2d(3, 7, 3, padding=1, padding_mode="reflect")
        self.last = nn.Conv2d(7, 27, 3, padding=1, padding_mode="replicate")

    def forward(self, x: Tensor) -> Tensor:
        smooth = {} if self.mode == "nearest" else {"align_corners": False}
        enlarged = F.interpolate(x, scale_factor=3, mode=self.mode, **smooth)
        return F.pixel_shuffle(self.last(F.silu(self.first(x))), 3) + enlarged


class Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 5, padding=4, dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(F.max_pool2d(self.conv(x), 3, 1, 1), 2) - F.pixel_unshuffle(x, 2)[:, 2:7]


class Vocoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.up = nn.Conv1d(5, 8, 7, padding=3), nn.ConvTranspose1d(8, 4, 16, 8, 4)
        self.dilated, self.last = nn.Conv1d(4, 4, 3, padding=9, dilation=9), nn.Conv1d(4, 1, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(F.leaky_relu(self.first(x), 0.1))
        x = x + self.dilated(F.leaky_relu(x))
        return torch.tanh(self.last(F.pad(x, (3, 3), mode="reflect")))


LOCAL = [
    (UNet, (), (3, 32, 44), (3, 60, 92)),
    (SuperResolution, ("nearest",), (3, 14, 18), (3, 31, 53)),
    (SuperResolution, ("bilinear",), (3, 14, 18), (3, 31, 53)),
    (SuperResolution, ("bicubic",), (3, 14, 18), (3, 31, 53)),
    (Pooled, (), (3, 16, 20), (3, 38, 54)),
    (Vocoder, (), (5, 20), (5, 211)),
]


@pytest.mark.parametrize(("kind", "arguments", "packed_at", "shape"), LOCAL)
def test_tiles_make_what_the_whole_makes(
    kind: type[nn.Module],
    arguments: tuple[str, ...],
    packed_at: tuple[int, ...],
    shape: tuple[int, ...],
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    module = kind(*arguments).eval()
    pbgen.pack(module, torch.randn(1, *packed_at), tmp_path / "g.safetensors")
    x = torch.randn(2, *shape)
    engine = Engine(tmp_path / "g.safetensors")
    whole = engine(x.numpy())
    with torch.no_grad():
        assert np.abs(whole - module(x).numpy()).max() < 1e-5
    for tile in 4, 13, 40, 1000:
        tiled = engine.tiled(x.numpy(), tile=tile)
        assert np.abs(tiled - whole).max() < 1e-4, tile  # of a third of a pixel, the whole knows the fewer digits


class Unequal(nn.Module):
    """Two outputs of which one ends before the other."""

    def __init__(self) -> None:
        super().__init__()
        self.near, self.far = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 2, 9, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.near(x), self.far(x)


UNPADDED = {
    "one layer": nn.Conv2d(3, 4, 3),
    "two layers": nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 5)),
    "padded and not": nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 7)),
    "cropped": nn.Sequential(nn.Conv2d(3, 4, 5, stride=2), nn.ConvTranspose2d(4, 3, 4, 2, 3)),
    "two outputs": Unequal(),
}


@pytest.mark.parametrize("kind", UNPADDED)
def test_a_last_tile_may_have_nothing_to_make(kind: str, tmp_path: Path) -> None:
    """Without padding the outputs end before the picture does."""
    pbgen.pack(UNPADDED[kind].eval(), torch.randn(1, 3, 48, 48), tmp_path / "g.safetensors")
    engine = Engine(tmp_path / "g.safetensors")
    for width in 33, 47, 48, 49, 50, 64:
        x = np.random.default_rng(width).standard_normal((1, 3, 40, width), np.float32)
        wholes = engine(x)
        for tile in 8, 16, 24:
            tiled = engine.tiled(x, tile=tile)
            pairs = zip(tiled, wholes, strict=True) if isinstance(wholes, tuple) else [(tiled, wholes)]
            assert all(np.abs(made - whole).max() < 1e-5 for made, whole in pairs), (width, tile)


class Mixing(nn.Module):
    def __init__(self, mix: nn.Module) -> None:
        super().__init__()
        self.conv, self.mix = nn.Conv2d(3, 4, 3, padding=1), mix

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.conv(x))


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        return F.scaled_dot_product_attention(tokens, tokens, tokens).transpose(1, 2).reshape(x.shape)


class Global(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * F.adaptive_avg_pool2d(x, 1)


class Wrapped(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (2, 2, 2, 2), mode="circular")


@pytest.mark.parametrize("mix", [nn.InstanceNorm2d(4), nn.GroupNorm(2, 4), Attention(), Global(), Wrapped()])
def test_a_network_that_is_not_local_names_the_layer(mix: nn.Module, tmp_path: Path) -> None:
    pbgen.pack(Mixing(mix).eval(), torch.randn(1, 3, 12, 16), tmp_path / "g.safetensors")
    engine = Engine(tmp_path / "g.safetensors")
    with pytest.raises(pbgen.PBGenError, match=r"mix.*tiles"):
        engine.tiled(np.zeros((1, 3, 20, 24), np.float32), tile=8)


def test_what_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    pbgen.pack(nn.Sequential(nn.Linear(4, 3)), torch.randn(1, 4), tmp_path / "g.safetensors")
    engine = Engine(tmp_path / "g.safetensors")
    with pytest.raises(pbgen.PBGenError, match="no free size"):
        engine.tiled(np.zeros((1, 4), np.float32))
    with pytest.raises(pbgen.PBGenError, match="tile=0"):
        engine.tiled(np.zeros((1, 4), np.float32), tile=0)
