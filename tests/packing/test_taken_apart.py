"""Operators that no packed file has, and those that write in place, become others where they stand: nothing is traced
twice, which takes minutes where sizes are free."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from small_modules import Function
from torch import Tensor, nn
from torch.export import ExportedProgram

WINDOW, SHIFT = 4, 2
Joined = Callable[[Tensor, int, int], Tensor]


@pytest.fixture
def once(monkeypatch) -> list[str]:
    """What torch traces, of which nothing may be a program that it has traced before."""
    traced: list[str] = []
    export = torch.export.export

    def counted(module, *args, **kwargs):
        traced.append(type(module).__name__)
        return export(module, *args, **kwargs)

    def again(self, *args):
        raise AssertionError("a program is traced anew")

    monkeypatch.setattr(torch.export, "export", counted)
    monkeypatch.setattr(ExportedProgram, "run_decompositions", again)
    return traced


def parted(x: Tensor) -> Tensor:
    n, h, w, c = x.shape
    x = x.view(n, h // WINDOW, WINDOW, w // WINDOW, WINDOW, c).permute(0, 1, 3, 2, 4, 5)
    return x.contiguous().view(-1, WINDOW * WINDOW, c)


def joined(windows: Tensor, h: int, w: int) -> Tensor:
    x = windows.view(-1, h // WINDOW, w // WINDOW, WINDOW, WINDOW, windows.shape[-1])
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, h, w, windows.shape[-1])


def joined_as_counted(windows: Tensor, h: int, w: int) -> Tensor:
    n = int(windows.shape[0] / (h * w / WINDOW / WINDOW))
    x = windows.view(n, h // WINDOW, w // WINDOW, WINDOW, WINDOW, -1)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(n, h, w, -1)


def mask(h: int, w: int) -> Tensor:
    """Which pixels of a window of the shifted picture see each other."""
    regions = torch.zeros(1, h, w, 1)
    parts = (slice(0, -WINDOW), slice(-WINDOW, -SHIFT), slice(-SHIFT, None))
    for i, rows in enumerate(parts):
        for j, columns in enumerate(parts):
            regions[:, rows, columns, :] = 3 * i + j
    numbers = parted(regions)[..., 0]
    apart = numbers[:, None, :] - numbers[:, :, None]
    return apart.masked_fill(apart != 0, -100.0).masked_fill(apart == 0, 0.0)


class Windows(nn.Module):
    """Attention in shifted windows, as Swin Transformers have it."""

    def __init__(self, joined: Joined) -> None:
        super().__init__()
        self.joined = joined
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)
        self.layers, self.norm = nn.ModuleList(nn.Linear(8, 24) for _ in range(2)), nn.LayerNorm(8)

    def forward(self, image: Tensor) -> Tensor:
        h, w = image.shape[-2:]
        x = self.first(image).permute(0, 2, 3, 1)
        for layer in self.layers:
            moved = parted(torch.roll(self.norm(x), (-SHIFT, -SHIFT), (1, 2)))
            q, k, v = layer(moved).chunk(3, -1)
            seen = torch.einsum("bic,bjc->bij", q, k) / 8**0.5
            seen = seen.view(-1, h // WINDOW * (w // WINDOW), WINDOW**2, WINDOW**2) + mask(h, w).to(seen.dtype)
            moved = torch.einsum("bij,bjc->bic", seen.view(-1, WINDOW**2, WINDOW**2).softmax(-1), v)
            x = x + torch.roll(self.joined(moved, h, w), (SHIFT, SHIFT), (1, 2))
        return self.last(x.permute(0, 3, 1, 2))


@pytest.mark.parametrize("joined", [joined, joined_as_counted])
def test_attention_in_shifted_windows(compare, once, joined) -> None:
    packed = compare(Windows(joined), (3, 8, 12), others=[(3, 16, 8), (3, 20, 12)])
    assert packed.free == ["h", "w"]
    assert once == ["Windows"]


def rows_written(x: Tensor) -> Tensor:
    x = x * 2
    x[:, :, 1:3] = 0.5
    x[:, 0].mul_(3)
    x[:, :, -1] += x[:, :, 0]
    x[:, 1, 2:, :3] = x[:, 2, 2:, :3]
    return x.relu_() - 1


def part_read_before_and_after(x: Tensor) -> Tensor:
    x = x * 2
    before = x[:, :, :2] + 1
    x[:, :, :2] = 0.5
    return F.pad(before, (0, 0, 0, 1)).sum(2, keepdim=True) + x


def handed_on(x: Tensor) -> Tensor:
    regions = torch.zeros(1, *x.shape[1:], dtype=torch.float64).to(x).detach()
    regions[:, :, 1:3] = 1
    return x * regions + torch.zeros_like(x).to(torch.float32).scatter_(1, x.argmax(1, keepdim=True), 1)


WRITTEN = {
    "handed on": handed_on,
    "parts": rows_written,
    "read before and after": part_read_before_and_after,
    "returned": lambda x: (x + 1).clamp_(-1, 0.5),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_to_parts(compare, once, name) -> None:
    compare(Function(WRITTEN[name]), (3, 6, 8), others=[(3, 9, 4)])
    assert once == ["Function"]


def seen_by_another(x: Tensor) -> Tensor:
    x = x * 2
    part = x[:, :, :2]
    x[:, 0] = 0.5
    return part.sum(2, keepdim=True) + x


def seen_by_who_hands_it_on(x: Tensor) -> Tensor:
    x = x * 2
    same = x.to(x.dtype)
    same[:, 0] = 0.5
    return x + same


@pytest.mark.parametrize("function", [seen_by_another, seen_by_who_hands_it_on])
def test_what_another_sees_as_well_is_left_to_torch(compare, function) -> None:
    compare(Function(function), (3, 6, 8), others=[(3, 9, 4)])


APART = {
    "einsum": lambda x: torch.einsum("nchw,ndhw->ncd", x, x),
    "of one that is": lambda x: F.huber_loss(torch.einsum("nchw,ndhw->ncd", x, x), x[:, :, :3, 0], reduction="none"),
    "several values": lambda x: torch.cat(torch.broadcast_tensors(x, x[:, :1]), 1),
    "the same again": lambda x: x.type_as(x) + torch.atleast_3d(x),
}


@pytest.mark.parametrize("name", APART)
def test_operators_are_taken_apart_where_they_stand(compare, once, name) -> None:
    compare(Function(APART[name]), (3, 6, 8), batches=(1,), others=[(3, 9, 4)])
    assert once == ["Function"]


class Gradless(nn.Module):
    """Whose layers turn gradients off, as some spectral norms do."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            with torch.no_grad():
                largest = layer.weight.abs().max()
            x = layer(x).relu() / largest
        return x


def test_gradients_that_are_turned_off_do_not_cut_a_program(compare, monkeypatch) -> None:
    from torch._export.passes import replace_set_grad_with_hop_pass

    def cut(*args):
        raise AssertionError("the program is cut")

    monkeypatch.setattr(replace_set_grad_with_hop_pass, "sequential_split", cut)
    compare(Gradless(), (4,))
    assert torch.is_grad_enabled()
