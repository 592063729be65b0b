"""The closed form: a product as rows times columns, levels against all that are possible, and what it is worth."""

from itertools import product as combinations

import pytest
import torch
from small_network import make_network
from torch import nn

import pbgen
from pbgen.compression.closed_form import calibrate
from pbgen.compression.columns import Call
from pbgen.compression.judge import Judge
from pbgen.compression.levels import RIDGE, fit_levels, fit_scale
from pbgen.compression.student import make_student
from pbgen.operators import EachOperator, products

LAYERS = {
    "convolution": (nn.Conv2d(3, 5, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), (2, 3, 9, 8)),
    "in groups": (nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False), (2, 4, 5, 6)),
    "channel by channel": (nn.Conv1d(4, 4, 5, groups=4), (3, 4, 11)),
    "sounds": (nn.Conv1d(2, 3, 7, dilation=3), (2, 2, 40)),
    "transposed": (nn.ConvTranspose2d(3, 5, (4, 3), (2, 3), (1, 0), (1, 2), dilation=(1, 2)), (2, 3, 5, 4)),
    "transposed, more cut than there is": (nn.ConvTranspose2d(3, 5, 2, 2, 2), (2, 3, 5, 4)),
    "transposed, in groups": (nn.ConvTranspose1d(4, 6, 4, 2, 1, groups=2), (2, 4, 7)),
    "many positions": (nn.Conv2d(1, 2, 3), (2, 1, 120, 130)),
    "linear": (nn.Linear(7, 5), (4, 7)),
    "linear on positions": (nn.Linear(7, 5, bias=False), (2, 3, 7)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_values_are_rows_times_columns(name):
    layer, shape = LAYERS[name]
    calls = []

    def look(func, args, kwargs):
        result = func(*args, **kwargs)
        calls.extend(Call(func, args, product, result) for product in products(func, args))
        return result

    with torch.no_grad(), EachOperator(look):
        layer(torch.randn(shape))
    call = calls[0]
    rows = call.rows(call.product.weight)
    torch.testing.assert_close((rows @ call.columns()).flatten(0, 1), call.values(), atol=1e-5, rtol=1e-5)
    assert call.values().shape[1] <= 16384


def problem(bits, outputs=40, n=4):
    """Inputs that belong together, as those of neighbouring pixels do, so that rounding each by itself is not best."""
    random = torch.Generator().manual_seed(bits)
    met = torch.randn(n, 3, generator=random) @ torch.randn(3, 50, generator=random)
    met += 0.3 * torch.randn(n, 50, generator=random)
    weights = torch.randn(outputs, n, generator=random)
    return met, weights


def error(met, weights, levels, scale):
    """With what a weight's distance counts."""
    off = weights - levels * scale[:, None]
    return (off @ met).square().mean(1) + RIDGE * met.square().mean() * off.square().sum(1)


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_levels_are_near_the_best_of_all(bits):
    met, weights = problem(bits)
    first = weights.abs().mean(1) / (1 << (bits - 1))
    nearest = (2 * torch.floor(weights / first[:, None] / 2) + 1).clamp(1 - (1 << bits), (1 << bits) - 1)
    gram, cross = (one @ met.T / met.shape[1] for one in (met, weights @ met))
    levels, scale = (one[0] for one in fit_levels(gram[None], cross[None], weights[None], first[None], bits))
    assert set(levels.unique().tolist()) <= set(range(1 - (1 << bits), 1 << bits, 2))
    choices = torch.tensor(
        list(combinations(range(1 - (1 << bits), 1 << bits, 2), repeat=met.shape[0])), dtype=met.dtype
    )
    best = torch.stack([error(met, weights, choice.expand_as(weights), scale) for choice in choices]).amin(0)
    found, rounded = error(met, weights, levels, scale), error(met, weights, nearest, first)
    assert (found >= best * 0.999).all()
    assert found.sum() < best.sum() + 0.2 * (rounded.sum() - best.sum())


def test_scale_and_shift_by_numpy_of_one_row():
    made = torch.tensor([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]])
    right = torch.tensor([[3.0, 5.0, 9.0], [7.0, 8.0, 9.0]])
    for shifted, gain, shift in ((True, [2, 1], [1, 7]), (False, [49 / 21, 8], [0, 0])):
        found = fit_scale(made, right, shifted)
        torch.testing.assert_close(found[0], torch.tensor(gain, dtype=torch.float32))
        torch.testing.assert_close(found[1], torch.tensor(shift, dtype=torch.float32))


@pytest.mark.parametrize("bits", [1, 2])
def test_levels_bring_a_network_nearer(bits, monkeypatch):
    """On inputs that they were not fitted to, than scales and shifts alone."""
    teacher = make_network()
    smooth = nn.functional.interpolate(torch.rand(64, 3, 3, 3), (8, 8), mode="bilinear")
    plan = pbgen.plan(teacher, smooth[:1]).choosing({"2": bits, "5": bits})
    judge, found = Judge(teacher, [(smooth[32:],)]), []
    for most in (0, 4608):
        monkeypatch.setattr("pbgen.compression.closed_form._MOST_MET", most)
        student = make_student(teacher, plan)
        calibrate(student, teacher, (smooth[:32],), plan.binary)
        found.append(judge.psnr(student).median)
    assert found[1] > found[0] + 1


def test_a_layer_called_twice_is_fitted_by_its_first_call():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 3, 3, padding=1)
    teacher = nn.Sequential(layer, nn.ReLU(), layer).eval()
    x = torch.rand(4, 3, 8, 8)
    plan = pbgen.plan(teacher, x).choosing({"0": 2})
    students = [make_student(part, plan) for part in (teacher, nn.Sequential(layer))]
    for student, part in zip(students, (teacher, nn.Sequential(layer)), strict=True):
        calibrate(student, part, (x,), plan.binary)
    torch.testing.assert_close(students[0][0](x), students[1][0](x))


class Turned(nn.Module):
    """Two products whose weights are seen otherwise than they lie."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)
        self.matrix, self.shift = nn.Parameter(torch.randn(6, 5)), nn.Parameter(torch.randn(5))

    def forward(self, x):
        return nn.functional.linear(torch.relu(self.conv(x)).mean((2, 3)), self.matrix.T, self.shift)


def test_weights_that_lie_otherwise_are_fitted_alike():
    torch.manual_seed(0)
    turned, x = Turned().eval(), torch.rand(16, 4, 8, 8)
    straight = nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))
    straight[0].load_state_dict(turned.conv.state_dict())
    straight[4].load_state_dict({"weight": turned.matrix.T, "bias": turned.shift})
    made = []
    for teacher in (turned, straight.eval()):
        plan = pbgen.plan(teacher, x)
        student = make_student(teacher, plan.choosing({layer.name: 2 for layer in plan.layers}))
        calibrate(student, teacher, (x,), [layer.name for layer in plan.layers])
        made.append(student(x))
    torch.testing.assert_close(made[0], made[1], atol=1e-4, rtol=1e-4)
    assert (made[0] - turned(x)).square().mean() < 1e-3
