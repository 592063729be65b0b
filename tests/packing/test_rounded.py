"""Networks that round what they make: a last digit may decide a level, and nothing else may."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from small_modules import Function
from torch import Tensor, nn

from pbgen.engine import Engine
from pbgen.errors import PBGenError
from pbgen.packing import pack
from pbgen.packing.file import read
from pbgen.packing.stored import Stored
from pbgen.packing.to_onnx import check_onnx
from pbgen.packing.verify import made, verify

LEVELS = 255.0

Round = Callable[[Tensor], Tensor]


class Picture(nn.Module):
    """Levels of a picture, one of which is `bright` before it is clamped."""

    def __init__(self, to_levels: Round, bright: float = 0.5) -> None:
        super().__init__()
        self.layer, self.to_levels = nn.Conv2d(3, 3, 3, padding=1), to_levels
        self.level = nn.Parameter(torch.full((3, 64, 64), 0.5))
        self.level.data[0, 0, 0] = bright

    def forward(self, x: Tensor) -> Tensor:
        return self.to_levels((self.layer(x) / 4 + self.level) * LEVELS)


ROUNDS: dict[str, Round] = {
    "bytes": lambda x: x.round().clamp_(0, 255).byte(),
    "cast alone": lambda x: x.clamp(0, 255).byte(),
    "in place": lambda x: x.round_().clamp_(0, 255),
    "levels of one": lambda x: x.clamp(0, 255).floor() / LEVELS,
    "decimals": lambda x: (x / LEVELS).round(decimals=2),
    "few digits": lambda x: (x + 4096 - 4096).round().clamp(0, 255),  # so that float64 makes other levels
}


def compared(module: nn.Module, other: nn.Module, path) -> None:
    """Compare the file of `module` with what `other` makes. Raises PBGenError where they differ."""
    torch.manual_seed(1)
    pack(module, torch.rand(1, 3, 64, 64), path)
    verify(path, [made(other, (torch.rand(1, 3, 64, 64),))], None, other)


def brighter(module: Picture, levels: float, places: slice = slice(None)) -> Picture:
    other = copy.deepcopy(module)
    other.level.data[:, places] += levels / LEVELS
    return other


@pytest.mark.parametrize("name", ROUNDS)
def test_a_value_next_to_a_step_may_take_it(tmp_path, name) -> None:
    """What is rounded differs by less than is allowed without rounding: some levels do by one."""
    torch.manual_seed(0)
    module = Picture(ROUNDS[name])
    other = brighter(module, 4e-3)
    x = torch.rand(1, 3, 64, 64)
    assert not torch.equal(module(x), other(x))
    compared(module, other, tmp_path / "g.safetensors")


@pytest.mark.parametrize("name", ROUNDS)
@pytest.mark.parametrize(
    ("levels", "places"), [(0.25, slice(None)), (2.55, slice(None)), (2.0, slice(3, 4))], ids=["many", "all", "few"]
)
def test_other_levels_are_refused(tmp_path, name, levels, places) -> None:
    """Off by one level in many places, or by two in a few."""
    torch.manual_seed(0)
    module = Picture(ROUNDS[name])
    with pytest.raises(PBGenError, match="differs from the module's by"):
        compared(module, brighter(module, levels, places), tmp_path / "g.safetensors")


def test_a_large_value_lets_no_others_off(tmp_path) -> None:
    torch.manual_seed(0)
    module = Picture(ROUNDS["bytes"], bright=1e3)
    with pytest.raises(PBGenError, match=r"differs from the module's by 3\.9e-03 of its scale"):
        compared(module, brighter(module, 0.25), tmp_path / "g.safetensors")


def onnx_compared(module: Picture, levels: float, path, monkeypatch) -> None:
    """Compare the file with an ONNX Runtime that makes a picture brighter by so much. Raises PBGenError where it must
    not."""

    def theirs(content: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
        (x,) = inputs
        return [brighter(module, levels)(torch.from_numpy(x)).detach().float().numpy()]

    pack(module, torch.rand(1, 3, 64, 64), path)
    monkeypatch.setattr("pbgen.packing.to_onnx.run_onnx", theirs)
    check_onnx(b"", Engine(path), Stored(*read(path)).eval(), {}, batches=(1, 2))


@pytest.mark.parametrize("name", ROUNDS)
def test_onnx_runtime_may_take_the_step_as_well(tmp_path, monkeypatch, name) -> None:
    torch.manual_seed(0)
    onnx_compared(Picture(ROUNDS[name]), 4e-3, tmp_path / "g.safetensors", monkeypatch)


@pytest.mark.parametrize("name", ROUNDS)
def test_onnx_runtime_may_not_make_other_levels(tmp_path, monkeypatch, name) -> None:
    torch.manual_seed(0)
    with pytest.raises(PBGenError, match="ONNX Runtime makes other values of 'output'"):
        onnx_compared(Picture(ROUNDS[name]), 0.25, tmp_path / "g.safetensors", monkeypatch)


SORTS = {
    "sort": lambda x: torch.sort(x.round(), dim=1)[1],
    "argsort": lambda x: x.round().long().argsort(1, descending=True),
    "topk": lambda x: x.round().topk(70, 1)[1],
}


@pytest.mark.parametrize("name", SORTS)
def test_equals_may_stand_in_another_order_than_torch_finds(tmp_path, name) -> None:
    """Torch says nothing of it, and has them in any order where there are more than sixteen; a file, as they come."""
    path, x = tmp_path / "g.safetensors", torch.randn(2, 100)
    pack(Function(lambda x: x.gather(1, SORTS[name](x))), x, path)
    places = x.round().sort(dim=1, descending=name != "sort", stable=True)[1]
    assert np.array_equal(Engine(path)(x.numpy()), x.gather(1, places)[:, : 70 if name == "topk" else None])
