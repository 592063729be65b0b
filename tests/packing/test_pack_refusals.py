"""What cannot be packed is refused in one line that names it and its place, and nothing is written."""

import dataclasses
import re
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
import torch.utils._pytree as pytree
from small_modules import Function
from torch import Tensor, nn

from pbgen.binarize import binarize
from pbgen.errors import PBGenError, PBGenWarning
from pbgen.packing import pack
from pbgen.packing.file import read


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.LSTM(4, 5, batch_first=True))
        self.other = nn.Sequential(nn.Conv3d(1, 1, 1), nn.Conv3d(1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.block(x)
        return torch.lgamma(self.other(x[:, None, None])) + torch.digamma(x)


class Borrowed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 3, 2)
        binarize(self, "all")

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.conv.weight)


def training_norm(x: Tensor) -> Tensor:
    return F.batch_norm(x, torch.zeros(3), torch.ones(3), training=True)


def written_at_two_axes(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, [0, 2], [1, 1]] = 3
    return x


def infinite() -> nn.Module:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    module[1].running_mean[1] = float("nan")
    return module


class Cancelling(nn.Module):
    """Has a variance of which float32 keeps little, or next to nothing, where an image's last pixel is `above` this."""

    def __init__(self, shift: float, above: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.shift, self.above = nn.Conv2d(3, 64, 3, padding=1), shift, above

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x) * 0.05 + self.shift * (x[..., :1, :1, -1:] > self.above)
        mean = x.mean((2, 3), keepdim=True)
        return (x - mean) * torch.rsqrt((x**2).mean((2, 3), keepdim=True) - mean**2 + 1e-3)


def test_a_network_that_loses_digits_on_other_inputs_than_the_example_is_told(tmp_path) -> None:
    example = torch.randn(1, 3, 32, 32)
    example[..., 0], example[..., -1] = 1, -1
    with pytest.warns(PBGenWarning, match=r"differs .* in float32 from that in float64 by \S+: the network is ill"):
        pack(Cancelling(3, 0), example, tmp_path / "g.safetensors")


def asserted(sound: Tensor, spectrum: Tensor) -> Tensor:
    """A sound, where the numbers that it was made of are finite."""
    assert spectrum.abs().isfinite().all()
    return sound


IMAGE = (3, 4, 4)
REFUSED = [
    # module, shape of its input, what the message must say
    (
        Nested(),
        (7, 4),
        r'hold lgamma in .*, digamma in .*lstm in layer "block.0" \(LSTM\): re.*conv3d in layer "other.0".* and 1 more',
    ),
    (Function(lambda x: torch.fft.irfft(torch.fft.rfft(x))), IMAGE, "complex numbers"),
    (
        nn.Sequential(Function(lambda x: torch.istft(torch.complex(x, x), 8, 2, 8, torch.ones(8)))),
        (5, 9),
        r'layer "0" \(Function\), test_pack_refusals.py line .*: it calls istft, and Fourier .* let the module end at',
    ),
    (
        Function(lambda x: torch.fft.irfft(torch.complex(x, x) * torch.polar(x, x))),
        (3, 8),
        r"complex numbers cannot be packed; leave Fourier transforms out of the module",
    ),
    (
        Function(lambda x: asserted(torch.fft.irfft(spectrum := x + 1j * x), spectrum)),
        (3, 8),
        r"torch.export: test_pack_refusals.py line \d+: it computes with complex numbers, which cannot be packed",
    ),
    (
        nn.Linear(4, 0),
        (4,),
        r"layer .*: has 0 channels, its weight \(0, 4\); give it one, or leave it out",
    ),
    (
        Cancelling(20, -100),
        (3, 32, 32),
        r"differs from the module's by \S+ of its scale, and the module's own in float32 .*: the network is ill-c",
    ),
    (
        Function(written_at_two_axes),
        IMAGE,
        r"^index_put in .*values cannot be written or added where indices of several axes say",
    ),
    (
        Function(lambda x: x.masked_scatter(x > 0, x * 2)),
        IMAGE,
        r"masked_scatter",
    ),
    (nn.GRU(4, 3, batch_first=True), (7, 4), r"^gru in .*recurrent layers cannot be packed"),
    (nn.BatchNorm2d(3, track_running_stats=False), IMAGE, "batch_norm.*running statistics"),
    (Function(training_norm), IMAGE, "batch_norm.*running statistics"),
    (Function(lambda x: F.dropout(x)), IMAGE, "dropout in .* at random; call it with training=self.training"),
    (
        Function(lambda x: F.rrelu(x, training=True)),
        IMAGE,
        "rrelu in .* at random; call it with training=self.training",
    ),
    (Function(lambda x: x.mean() + torch.histc(x, 9)[None]), IMAGE, "histc in .*: counts of values .*; sums of compar"),
    (Function(lambda x: x + torch.poisson(torch.ones(3, 4, 4))), IMAGE, "poisson in .*random numbers"),
    (Function(lambda x: torch.linalg.det(x)), IMAGE, "_linalg_det in .*: determinants .* cannot be packed; inverses"),
    (
        Function(lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, 1, return_indices=True), 2, 1)),
        IMAGE,
        "max_unpool2d in .*: windows that overlap cannot be packed; let stride be kernel_size",
    ),
    (Function(lambda w, x: w.w.repeat(len(x), 1), w=torch.ones(1, 4)), (4,), "does not depend on its input"),
    (Function(lambda x: x), (4,), "nothing to pack"),
    (Function(lambda x: x.reshape(-1, 8)), IMAGE, r"output.* has shape \[6, 8\] for one image"),
    (Function(lambda x: torch.cat([x, x])), IMAGE, r"output.* has shape \[2, 3, 4, 4\] for one image"),
    (Function(lambda x: x.mean()), IMAGE, r"output has shape \[\] for one image.*must be the batch"),
    (Function(lambda x: x.unsqueeze(0)), IMAGE, r"output has shape \[1, 2, 3, 4, 4\] for 2 images"),
    (Function(lambda x: x * x.mean(0, keepdim=True)), IMAGE, "depends on the others of its batch"),
    (
        Function(lambda x: x.reshape(3, len(x), 16).sum(0)),
        IMAGE,
        "depends on the others of its batch",
    ),
    (Function(lambda x: (x, 3)), IMAGE, "returns int, not tensors alone"),
    (Function(lambda x: None), IMAGE, "returns no tensor"),
    (Function(lambda x, y: x + y), IMAGE, "Function fails on an input"),
    (nn.Linear(5, 2), (4,), "Linear fails on an input of shape"),
    (
        Function(lambda x: x.tanh() if x.sum() > 0 else x),
        IMAGE,
        r"cannot be traced by torch.export: test_pack_refusals.py line \d+: it reads numbers",
    ),
    (
        Function(lambda x: x.flatten(1)[:, x[0].flatten() > 0].sum(1)),
        IMAGE,
        "sum in .*: reads as many values as a mask has",
    ),
    (Function(lambda x: x.prod(2)), (3, 20, 2), "prod in .*: along an axis of 20 cannot be .*up to 16"),
    (Borrowed(), (3, 4, 4), "layer .conv.: its binary weights are not what the module computes with"),
    (infinite(), (3,), 'layer "0": .*not finite'),
]


@pytest.mark.parametrize(("module", "shape", "message"), REFUSED)
def test_refused(tmp_path, capfd, module, shape, message) -> None:
    path = tmp_path / "g.safetensors"
    with pytest.raises(PBGenError) as refusal:
        pack(module, torch.randn(2, *shape), path)
    assert re.search(message, str(refusal.value)), str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")  # of what torch would print


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (None, "expected a tensor"),
        ((), "empty tuple"),
        ({"x": torch.zeros(1, 4)}, "no keywords"),
        ((torch.zeros(1, 4), 3), r"got int"),
        (torch.zeros(0, 4), "N at least 1"),
        (torch.zeros(()), r"shape \[\]"),
        (torch.zeros(1, 4, dtype=torch.complex64), "complex64"),
    ],
)
def test_bad_examples(tmp_path, example, message) -> None:
    with pytest.raises(PBGenError, match=f"^example_input.*{message}"):
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
        pack(Counting(), torch.linspace(-0.5, 0.5, 6).reshape(2, 3), tmp_path / "g.safetensors")


FIXED = {
    "a branch at odd sizes": (lambda x: F.pad(x, (0, 1)) if x.shape[-1] % 2 else x * 2, (1, 3, 8, 8)),
    "a branch at large sizes": (lambda x: x * 3 if x.shape[-1] > 100 else x * 2, (1, 3, 8, 8)),
}


@pytest.mark.parametrize("name", FIXED)
def test_sizes_that_choose_what_is_computed_are_fixed(tmp_path, name) -> None:
    function, shape = FIXED[name]
    path = tmp_path / "g.safetensors"
    with pytest.warns(PBGenWarning, match="^the packed file works at the example's size alone: ") as warned:
        pack(Function(function), torch.randn(shape), path)
    assert "\n" not in str(warned[0].message)
    assert read(path)[0].inputs[0].shape == shape


def test_a_network_with_a_smallest_size_says_so(tmp_path) -> None:
    module = Function(lambda x: x * 2 if x.shape[-1] > 6 else x * 3)
    with pytest.warns(PBGenWarning, match=r"^at size h = 8, w = 6 .*line \d+ \(<lambda>\)"):
        pack(module, torch.randn(1, 3, 8, 9), tmp_path / "g.safetensors")


@dataclasses.dataclass
class Sample:
    sample: Tensor
    mean: Tensor


class Mapped(OrderedDict):
    """As libraries have it, which tell torch of its values and not of their names."""


pytree.register_pytree_node(
    Mapped, lambda one: (list(one.values()), list(one)), lambda v, k: Mapped(zip(k, v, strict=True))
)


OUTPUTS = {
    "one": (lambda x: x.tanh(), ["output"]),
    "tuple": (lambda x: (x.tanh(), x * 2), ["output_0", "output_1"]),
    "nested": (lambda x: {"image": x.tanh(), "sides": [x * 2, None, x * 3]}, ["image", "sides.0", "sides.2"]),
    "dataclass": (lambda x: Sample(x.tanh(), x.mean((2, 3))), ["sample", "mean"]),
    "mapping": (lambda x: Mapped(sample=x.tanh(), mean=x * 2), ["sample", "mean"]),
    "the input again": (lambda x: (x.tanh(), x), ["output_0", "output_1"]),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_by_name(tmp_path, name) -> None:
    function, names = OUTPUTS[name]
    path = tmp_path / "g.safetensors"
    pack(Function(function), torch.randn(2, 3, 5, 6), path)
    assert [output for output, _ in read(path)[0].outputs] == names


class Cast(nn.Module):
    """In half precision for a part of its way, and by a decorator in full again."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.full(self.conv(x))

    @torch.autocast("cpu", enabled=False)
    def full(self, x: Tensor) -> Tensor:
        return x.float().tanh()


def test_autocast_is_left_out(compare) -> None:
    compare(Cast(), (3, 6, 7), others=[(3, 9, 5)])


class Padded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([x.shape[1]] * len(x)), batch_first=True)
        return nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0]


def read_in_python(x: Tensor) -> Tensor:
    return x.tanh() if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            Function(lambda x: torch.cond(x.sum() > 0, torch.tanh, torch.relu, [x])),
            r"torch.export: test_pack_refusals.py line \d+: it calls a flow that hangs on values",
        ),
        (
            Function(read_in_python),
            r"torch.export: test_pack_refusals.py line \d+: it reads numbers of a tensor in Python",
        ),
        (Padded(), r'layer "lstm" \(LSTM\), test_pack_refusals.py line \d+: recurrent layers cannot be packed'),
    ],
)
def test_the_line_that_cannot_be_traced_is_named(tmp_path, module, message) -> None:
    with pytest.raises(PBGenError, match=message):
        pack(module, torch.randn(1, 5, 4), tmp_path / "g.safetensors")


def test_a_text_of_sizes_that_is_a_key(tmp_path) -> None:
    def forward(x: Tensor) -> Tensor:
        kept = {str(tuple(x.shape)): x}
        y = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2)
        return kept[str(tuple(y.shape))] + y

    with pytest.warns(PBGenWarning, match="line .*: it looks up '.*', a text of free sizes, in a dictionary"):
        pack(Function(forward), torch.randn(1, 3, 4, 6), tmp_path / "g.safetensors")
