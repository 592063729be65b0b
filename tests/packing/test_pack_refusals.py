"""What cannot be packed is refused in one line that names it and its place, and nothing is written."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pbgen.binarize import binarize
from pbgen.errors import PBGenError
from pbgen.packing import pack


class Function(nn.Module):
    def __init__(self, function, **tensors: Tensor) -> None:
        super().__init__()
        self.function = function
        for name, tensor in tensors.items():
            self.register_parameter(name, nn.Parameter(tensor))

    def forward(self, *inputs: Tensor):
        return self.function(self, *inputs)


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class Borrowed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 3, 2)
        binarize(self, "all")

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.conv.weight)


def training_norm(self, x: Tensor) -> Tensor:
    return F.batch_norm(x, torch.zeros(3), torch.ones(3), training=True)


def infinite() -> nn.Module:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    module[1].running_mean[1] = float("nan")
    return module


IMAGE = (3, 4, 4)
REFUSED = [
    # module, shape of its input, what the message must say
    (Nested(), IMAGE, r'gelu in layer "block.2" \(GELU\) cannot be packed; supported are .*transposed'),
    (Function(lambda self, x: x.exp()), IMAGE, r"exp in the module's own forward \(Function\) cannot be packed"),
    (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), IMAGE, "pad in the module's own forward"),
    (nn.Conv3d(3, 3, 1), (3, 2, 2, 2), "one to three dimensions|conv3d"),
    (nn.PReLU(), IMAGE, "prelu"),
    (nn.Upsample(scale_factor=2, mode="bicubic"), IMAGE, "upsample_bicubic2d"),
    (nn.Upsample(scale_factor=2, mode="linear"), (3, 4), "upsample_linear1d"),
    (nn.Upsample(scale_factor=2, mode="nearest-exact"), IMAGE, "upsample_nearest_exact2d"),
    (nn.LayerNorm(4), IMAGE, "layer_norm"),
    (nn.InstanceNorm2d(3), IMAGE, "instance_norm"),
    (Function(lambda self, x: x.transpose(2, 3)), IMAGE, "transpose"),
    (Function(lambda self, x: x.permute(0, 2, 3, 1)), IMAGE, "permute"),
    (Function(lambda self, x: x[:, :2]), IMAGE, "slice"),
    (Function(lambda self, x: sum(x.chunk(3, 1))), IMAGE, "chunk|split"),
    (Function(lambda self, x: x * x), IMAGE, "mul in .*of two values"),
    (Function(lambda self, x: x - x.tanh()), IMAGE, "sub in .*only plain sums"),
    (Function(lambda self, x: torch.add(x, x, alpha=2)), IMAGE, "add in .*only plain sums"),
    (Function(lambda self, x: x + x.tanh()[:, :1]), IMAGE, "slice"),
    (nn.Linear(4, 2), IMAGE, r"linear in .*\[3, 4, 4\].*flatten it before"),
    (nn.BatchNorm2d(3, track_running_stats=False), IMAGE, "batch_norm.*running statistics"),
    (Function(training_norm), IMAGE, "batch_norm.*running statistics"),
    (Function(lambda self, x: F.dropout(x)), IMAGE, "dropout in .* cannot be packed"),
    (Function(lambda self, x: x + torch.randn(3, 4, 4)), IMAGE, "randn in .*random numbers"),
    (Function(lambda self, x: x + self.start, start=torch.ones(3, 4, 4)), IMAGE, 'add in .*reads "start", a learned'),
    (Function(lambda self, x: F.linear(x, torch.tanh(x)).flatten(1)), (4,), "its weight is computed from the input"),
    (Function(lambda self, x: F.linear(x, x[:2])), (4,), "slice|computed from the input"),
    (Function(lambda self, x: self.w.repeat(len(x), 1), w=torch.ones(1, 4)), (4,), "does not depend on its input"),
    (Function(lambda self, x: x), (4,), "nothing to pack"),
    (Function(lambda self, x: x.reshape(-1, 8)), IMAGE, "view in .*mixes the images of a batch"),
    (Function(lambda self, x: torch.cat([x, x])), IMAGE, "cat in .*mixes the images of a batch"),
    (Function(lambda self, x: x.unsqueeze(0)), IMAGE, "unsqueeze in .*mixes the images of a batch"),
    (Function(lambda self, x: x.reshape(3, len(x), 16).reshape(len(x), 48)), IMAGE, "mixes the images of a batch"),
    (Function(lambda self, x: x.double()), IMAGE, "gives torch.float64"),
    (Function(lambda self, x: (x, x)), IMAGE, "returns tuple, not one tensor"),
    (Function(lambda self, x, y: x + y), IMAGE, "Function fails on an input"),
    (nn.Linear(5, 2), (4,), "Linear fails on an input of shape"),
    (Function(lambda self, x: x.tanh() if x.sum() > 0 else x), IMAGE, "cannot be traced by torch.export"),
    (nn.ConvTranspose2d(3, 2, 2, stride=3, padding=3), IMAGE, r'conv_transpose ".*": padding 3 is beyond'),
    (Function(lambda self, x: x.view(len(x), 3, 2, 2, 4).tanh().flatten(1)), IMAGE, "one to three dimensions"),
    (Borrowed(), IMAGE, "layer .conv.: its one-bit weights are not what the module computes with"),
    (infinite(), (3,), 'layer "0": .*not finite'),
]


@pytest.mark.parametrize(("module", "shape", "message"), REFUSED)
def test_refused(tmp_path, module, shape, message) -> None:
    path = tmp_path / "g.safetensors"
    with pytest.raises(PBGenError) as refusal:
        pack(module, torch.randn(2, *shape), path)
    assert re.search(message, str(refusal.value)), str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (None, "expected one tensor"),
        ((torch.zeros(1, 4), torch.zeros(1, 4)), "got tuple"),
        (torch.zeros(1, 4, dtype=torch.int64), "floating-point"),
        (torch.zeros(0, 4), "N at least 1"),
        (torch.zeros(4), r"shape \[4\]"),
    ],
)
def test_bad_examples(tmp_path, example, message) -> None:
    with pytest.raises(PBGenError, match=f"^example_input: .*{message}"):
        pack(nn.Linear(4, 2), example, tmp_path / "g.safetensors")


def test_not_a_module(tmp_path) -> None:
    with pytest.raises(PBGenError, match=r"expected a torch.nn.Module, got function"):
        pack(lambda x: x, torch.zeros(1, 4), tmp_path / "g.safetensors")


def test_a_module_with_a_memory_is_found_out(tmp_path) -> None:
    class Counting(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return torch.tanh(self.calls * x)

    with pytest.raises(PBGenError, match="depend on nothing but its input"):
        pack(Counting(), torch.randn(2, 3), tmp_path / "g.safetensors")


def test_a_module_tied_to_its_batch_is_found_out(tmp_path) -> None:
    """Its reshape keeps dimension 0 at the batch size that is traced, and at no other."""
    from pbgen.packing.export import BATCH

    module = Function(lambda self, x: x.reshape(BATCH, -1).tanh() if len(x) == BATCH else x.flatten(1).sigmoid())
    with pytest.raises(PBGenError, match="differs from the module's by"):
        pack(module, torch.randn(2, 3, 4), tmp_path / "g.safetensors")
    assert list(tmp_path.iterdir()) == []
