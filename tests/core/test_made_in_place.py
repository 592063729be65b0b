"""Values that are made where others want them, and layers that read parts of them: as if all was copied, to the bit."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from archs import HERE
from torch import Tensor, nn

import pbgen
from pbgen import Engine

Forward = Callable[["Network", Tensor], tuple[Tensor, list[Tensor]]]
"""What a network makes, and what is joined, padded or cut on the way."""
Case = tuple[Forward, Callable[[], dict[str, nn.Module]], tuple[int, ...]]
"""With its layers, and the input's shape."""


class Network(nn.Module):
    """Layers by name, and how they are used; `shown`: what lies on the way are outputs, too, so it lies by itself."""

    def __init__(self, forward: Forward, layers: dict[str, nn.Module], shown: bool) -> None:
        super().__init__()
        self.layers, self.how, self.shown = nn.ModuleDict(layers), forward, shown

    def __getitem__(self, name: str) -> nn.Module:
        return self.layers[name]

    def forward(self, x: Tensor) -> Any:
        made, inner = self.how(self, x)
        return (made, *inner) if self.shown else made


def dense(net: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    parts, inner = [F.leaky_relu(net["first"](x), 0.2)], []
    for name in "abc":
        inner.append(torch.cat(parts, 1))
        parts.append(F.leaky_relu(net[name](inner[-1]), 0.2))
    inner.append(torch.cat(parts, 1))
    return net["last"](inner[-1]) * 0.2 + parts[0], inner


def skip(net: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    x = net["first"](x)
    up = net["up"](F.leaky_relu(net["down"](F.leaky_relu(x, 0.2)), 0.2))
    both = torch.cat([x, up], 1)
    return net["last"](F.relu(both)), [both]


def padded(mode: str, value: float = 0) -> Forward:
    def forward(net: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        given = {"value": value} if mode == "constant" else {}
        sides = (2, 1, 1, 2)[: 2 * (x.dim() - 2)]
        one = F.pad(F.relu(net["first"](x)), sides, mode, **given)
        two = F.pad(torch.tanh(net["a"](one)) - 0.2, sides, mode, **given)
        return net["last"](two) + two.mean((1, -1), keepdim=True)[:, :, :1], [one, two]

    return forward


def cropped(net: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    inner = F.pad(net["first"](x), (-1, 2, 1, -2))
    return net["last"](inner), [inner]


def cut(net: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    a, b = net["first"](x).chunk(2, 1)
    parts = [net[name](part) for name, part in zip("abcd", (a, b, a, b), strict=True)]
    again = torch.cat([a, b], 1)
    return net["last"](again * torch.cat(parts, 1)), [a, b, *parts, again]


def nested(net: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    a, b = net["a"](x), net["b"](x)
    two = torch.cat([a, b], 1)
    four = torch.cat([two, b, F.relu(two[:, :5])], 1)
    higher = torch.cat([four, torch.tanh(four)], 2)
    return net["last"](higher), [two, four, higher]


def padded_and_joined(net: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """What is padded lies in what is padded or joined again, which has other rows."""
    a, b = F.pad(net["a"](x), (3, 2, 1, 2)), F.pad(torch.tanh(net["b"](x)), (1, 4, 2, 1))
    both = torch.cat([b, a], 1)
    higher = torch.cat([torch.sigmoid(a), torch.tanh(a)], 2)
    twice = F.pad(F.pad(F.relu(higher[:, :, : both.shape[2]]), (1, 0)), (0, 2, 0, 0), "replicate")[..., :-3]
    wide = torch.cat([F.pad(F.pad(torch.sin(a), (1, 2)), (2, 1, 0, 0), "reflect"), F.pad(both, (3, 3))], 1)
    joined = torch.cat([torch.cat([torch.sin(b), torch.cos(b)], 2), torch.cat([torch.sin(a), torch.cos(a)], 2)], 1)
    last = net["last"](torch.cat([both, twice], 1)), net["wide"](wide), net["joined"](joined)
    return sum(value.mean((2, 3), keepdim=True) for value in last) + last[0], [a, b, both, higher, wide, joined]


def repeated(net: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    up = F.interpolate(F.relu(net["first"](x)), scale_factor=2)
    around = F.pad(up, (1, 1, 1, 1), "replicate")
    return net["last"](around), [up, around]


def rest(net: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """A layer of few channels, and one some of whose pixels meet no weight."""
    both = torch.cat([net["few"](x), net["holes"](x).relu(), F.interpolate(x, scale_factor=2)], 1)
    return net["last"](both), [both]


def conv(*sizes: int, **options: Any) -> nn.Module:
    return nn.Conv2d(*sizes, padding=sizes[2] // 2, **options)


def sound(*sizes: int, **options: Any) -> nn.Module:
    return nn.Conv1d(*sizes, padding=sizes[2] // 2, **options)


def dense_layers(conv: Callable[..., nn.Module], growth: int) -> dict[str, nn.Module]:
    inner = {name: conv(16 + i * growth, growth, 3) for i, name in enumerate("abc")}
    return {"first": conv(5, 16, 3), **inner, "last": conv(16 + 3 * growth, 16, 3)}


def cut_layers() -> dict[str, nn.Module]:
    parts = {"a": conv(32, 16, 3), "b": conv(32, 16, 1), "c": conv(32, 16, 3, groups=2), "d": conv(32, 16, 5)}
    return {"first": conv(5, 64, 3), **parts, "last": conv(64, 24, 3)}


def padded_layers(conv: type[nn.Module]) -> dict[str, nn.Module]:
    return {"first": conv(5, 24, 3, padding=1), "a": conv(24, 18, 3), "last": conv(18, 20, 3)}


def drawn(seed: int) -> Case:
    """Values that are changed, padded, joined and cut at random, one of another, each that is left read by a layer."""
    rng = np.random.default_rng(seed)
    steps: list[Callable[[list[Tensor]], Tensor]] = []
    shapes, unread = [(16, 7, 8), (20, 7, 8)], {0, 1}
    for number in range(2, 14):
        i = int(max(rng.integers(number, size=2)))
        (channels, height, width), read = shapes[i], {i}
        kind = rng.choice(["change", "pad", "join", "cut"], p=[0.3, 0.3, 0.3, 0.1])
        if kind == "pad":
            around = [int(n) for n in rng.integers(0, 3, 4)]
            mode = str(rng.choice(["constant", "reflect", "replicate"]))
            shape = (channels, height + around[2] + around[3], width + around[0] + around[1])
            steps.append(lambda v, i=i, around=around, mode=mode: F.pad(v[i], around, mode))
        elif kind == "join":
            axis = int(rng.integers(3))
            alike = [
                k
                for k, other in enumerate(shapes)
                if np.delete(other, axis).tolist() == np.delete(shapes[i], axis).tolist()
            ]
            j = int(rng.choice(alike))
            read.add(j)
            joined = list(shapes[i])
            joined[axis] += shapes[j][axis]
            shape = (joined[0], joined[1], joined[2])
            steps.append(lambda v, i=i, j=j, axis=axis: torch.cat([v[i], v[j]], 1 + axis))
        elif kind == "cut":
            begin = int(rng.integers(channels // 2))
            shape = (channels - begin, height, width)
            steps.append(lambda v, i=i, begin=begin: v[i][:, begin:])
        else:
            shape = shapes[i]
            function = [torch.sin, torch.tanh, F.relu, torch.sigmoid][int(rng.integers(4))]
            steps.append(lambda v, i=i, function=function: function(v[i]))
        shapes.append(shape)
        unread = unread - read | {number}

    def forward(net: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        values = [net["a"](x), net["b"](x)]
        for step in steps:
            values.append(step(values))
        first, *rest = (net[f"last {i}"](values[i])[:, :, :5, :6] for i in sorted(unread))
        return sum(rest, first), values

    def layers() -> dict[str, nn.Module]:
        ends = {f"last {i}": nn.Conv2d(shapes[i][0], 16, 3) for i in sorted(unread)}
        return {"a": conv(5, 16, 3), "b": conv(5, 20, 1), **ends}

    return forward, layers, (5, 7, 8)


CASES: dict[str, Case] = {
    "dense block": (dense, lambda: dense_layers(conv, 8), (5, 11, 9)),
    "of odd channels": (dense, lambda: dense_layers(conv, 7), (5, 11, 9)),
    "of sounds": (dense, lambda: dense_layers(sound, 12), (5, 41)),
    "skip": (
        skip,
        lambda: {
            "first": conv(5, 24, 3),
            "down": nn.Conv2d(24, 32, 4, 2, 1),
            "up": nn.ConvTranspose2d(32, 16, 4, 2, 1),
            "last": nn.ConvTranspose2d(40, 18, 5, 2, 2),
        },
        (5, 12, 10),
    ),
    **{
        f"padded, {mode} {value}": (padded(mode, value), lambda: padded_layers(nn.Conv2d), (5, 9, 12))
        for mode, value in [("reflect", 0), ("replicate", 0), ("circular", 0), ("constant", 0), ("constant", 3.5)]
    },
    "padded sounds": (padded("reflect"), lambda: padded_layers(nn.Conv1d), (5, 40)),
    "cropped": (cropped, lambda: {"first": conv(5, 24, 3), "last": conv(24, 16, 3)}, (5, 9, 12)),
    "cut": (cut, cut_layers, (5, 10, 13)),
    "nested": (nested, lambda: {"a": conv(5, 16, 3), "b": conv(5, 20, 1), "last": conv(61, 16, 3)}, (5, 7, 8)),
    "padded and joined": (
        padded_and_joined,
        lambda: {
            "a": conv(5, 16, 3),
            "b": conv(5, 20, 1),
            "last": nn.Conv2d(52, 16, 3),
            "wide": nn.Conv2d(52, 16, 3),
            "joined": nn.Conv2d(36, 16, 3),
        },
        (5, 7, 8),
    ),
    "repeated": (repeated, lambda: {"first": conv(5, 16, 3), "last": nn.Conv2d(16, 17, 3)}, (5, 7, 8)),
    "few and holes": (
        rest,
        lambda: {
            "few": nn.ConvTranspose2d(5, 3, 4, 2, 1),
            "holes": nn.ConvTranspose2d(5, 20, 1, 2, output_padding=1),
            "last": conv(28, 20, 3),
        },
        (5, 8, 8),
    ),
}


def packed(case: Case, binary: bool, shown: bool, path: Path) -> tuple[nn.Module, Path]:
    forward, layers, shape = case
    torch.manual_seed(0)
    module = Network(forward, layers(), shown)
    if binary:
        pbgen.binarize(module, [f"layers.{name}" for name in module.layers if name not in ("first", "few")])
    pbgen.pack(module.eval(), torch.randn(1, *shape), path)
    return module, path


@pytest.mark.parametrize("binary", [False, True], ids=["float", "binary"])
@pytest.mark.parametrize("case", CASES)
def test_as_if_copied(case: str, binary: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, path = packed(CASES[case], binary, False, tmp_path / "a.safetensors")
    _, other = packed(CASES[case], binary, True, tmp_path / "b.safetensors")
    x = np.random.default_rng(0).standard_normal((3, *CASES[case][2])).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    for arch, activations, threads in product(HERE, ("float32", "int8"), (1, 2)):
        monkeypatch.setenv("PBGEN_ARCH", arch)
        made = Engine(path, threads=threads, activations=activations)(x)
        copied, *_ = Engine(other, threads=threads, activations=activations)(x)
        np.testing.assert_array_equal(made, copied)
        if activations == "float32":
            np.testing.assert_allclose(made, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("seed", range(6))
def test_drawn_networks(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, path = packed(drawn(seed), False, False, tmp_path / "g.safetensors")
    x = torch.randn(3, 5, 7, 8)
    with torch.no_grad():
        expected = module(x).numpy()
    for arch, threads in product(HERE, (1, 2)):
        monkeypatch.setenv("PBGEN_ARCH", arch)
        made = Engine(path, threads=threads)(x.numpy())
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
