"""Exported programs, FILE.pt2, as modules."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import pbgen
from pbgen.errors import PBGenError
from pbgen.models import load

FREE = torch.export.Dim.DYNAMIC


class Network(nn.Module):
    """Layers of all kinds, in parts of their own, one that is called twice, and weights that functions take."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding="valid", bias=False)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2), nn.BatchNorm2d(8), nn.ReLU())
        self.twice = nn.Conv2d(8, 8, 1)
        self.up = nn.ConvTranspose2d(8, 6, (4, 3), stride=2, padding=1, output_padding=1)
        self.weight = nn.Parameter(torch.randn(4, 6, 1, 1))
        self.linear = nn.Linear(4, 5)
        self.drop = nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(self.first(x))
        x = self.up(self.twice(self.twice(x).relu()))
        return self.linear(self.drop(F.conv2d(x, self.weight)).movedim(1, -1))


class Sound(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(2, 4, 5, padding=2), nn.ConvTranspose1d(4, 1, 8, 4, 2)

    def forward(self, x: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
        return self.b(self.a(x).tanh()), gain * 2


def save(path: Path, module: nn.Module, *example: Tensor, decomposed: bool = False, free: bool = True) -> Path:
    shapes = tuple({0: FREE} for _ in example) if free else None
    program = torch.export.export(module, example, dynamic_shapes=shapes)
    torch.export.save(program.run_decompositions() if decomposed else program, path)
    return path


@pytest.mark.parametrize("decomposed", [False, True], ids=["as exported", "decomposed"])
def test_the_same_numbers_by_layers(decomposed: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, x = Network().eval(), torch.randn(2, 3, 12, 12)
    found, discriminator = load(str(save(tmp_path / "g.pt2", module, x, decomposed=decomposed)))
    assert discriminator is None and not found.training
    torch.testing.assert_close(found(torch.cat([x, x]))[:2], module(x))
    assert torch.equal(found.example_input, x)
    layers = dict(found.named_modules())
    assert isinstance(layers["first"], nn.Conv2d) and isinstance(layers["up"], nn.ConvTranspose2d)
    assert layers["body.0"].groups == 2 and layers["up"].output_padding == (1, 1)
    assert not isinstance(layers["twice"], nn.Conv2d), "operators share its weight"


def test_several_inputs_and_one_dimension(tmp_path: Path) -> None:
    module, example = Sound().eval(), (torch.randn(2, 2, 16), torch.randn(2, 3))
    found, _ = load(str(save(tmp_path / "s.PT2", module, *example)))
    assert isinstance(found.a, nn.Conv1d) and isinstance(found.b, nn.ConvTranspose1d)
    for one, other in zip(found(*example), module(*example), strict=True):
        torch.testing.assert_close(one, other)


def test_it_is_planned_compressed_and_packed_as_the_module_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, x = Network().eval(), torch.randn(2, 3, 12, 12)
    found, _ = load(str(save(tmp_path / "g.pt2", module, x)))
    ours, theirs = (
        {row.name: row.degree_of_redundancy for row in pbgen.plan(one, x).layers} for one in (found, module)
    )
    assert ours["body.0"] == theirs["body.0"] and ours["up"] == theirs["up"] and len(ours) == len(theirs)
    info = pbgen.compress(found, [x, x + 1], tmp_path / "g.safetensors", steps=2, bits=4)
    assert info.psnr.median > 20 and min(info.bits.values()) < 32
    pbgen.pack(found, x, tmp_path / "float.safetensors")
    engine = pbgen.Engine(tmp_path / "float.safetensors")
    torch.testing.assert_close(torch.from_numpy(engine(x.numpy())), module(x).detach(), rtol=1e-4, atol=1e-4)


def broken(folder: Path) -> Path:
    (folder / "g.pt2").write_bytes(b"no program")
    return folder / "g.pt2"


class Reshaping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).reshape(1, 2, 2)


class Named(nn.Module):
    def forward(self, x: Tensor, *, by: Tensor) -> Tensor:
        return x * by


def by_keyword(folder: Path) -> Path:
    program = torch.export.export(Named(), (torch.ones(2, 3),), {"by": torch.ones(2, 3)})
    torch.export.save(program, folder / "g.pt2")
    return folder / "g.pt2"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "g.pt2", "there is no such file"),
        (broken, r"not an exported program \(torch.export.save\)"),
        (lambda folder: save(folder / "g.pt2", Network(), torch.randn(2, 3, 12, 12)), "was exported in training"),
        (lambda folder: save(folder / "g.pt2", Reshaping(), torch.ones(1, 4), free=False), "with a free batch"),
        (by_keyword, "takes 'by' by keyword"),
    ],
)
def test_refused(make, message, tmp_path):
    with pytest.raises(PBGenError, match=message):
        load(str(make(tmp_path)))
