"""F.unfold and F.fold, which need no weights."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small_modules import Function
from torch import Tensor

import pbgen
from pbgen.packing.batched import batched_values
from pbgen.packing.file import read

GEOMETRIES = {  # kernel, dilation, padding, stride
    "next to each other": ((3, 5), 1, 0, (3, 5)),
    "overlapping": ((3, 4), 1, (1, 2), 1),
    "overlapping by some": ((5, 4), 1, (2, 1), (3, 2)),
    "apart": ((1, 2), 1, 0, (4, 3)),
    "of pixels that lie apart": ((3, 2), (2, 3), (2, 0), 1),
    "of pixels that lie apart, with strides": ((2, 4), (3, 2), 1, (2, 3)),
    "of more pixels than a program has inputs": ((1, 19), 1, (0, 9), 1),
    "of one row": ((1, 4), 1, 0, (1, 3)),
}
SIZES = [(3, 14, 19), (3, 9, 12), (3, 16, 13)]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_patches(compare, name) -> None:
    packed = compare(Function(lambda x: F.unfold(x, *GEOMETRIES[name])), (3, 11, 13), others=SIZES)
    assert packed.free == ["h", "w"] and not packed.tensors


@pytest.mark.parametrize("name", GEOMETRIES)
def test_patches_put_back(compare, name) -> None:
    def back(x: Tensor) -> Tensor:
        patches = F.unfold(x, *GEOMETRIES[name])
        return F.fold(patches * patches.sigmoid(), x.shape[2:], *GEOMETRIES[name])

    packed = compare(Function(back), (3, 11, 13), others=SIZES)
    assert packed.free == ["h", "w"] and not packed.tensors


def test_patches_of_several_images_stay_apart(tmp_path: Path) -> None:
    """In ONNX, too, a batch may then be of any number."""
    back = Function(lambda x: F.fold(F.unfold(x, 3, padding=1).relu(), x.shape[2:], 3, padding=1))
    pbgen.pack(back, torch.rand(1, 3, 6, 7), tmp_path / "g.safetensors")
    assert batched_values(read(tmp_path / "g.safetensors")[0])


def test_patches_of_free_channels(compare) -> None:
    """Columns of an image as its channels."""

    def columns(x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)
        return F.fold(F.unfold(x, 3, stride=2).relu(), x.shape[2:], 3, stride=2)

    assert compare(Function(columns), (5, 9, 6), others=[(5, 12, 8)]).free == ["h", "w"]


def test_patches_of_images_without_a_batch(compare) -> None:
    def apart(x: Tensor) -> Tensor:
        return torch.stack([F.fold(F.unfold(one[0], 2).relu(), x.shape[2:], 2) for one in x.split(1)])

    compare(Function(apart), (3, 7, 6), others=[(3, 6, 9)])
