"""Which sizes of a packed file are free: those that the module takes; and what is told where they are not."""

import math
import re
import sys
import warnings
from contextlib import suppress
from inspect import signature
from math import sqrt
from types import BuiltinFunctionType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_modules import Function
from torch import Tensor, nn

import pbgen
from pbgen.errors import PBGenError, PBGenWarning
from pbgen.packing import pack, rebuild
from pbgen.packing.file import read
from pbgen.packing.numbers_of_sizes import numbers_of_sizes
from pbgen.packing.other_sizes import other_sizes

torch.manual_seed(0)

DOWN = torch.randn(3, 3, 3, 3) / 5


def half_and_back(x: Tensor) -> Tensor:
    return F.interpolate(F.conv2d(x, DOWN.to(x), stride=2, padding=1), scale_factor=2)


def cropped_where_too_large(x: Tensor) -> Tensor:
    y = half_and_back(x)
    return x + (y[:, :, : x.shape[2], : x.shape[3]] if y.shape != x.shape else y)


def test_a_branch_that_serves_other_sizes_as_well_is_taken(compare) -> None:
    """At an even example the module adds, at odd sizes it crops first, which at even ones does nothing."""
    packed = compare(Function(cropped_where_too_large), (3, 8, 8), others=[(3, 9, 11), (3, 10, 7), (3, 6, 12)])
    assert packed.free == ["h", "w"]


def test_sizes_that_are_multiples(compare) -> None:
    packed = compare(Function(lambda x: x + half_and_back(x)), (3, 8, 8), others=[(3, 10, 6)])
    assert packed.free == ["h", "w"]


def padded_halved_twice_and_cropped(x: Tensor) -> Tensor:
    """As RealCUGAN's fast networks: of sizes that are halves of even ones, those that are even again."""
    height, width = ((size - 1) // 2 * 2 + 2 for size in x.shape[2:])
    y = F.pixel_unshuffle(F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2])), 2)
    y = F.pixel_shuffle(y + F.interpolate(F.avg_pool2d(y, 2), scale_factor=2), 2)
    return y[:, :, : x.shape[2], : x.shape[3]] if (height, width) != x.shape[2:] else y


def test_sizes_of_which_more_is_asked_than_can_be_solved(compare) -> None:
    packed = compare(Function(padded_halved_twice_and_cropped), (3, 12, 16), others=[(3, 16, 20)])
    assert packed.free == ["h", "w"]


def test_sizes_in_proportion(compare) -> None:
    function = Function(lambda x, y: F.avg_pool2d(x, 4) + y)
    assert compare(function, [(3, 16, 20), (3, 4, 5)], others=[[(3, 8, 12), (3, 2, 3)]]).free


def test_sizes_that_the_file_refuses_and_the_module_takes_are_told(tmp_path) -> None:
    path = tmp_path / "g.safetensors"
    with pytest.warns(PBGenWarning, match="^at size h = 9, w = 11, which the module takes, the packed file does not: "):
        pack(Function(lambda x: x * 3 if x.shape[2] % 2 else x + half_and_back(x)), torch.randn(1, 3, 8, 8), path)
    x = torch.randn(1, 3, 12, 10)
    assert torch.allclose(rebuild(path)(x), x + half_and_back(x), atol=1e-5)


def in_windows(x: Tensor) -> Tensor:
    """Sums over windows, or over all where that is no larger, of halved images as of whole ones."""
    size = 5 if min(F.avg_pool2d(x, 2).shape[2:]) > 5 else 3
    return x + F.avg_pool2d(x, size, 1, size // 2)


def test_smaller_sizes_that_the_module_treats_otherwise_are_told(tmp_path) -> None:
    with pytest.warns(PBGenWarning, match=r"^at size h = 8, w = 10 .* output differs .*line \d+ \(in_windows\)"):
        pack(Function(in_windows), torch.randn(1, 3, 16, 20), tmp_path / "g.safetensors")


def padded_to_even(x: Tensor) -> Tensor:
    h, w = x.shape[-2:]
    below, right = int(math.ceil(h / 2) * 2 - h), int(math.ceil(w / 2) * 2 - w)
    x = F.pad(x, (0, right, 0, below), mode="replicate")
    return F.pixel_shuffle(F.pixel_unshuffle(x, 2) * 2, 2)[..., :h, :w]


def unshuffled_where_even(x: Tensor) -> Tensor:
    if x.shape[2] % 2:
        return x * 3
    return F.pixel_unshuffle(x, 2)


PLACED = "what it does hangs on that size in"
DECIDED = {  # how, and the line of the function that does
    "the file refuses others": (unshuffled_where_even, rf"as \(1, 3, 8, 2, 9, 2\); {PLACED}", 1),
    "the file makes others": (lambda x: x * 2 if x.shape[3] % 2 else x.tile(1, 1, 1, 2), f"sizes; {PLACED}", 0),
    "branch": (lambda x: x * 3 if x.shape[2] % 2 else x * 2, f"sizes; {PLACED}", 0),
}


@pytest.mark.parametrize("name", DECIDED)
def test_the_line_that_decides_by_a_size_is_named(tmp_path, name) -> None:
    function, said, below = DECIDED[name]
    place = rf"test_free_sizes\.py, line {function.__code__.co_firstlineno + below} \({re.escape(function.__name__)}\)"
    with pytest.warns(PBGenWarning, match=f"{said} {place}") as warned:
        pack(Function(function), torch.randn(1, 3, 16, 16), tmp_path / "g.safetensors")
    assert len(warned) == 1


def test_a_size_that_the_file_cannot_say_is_told_by_name(tmp_path) -> None:
    module = Function(lambda x: F.interpolate(x, size=round(x.shape[2] ** 0.7)))
    with pytest.warns(PBGenWarning, match=r"a size in the module hangs on h in a way .* cannot say; .*math\.floor"):
        pack(module, torch.randn(1, 3, 16, 16), tmp_path / "g.safetensors")


ADAPTIVE = {
    "1d": (lambda x: F.adaptive_max_pool1d(x, x.shape[2] // 2), (3, 16), [(3, 19)]),
    "2d": (lambda x: F.adaptive_max_pool2d(x, (x.shape[2] // 2, x.shape[3] - 5)), (3, 16, 16), [(3, 19, 14)]),
    "3d": (
        lambda x: F.adaptive_max_pool3d(x[:, :, None], (1, x.shape[2] // 2, x.shape[3] // 3)),
        (3, 16, 16),
        [(3, 19, 14)],
    ),
    "along one axis": (nn.AdaptiveMaxPool2d((None, 3)), (3, 16, 16), [(3, 19, 14)]),
}


@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_max_pooling_to_a_free_size(compare, name) -> None:
    function, shape, others = ADAPTIVE[name]
    assert len(compare(Function(function), shape, others=others).free) == 2


def _turned(x: Tensor) -> Tensor:
    """Maps of coordinates that hang on the image."""
    maps = torch.tensor([[0.9, 0.3, 0.1], [-0.2, 0.8, -0.1]]).to(x)
    return maps + 0.1 * x.mean((1, 2, 3))[:, None, None]


BY_SIZES = {
    "linspace": lambda x: x + torch.linspace(-1, 1, x.shape[3]) * torch.linspace(3, 2, steps=x.shape[2])[:, None],
    "linspace of one": lambda x: x * torch.linspace(2, 3, (x.shape[3] + 15) // 16, dtype=torch.float32)[-1],
    "logspace": lambda x: x * torch.logspace(0, 1, x.shape[3]) + torch.logspace(0, 3, x.shape[2], base=2)[:, None],
    "windows": lambda x: (
        x * torch.hann_window(x.shape[3], periodic=False) * torch.hamming_window(x.shape[2], True, 0.6)[:, None]
        + torch.blackman_window(x.shape[3])
        - torch.bartlett_window(x.shape[2])[:, None]
    ),
    "affine_grid": lambda x: F.grid_sample(x, F.affine_grid(_turned(x), list(x.shape), False), align_corners=False),
    "affine_grid to the corners": lambda x: F.affine_grid(_turned(x), [*x.shape], align_corners=True),
    "affine_grid of volumes": lambda x: F.affine_grid(
        torch.cat([_turned(x)] * 2, 1)[:, :3].repeat(1, 1, 2)[..., :4], (len(x), 1, 3, *x.shape[2:]), False
    ),
    "lp_pool2d": lambda x: x - F.lp_pool2d(x, 4, x.shape[2:]) + F.lp_pool2d(x, 2, (x.shape[2], 1), stride=1),
    "avg_pool2d": lambda x: x - F.avg_pool2d(x, x.shape[2:]),
    "avg_pool2d along one axis": lambda x: x - F.avg_pool2d(x, (1, x.shape[3]), stride=(1, x.shape[3])),
    "max_pool2d": lambda x: x - F.max_pool2d(x, kernel_size=(x.shape[2], x.shape[3])),
    "tensor_split": lambda x: (
        torch.cat(torch.tensor_split(x, 3, dim=3)[::-1], 3) + x.tensor_split(2, 2)[0].mean((1, 2, 3), keepdim=True)
    ),
    "take_along_dim": lambda x: (
        torch.take_along_dim(x, x.argsort(3), dim=3) + x.take_along_dim(x.mean(1, keepdim=True).argsort(-1), 3)
    ),
    "kron": lambda x: torch.kron(x, torch.tensor([[1.0, 2.0, 3.0]]).to(x)),
    "gradient": lambda x: torch.cat([*torch.gradient(x, dim=(2, 3), spacing=0.5), torch.gradient(x, dim=3)[0]], 1),
    "affine_grid of written numbers": lambda x: F.grid_sample(
        x, F.affine_grid(torch.tensor([[[0.8, 0.1, 0.0], [-0.1, 0.9, 0.1]]] * len(x)).to(x), [*x.shape], False)
    ),
}


ROUNDED = {
    "quotient": lambda x: F.pad(x, (0, (math.ceil((x.shape[3] - 3) / 4 + 1) - 1) * 4 + 3 - x.shape[3])),
    "multiple": lambda x: F.interpolate(x, size=(x.shape[2], math.floor(x.shape[3] * 0.7 + 2))),
}


class Counted(nn.Module):
    """Divides by numbers of sizes, and asks whether they are such."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = map(float, x.shape[2:])
        count = int(height * width) if isinstance(x.shape[2], int) and isinstance(height, float) else int("0")
        return x * (count - 1) / count + sqrt(int(width)) / math.sqrt(height)


class Framed(nn.Module):
    """Pads to whole frames, and keeps the numbers that it does so by in tensors, as codecs of sounds do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, (1, 4), (1, 2))
        self.stride, self.kernel = nn.Buffer(torch.tensor(2)), nn.Buffer(torch.tensor(4))
        self.padding = nn.Buffer(self.kernel - self.stride)
        self.calls = nn.Buffer(torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        frames = (x.shape[3] - self.kernel + self.padding) / self.stride + 1
        whole = (torch.ceil(frames).to(torch.int64) - 1) * self.stride + self.kernel - self.padding
        right = self.padding // 2
        edges = (self.padding - right, right + whole - x.shape[3], 0, 0)
        mode = "reflect" if x.shape[3] > max(edges) else "constant"
        return self.conv(F.pad(x, edges, mode=mode))


class Typed(nn.Module):
    """Names the kinds of Python's numbers to torch, which takes no others for them."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.arange(x.shape[3], dtype=float) + torch.ones(1, dtype=int)


NUMBERS = {
    "padded": Function(padded_to_even),
    "multiple": Function(lambda x: F.interpolate(x, size=(int(x.shape[2] * 0.7), int(x.shape[3] * 1.3 + 1)))),
    "numpy": Function(lambda x: F.pad(x, (0, int(np.ceil(x.shape[3] / 4) * 4 - x.shape[3])))),
    "roots in numpy": Function(lambda x: x / np.sqrt(x.shape[2] * x.shape[3]) + np.minimum(x.shape[2], x.shape[3])),
    "arrays": Function(
        lambda x: (
            x * torch.from_numpy(np.hanning(x.shape[3]).astype(np.float32))
            + torch.tensor(np.stack(np.meshgrid(np.linspace(-1, 1, x.shape[3]), np.arange(x.shape[2])))).to(x).sum(0)
            + np.pi * torch.as_tensor(np.sin(np.ones((x.shape[2], 1), dtype=np.float32)) + np.float32(2))
        )
    ),
    "rounded": Function(
        lambda x: F.interpolate(x, size=(round(x.shape[2] * 0.7), round(x.shape[3] / 2)))[..., : round(x.shape[2] / 4)]
    ),
    "counted": Counted(),
    "framed": Framed(),
    "typed": Typed(),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_python_makes_of_sizes(compare, name) -> None:
    assert compare(NUMBERS[name], (3, 16, 16), others=[(3, 19, 18), (3, 8, 31)]).free == ["h", "w"]
    assert names_restored()


def names_restored() -> bool:
    """Whether this file's names, and the library's, are what they were."""
    own = not {"int", "float"} & set(globals()) and sqrt is math.sqrt and np is sys.modules["numpy"]
    return own and isinstance(math.sqrt, BuiltinFunctionType) and isinstance(torch.from_numpy, BuiltinFunctionType)


def failing(x: Tensor) -> Tensor:
    """Where it is traced, with whatever numbers."""
    if torch.compiler.is_exporting():
        raise RuntimeError("not like this")
    return x * int(sqrt(x.shape[2]))


def test_names_that_a_trace_within_a_trace_gives_back() -> None:
    module = Function(padded_to_even)
    with numbers_of_sizes(module):
        with suppress(ZeroDivisionError), numbers_of_sizes(module):
            raise ZeroDivisionError
        assert {"int", "float"} <= set(globals()) and not isinstance(math.sqrt, BuiltinFunctionType)
    assert names_restored()


def test_names_are_pythons_again_where_a_trace_fails(tmp_path) -> None:
    with pytest.raises(PBGenError, match="not like this"):
        pack(Function(failing), torch.ones(1, 3, 4, 4), tmp_path / "g.safetensors")
    assert names_restored()


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("function", [lambda size: size / 2, lambda size: size / 6, lambda size: size * 0.7])
def test_rounding_to_the_nearest_a_half_to_the_even_one(tmp_path, function, more) -> None:
    path = tmp_path / "g.safetensors"
    pack(Function(lambda x: x[..., :1] * round(function(x.shape[2]) + more)), torch.ones(1, 1, 16), path)
    sizes = range(2, 60)
    made = [float(rebuild(path)(torch.ones(1, 1, size))) for size in sizes]
    assert made == [round(function(size) + more) for size in sizes]


def compared(x: Tensor) -> Tensor:
    return x * {int: 2, float: 3}[type(len(x.shape))]


def exactly(x: Tensor) -> Tensor:
    if type(len(x.shape)) is not int:
        raise ValueError("no integer")
    return x * int(x.shape[3] * 0.5) / x.shape[3]


def test_code_that_asks_for_the_kind_of_a_number(compare, tmp_path) -> None:
    """By `is` no other class can be taken for Python's; then all is traced as it stands."""
    assert compare(Function(compared), (3, 16, 16), others=[(3, 9, 11)]).free == ["h", "w"]
    path = tmp_path / "g.safetensors"
    with pytest.warns(PBGenWarning, match="at the example's size alone"):
        pack(Function(exactly), torch.randn(1, 3, 16, 16), path)
    x = torch.randn(1, 3, 16, 16)
    assert torch.allclose(rebuild(path)(x), x / 2)


@pytest.mark.parametrize("name", ROUNDED)
def test_sizes_that_are_rounded_with_an_integer_added(compare, name) -> None:
    packed = compare(Function(ROUNDED[name]), (3, 16, 16), others=[(3, 19, 18), (3, 8, 31)])
    assert packed.free == ["h", "w"]


@pytest.mark.parametrize("name", BY_SIZES)
def test_functions_of_torch_that_take_sizes_as_numbers(compare, name) -> None:
    packed = compare(Function(BY_SIZES[name]), (3, 16, 16), others=[(3, 19, 18), (3, 8, 31)])
    assert packed.free == ["h", "w"]


@pytest.mark.parametrize("name", ["cumprod", "prod"])
def test_operators_along_a_free_axis_fix_it(tmp_path, name) -> None:
    module = Function(lambda x: getattr(x[..., : x.shape[2] // 2 * 2], name)(2))
    with pytest.warns(PBGenWarning, match=rf"{name} in .*: along an axis of free size cannot be packed; "):
        pack(module, torch.randn(1, 3, 12), tmp_path / "g.safetensors")


def the_last_window(x: Tensor) -> Tensor:
    """Of as many as there are."""
    windows = x.shape[3] // 4
    return x[..., -(x.shape[3] // windows) :] * 2


def box(x: Tensor) -> Tensor:
    """Sums of twelve neighbours, or of all that there are."""
    sums, width = F.pad(x.cumsum(3), (1, 0)), min(x.shape[3], 12)
    return sums[..., width:] - sums[..., :-width]


@pytest.mark.parametrize("function", [the_last_window, box])
def test_ends_of_a_free_size(compare, function) -> None:
    packed = compare(Function(function), (3, 16, 16), others=[(3, 9, 50), (3, 10, 31)])
    assert packed.free == ["h", "w"]


class Square(nn.Module):
    """Takes tokens for a square picture."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2)
        side = next(side for side in range(99) if side * side == tokens.shape[2])
        return tokens.unflatten(2, (side, side)) * 2


def test_that_both_sides_are_fixed_is_told_where_the_module_takes_squares(tmp_path) -> None:
    with pytest.warns(PBGenWarning, match="at one size alone along dimension 3 .* in test_free_sizes.py, line") as told:
        pack(Square(), torch.randn(1, 3, 8, 8), tmp_path / "g.safetensors")
    assert len(told) == 2


@pytest.mark.parametrize("size", [6, 16, 64, 200])
def test_no_size_that_is_tried_is_much_larger_than_the_example(size) -> None:
    groups = other_sizes({"h": size, "w": size}, {"x": (None, None, "h", "w")}, {}, [])
    tried = [sizes for group in groups for sizes in group.sizes]
    assert max(sizes["h"] * sizes["w"] for sizes in tried) <= 9 * max(size, 16) ** 2
    multiple = size & -size  # the largest power of two of which the example's size is one
    assert any(sizes["h"] > size and {one % multiple for one in sizes.values()} == {0} for sizes in tried)


NEARBY = {
    "interpolate": lambda x: F.interpolate(x, size=x.shape[2] // 2 if x.shape[2] < 40 else 8),
    "max_pool2d": lambda x: F.max_pool2d(x, x.shape[2] // 16),
}


@pytest.mark.parametrize("name", NEARBY)
def test_what_is_right_nearby_by_chance_is_found_further_away(tmp_path, name) -> None:
    path = tmp_path / "g.safetensors"
    with pytest.warns(PBGenWarning, match=r"at the example's size alone: at size h = 48, w = 80 the packed generator"):
        pack(Function(NEARBY[name]), torch.randn(1, 3, 32, 32), path)
    assert list(read(path)[0].inputs[0].shape[1:]) == [3, 32, 32]


def to_a_multiple(width: int) -> int:
    """Nearly all sizes are padded."""
    if width != ((width >> 5) << 5):
        return (((width >> 5) + 1) << 5) - width
    return 0


def padded(x: Tensor) -> Tensor:
    """The mean tells by how much."""
    return x + F.pad(x, (0, to_a_multiple(x.shape[3]))).mean((2, 3), keepdim=True)


def both_padded(x: Tensor, y: Tensor) -> Tensor:
    """By the first one's width; torch does not find that they are as wide."""
    both = [F.pixel_unshuffle(F.pad(one, (0, to_a_multiple(x.shape[3]))), 2) for one in (x, y)]
    return x + torch.cat(both, 1).mean((1, 2, 3), keepdim=True)


@pytest.mark.parametrize("function", [padded, both_padded])
def test_sizes_at_which_the_code_decides_otherwise_are_tried(tmp_path, function) -> None:
    line = to_a_multiple.__code__.co_firstlineno + 2
    inputs = tuple(torch.rand(1, 3, 20, 20) for _ in signature(function).parameters)  # whose mean is not about 0
    with pytest.warns(PBGenWarning, match=rf"at size h = 20, w = 32.* test_free_sizes\.py, line {line} "):
        pack(Function(function), inputs, tmp_path / "g.safetensors")


UNPACKABLE = {
    "the file refuses other sizes": (
        lambda x: torch.linalg.svdvals(x) if x.shape[2] % 2 else x + half_and_back(x),
        r"^at size h = 9, w = 11, which the module takes, the packed file does not: ",
    ),
    "the module does something else there": (
        lambda x: torch.linalg.svdvals(x) if x.shape[2] > 20 else 2 * x,
        r"^the packed file works at the example's size alone: at size h = 24, w = 56 ",
    ),
}


@pytest.mark.parametrize("name", UNPACKABLE)
def test_why_what_the_module_does_at_other_sizes_is_not_packed_is_told(tmp_path, name) -> None:
    function, first = UNPACKABLE[name]
    said = rf"{first}.*\. An example of that size does not help: _linalg_svd in .*\. Do the same at all sizes, or "
    with pytest.warns(PBGenWarning, match=said) as warned:
        pack(Function(function), torch.randn(1, 3, 8, 8), tmp_path / "g.safetensors")
    assert len(warned) == 1


FIXED = {
    "decided in Python": (
        lambda x: x * (2 if x.shape[2] in (16, 32) else 3),
        r"hangs on that size in test_free_sizes\.py",
    ),
    "counted in Python": (lambda x: torch.cat([x[:, :, i : i + 1] * i for i in range(x.shape[2])], 2), r"line \d+ \("),
    "counted in Python, twice as many": (
        lambda x: torch.cat([x[:, :, i // 2 : i // 2 + 1] * i for i in range(2 * x.shape[2])], 2),
        r"line \d+ \(",
    ),
    "by torch": (
        lambda x: torch.stack([row * 2 for row in x.unbind(2)], 2),
        r"torch fixes it in test_free_sizes\.py, line",
    ),
}


def test_a_branch_at_the_examples_area_alone_is_not_taken(compare) -> None:
    """As it would fix the size; what is done at others serves the example as well."""
    module = Function(lambda x: 2 * x if x.shape[2] * x.shape[3] == 48 else x + x)
    assert compare(module, (3, 6, 8), others=[(3, 5, 9), (3, 12, 4)]).free == ["h", "w"]


def test_an_area_that_is_decided_on_is_told(tmp_path) -> None:
    module = Function(lambda x: 2 * x if x.shape[2] * x.shape[3] in (48, 96, 192) else x)
    with pytest.warns(PBGenWarning, match=r", [68], although .*test_free_sizes\.py, line.*") as warned:
        pack(module, torch.randn(1, 3, 6, 8), tmp_path / "g.safetensors")
    assert [str(one.message).split(", ")[1] for one in warned] == ["6", "8"]


@pytest.mark.parametrize("name", FIXED)
def test_a_size_that_is_fixed_although_the_module_takes_others_is_told(tmp_path, name) -> None:
    function, place = FIXED[name]
    path = tmp_path / "g.safetensors"
    said = f'one size alone along dimension 2 of input "inputs_0", 16, .*{place}'
    with pytest.warns(PBGenWarning, match=said) as warned:
        pack(Function(function), torch.randn(1, 3, 16, 16), path)
    assert len(warned) == 1
    assert read(path)[0].inputs[0].shape == (1, 3, 16, "w")


class Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(20, 4)

    def forward(self, *codes: Tensor) -> Tensor:
        return self.linear(torch.cat([code.flatten(1) for code in codes], 1))


@pytest.mark.parametrize("shapes", [[(12,), (6,), (2,)], [(1, 4, 5)]])
def test_sizes_that_share_a_number_between_them_are_fixed(tmp_path, shapes) -> None:
    """The module takes no others, so there is nothing to tell."""
    path = tmp_path / "g.safetensors"
    inputs = tuple(torch.randn(1, *shape) for shape in shapes)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PBGenWarning)
        pack(Joined(), inputs, path)
    assert [source.shape[1:] for source in read(path)[0].inputs] == shapes


class Parts(nn.Module):
    """A latent in parts, a layer for each; further ones it does not look at."""

    def __init__(self, cut) -> None:
        super().__init__()
        self.cut, self.layers = cut, nn.ModuleList(nn.Linear(20, 4) for _ in range(6))

    def forward(self, z: Tensor) -> Tensor:
        return sum(layer(part) for layer, part in zip(self.layers, self.cut(z), strict=False))


def test_a_latent_in_so_many_parts_is_fixed(compare) -> None:
    assert compare(Parts(lambda z: z.chunk(6, 1)), (120,)).free == []


def test_a_latent_in_parts_of_such_a_length_is_fixed(compare) -> None:
    """The module takes more, by accident: the file need not, and there is nothing to tell."""
    assert compare(Parts(lambda z: z.split(20, 1)), (120,)).free == []


def test_parts_whose_number_is_all_the_same_to_the_module_are_told(tmp_path) -> None:
    module = Function(lambda x: sum(part.mean(2) for part in x.split(4, 2)))
    path = tmp_path / "g.safetensors"
    with pytest.warns(PBGenWarning, match="alone"):
        pack(module, torch.randn(1, 3, 12), path)
    assert read(path)[0].free == []


@pytest.mark.parametrize("shape", [(12, 1, 1), (12, 1)])
def test_a_size_of_one_is_fixed(compare, shape) -> None:
    """Torch alone would leave a DCGAN's latent free to be a picture."""
    conv = nn.Conv2d if len(shape) == 3 else nn.Conv1d
    assert compare(conv(12, 3, 3, padding=2), shape).free == []


def test_a_latent_that_a_view_makes_several_of_is_fixed(tmp_path) -> None:
    """`z.view(-1, 12, 1, 1)` takes 24 numbers and makes two images: that is no other size of one."""
    path = tmp_path / "g.safetensors"
    weight = torch.randn(12, 3, 4, 4)
    module = Function(lambda self, z: F.conv_transpose2d(z.view(-1, 12, 1, 1), self.weight), weight=weight)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PBGenWarning)
        pack(module, torch.randn(1, 12), path)
    assert read(path)[0].free == []


@pytest.mark.parametrize("draw", [torch.randn, torch.rand])
def test_noise_of_a_free_size_without_a_generator(tmp_path, draw) -> None:
    path = tmp_path / "g.safetensors"
    pack(Function(lambda x: x + draw(x.shape, generator=None)), torch.randn(1, 3, 8, 12), path)
    assert read(path)[0].free == ["h", "w"]


KEPT: dict[str, Tensor] = {}


class Keeping(nn.Module):
    """What networks that warp frames do with their grids, outside of themselves."""

    kept: ClassVar[dict[str, Tensor]] = {}

    def forward(self, x: Tensor) -> Tensor:
        for kept in (KEPT, self.kept):
            if (size := str(x.size())) not in kept:
                kept[size] = torch.linspace(-1, 1, x.shape[3]).view(1, 1, 1, -1)
            x = x + kept[size]
        return x


def test_what_is_kept_outside_of_a_module_is_never_a_trace(tmp_path) -> None:
    """Else the next trace would meet it, and take it for a number."""
    path = tmp_path / "g.safetensors"
    for _ in range(2):
        pack(Keeping(), torch.randn(1, 3, 8, 12), path)
        assert len(read(path)[0].free) == 2
    assert KEPT and all(type(value) is Tensor for value in [*KEPT.values(), *Keeping.kept.values()])


class Loading(dict[str, Any]):
    """Has values that are made where somebody asks for them, as libraries of many models do."""

    def items(self) -> Any:
        raise ImportError("loads all that there is")


LOADED = Loading(one=None)


def test_what_others_keep_is_not_loaded(tmp_path) -> None:
    pack(nn.Conv2d(3, 3, 1), torch.randn(1, 3, 4, 5), tmp_path / "g.safetensors")


class Source(nn.Module):
    """A vocoder's beginning: frames of a mel spectrogram, and the pitch of each of their 16 samples."""

    def __init__(self) -> None:
        super().__init__()
        self.frames, self.pitch = nn.ConvTranspose1d(8, 4, 32, 16, 8), nn.Conv1d(1, 4, 3, padding=1)

    def forward(self, mel: Tensor, f0: Tensor) -> Tensor:
        return self.frames(mel) + self.pitch(f0)


def test_sizes_that_belong_together(compare) -> None:
    packed = compare(Source(), [(8, 20), (1, 320)], others=[[(8, 30), (1, 480)]])
    engine = pbgen.Engine(packed.path)
    assert engine.input_shape == ((8, None), (1, None))
    for length in (479, 481, 30):
        told = f"input `f0`: has the shape (1, 1, {length}); beside `mel` of (1, 8, 30) it must be (1, 1, 480)"
        with pytest.raises(PBGenError, match=f"^{re.escape(told)}$"):
            engine(np.zeros((1, 8, 30)), np.zeros((1, 1, length)))


def test_pictures_of_one_size(compare) -> None:
    packed = compare(Function(lambda x, y: x * y.sigmoid()), [(3, 8, 6), (1, 8, 6)], others=[[(3, 5, 9), (1, 5, 9)]])
    with pytest.raises(PBGenError, match="input `inputs_1`: its dimension 3 is 8, but `w` is 9 elsewhere"):
        pbgen.Engine(packed.path)(np.zeros((1, 3, 5, 9)), np.zeros((1, 1, 5, 8)))
