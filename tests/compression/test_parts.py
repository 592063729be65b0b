"""Bits, calibration, inputs and distances, each against what they should be."""

import numpy as np
import pytest
import torch
from small_network import make_network
from torch import nn
from torch.nn import functional as F

import pbgen
from pbgen.compression.bits import (
    SEARCHED,
    choose_bits,
    compressible,
    fewest_bytes,
    measure_errors,
    plan_bytes,
    weight_bytes,
)
from pbgen.compression.closed_form import calibrate
from pbgen.compression.inputs import Crops, Examples, Noise, Scale
from pbgen.compression.judge import Judge, log_error
from pbgen.compression.sound import is_sound, log_mel_distance, spectral_distance
from pbgen.compression.student import halve, make_student

X = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(2))


def plan_of(network):
    return pbgen.plan(network, X)


def test_bytes_of_weights():
    assert [weight_bytes(9, bits) for bits in (1, 2, 3, 4, 32)] == [2, 4, 6, 8, 18]
    plan = plan_of(make_network()).choosing({"0": 3, "2": 1})
    assert plan_bytes(plan) == 3 * 27 + 108 + 2 * 576


def test_errors_fall_with_bits(network):
    names, reasons = compressible(network, plan_of(network))
    errors = measure_errors(network, plan_of(network), names, (X[:8],), (X[8:],), lambda *_: None)
    assert not reasons and list(errors) == names == ["0", "2", "5"]
    for by_bits in errors.values():
        assert sorted(by_bits.values(), reverse=True) == [by_bits[bits] for bits in (1, 2, 3, 4, 32)]


def test_known_moments_change_nothing(network):
    known, plan = {}, plan_of(network)
    for bits in (4, 1, 2):
        students = [make_student(network, plan.choosing({"2": bits})) for _ in range(2)]
        calibrate(students[0], network, (X,), ["2"], known)
        calibrate(students[1], network, (X,), ["2"])
        first, second = (student.state_dict() for student in students)
        assert list(known) == ["2"] and all(torch.equal(first[name], second[name]) for name in first)


def test_a_layer_is_measured_by_running_half_of_the_network(network):
    """Once the float one and once its copy, up to the layer; and the copies that are judged."""
    plan, ran = plan_of(network), []
    for number, layer in enumerate(network):
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
    measure_errors(network, plan, ["2"], (X[:8],), (X[8:],), lambda *_: None)
    assert ran.count(0) == 1 + 2 + 4 and ran.count(5) == 1 + 4


@torch.jit.script
def scripted(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.mm(x, weight).relu()


class Scripted(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(8, 16), nn.Parameter(torch.randn(16, 12))

    def forward(self, x):
        return scripted(self.first(x), self.last)


def test_the_last_layer_of_all_in_torchscript():
    """Where the run is left, as no more is wanted of it."""
    torch.manual_seed(0)
    module, x = Scripted().eval(), torch.randn(64, 8)
    plan = pbgen.plan(module, x)
    student = make_student(module, plan.choosing({"first": 2, "last": 2}))
    before = (student(x) - module(x)).square().mean()
    calibrate(student, module, (x,), ["first", "last"])
    assert (student(x) - module(x)).square().mean() < 0.5 * before


def test_values_beyond_all_numbers_are_an_infinite_error(network):
    network[5].register_forward_hook(
        lambda layer, _, made: made if type(layer) is nn.ConvTranspose2d else made * float("nan")
    )
    errors = measure_errors(network, plan_of(network), ["5"], (X[:8],), (X[8:],), lambda *_: None)
    assert set(errors["5"].values()) == {float("inf"), 0.0}


def test_the_bits_are_the_best_that_fit():
    """Against trying all."""
    plan = plan_of(make_network())
    random = np.random.default_rng(0)
    for _ in range(20):
        errors = {}
        for layer in plan.layers:
            first, *falls = random.uniform(0.1, 1, 4)
            errors[layer.name] = dict(zip((1, 2, 3, 4), first * np.cumprod([1, *falls]), strict=True)) | {32: 0.0}
        budget = int(random.integers(270, 3000))
        chosen = choose_bits(plan, errors, budget)
        total = sum(errors[name][bits] for name, bits in chosen.bits.items())
        assert plan_bytes(chosen) <= budget
        choices = np.array(np.meshgrid(*[(1, 2, 3, 4, 32)] * 3)).reshape(3, -1).T.tolist()
        tried = [dict(zip(errors, bits, strict=True)) for bits in choices]
        best = min(
            sum(errors[name][bits] for name, bits in one.items())
            for one in tried
            if plan_bytes(plan.choosing(one)) <= budget
        )
        assert total == pytest.approx(best)


@pytest.mark.parametrize("needed", [0, 270, 400, 1111, 2200, 3000, 3010, 10**6])
def test_the_fewest_bytes_for_an_error(network, needed):
    """A plan reaches what is asked for from so many bytes on: the one found is the first, to a 64th of the way."""
    plan = plan_of(network)
    random = np.random.default_rng(1)
    errors = {
        layer.name: dict(zip((1, 2, 3, 4), 0.5 ** np.arange(4) * random.uniform(0.5, 1), strict=True)) | {32: 0.0}
        for layer in plan.layers
    }
    tried = []

    def reaches(one):
        tried.append(plan_bytes(one))
        return tried[-1] >= needed

    least, most = (plan_bytes(plan.choosing(dict.fromkeys(errors, bits))) for bits in (1, 32))
    found = fewest_bytes(plan, errors, reaches)
    assert len(tried) <= SEARCHED
    if needed > most:
        assert found is None
        return
    assert plan_bytes(found) >= needed
    below = choose_bits(plan, errors, max(least, plan_bytes(found) - (most - least) // 64 - 1))
    assert plan_bytes(below) < needed or plan_bytes(below) == plan_bytes(found) == least


@torch.no_grad()
def hooked(module, name):
    """What a layer of torch's makes."""
    found = []
    hook = module.get_submodule(name).register_forward_hook(lambda _, __, made: found.append(made))
    module(X)
    hook.remove()
    return found[0]


def test_calibration_is_least_squares(network):
    """Each channel of each layer, as it is when its turn comes, has the teacher's mean and the best gain."""
    plan = plan_of(network).choosing({"0": 1, "2": 2, "5": 1})
    student = make_student(network, plan)
    before = Judge(network, [(X,)]).psnr(student).median
    calibrate(student, network, (X,), plan.binary)
    assert Judge(network, [(X,)]).psnr(student).median > before
    for name in plan.binary:
        made, right = (hooked(one, name).movedim(1, 0).flatten(1) for one in (student, network))
        error = right - made
        torch.testing.assert_close(error.mean(1), torch.zeros(len(error)), atol=1e-4, rtol=0)  # but for the ridge
        torch.testing.assert_close(
            (error * made).mean(1), torch.zeros(len(error)), atol=1e-4, rtol=0
        )  # but for the ridge


class Functions(nn.Module):
    """The small network in code of its own, its weights scaled as it runs, as those of StyleGAN are."""

    def __init__(self, network):
        super().__init__()
        self.norm = network[3]
        self.w0, self.w2, self.w5 = (nn.Parameter(network[i].weight / 4) for i in (0, 2, 5))
        self.b0, self.b2, self.b5 = (nn.Parameter(network[i].bias.clone()) for i in (0, 2, 5))

    def forward(self, x):
        x = F.relu(F.conv2d(x, self.w0 * 4, self.b0, padding=1))
        x = F.relu(self.norm(F.conv2d(x, self.w2 * 4, self.b2, padding=1)))
        return torch.sigmoid(F.conv_transpose2d(x, self.w5 * 4, self.b5, 2, 1))


@pytest.mark.parametrize("bits", [1, 2])
def test_calibration_of_functions_is_that_of_layers(bits, network):
    network[2].bias = nn.Parameter(torch.zeros(12))
    functions = Functions(network)
    made = []
    for teacher, names in ((network, ("0", "2", "5")), (functions, ("w0", "w2", "w5"))):
        plan = plan_of(teacher).choosing(dict.fromkeys(names, bits))
        student = make_student(teacher, plan)
        calibrate(student, teacher, (X,), plan.binary)
        made.append(student(X))
    torch.testing.assert_close(made[1], made[0], atol=1e-4, rtol=0)  # but for the ridge


def test_calibration_of_attention():
    """Its layers are in code of torch's own, the projections of its inputs in one matrix."""
    torch.manual_seed(0)
    attention = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval()
    x = torch.randn(4, 6, 8)
    plan = pbgen.plan(attention, x)
    plan = plan.choosing(dict.fromkeys((layer.name for layer in plan.layers), 1))
    assert plan.binary == ["self_attn.in_proj_weight", "self_attn.out_proj", "linear1", "linear2"]
    student = make_student(attention, plan)
    before = {name: value.clone() for name, value in student.named_parameters() if name.endswith(("learned", "bias"))}
    calibrate(student, attention, (x,), plan.binary)
    same = {name for name, value in student.named_parameters() if name in before and torch.equal(value, before[name])}
    assert same == {"norm1.bias", "norm2.bias", "self_attn.in_proj_bias"}  # which torch adds after the product


def test_what_stays_in_float_is_halved_where_it_fits(network):
    student = make_student(network, plan_of(network).choosing({"2": 2}))
    with torch.no_grad():
        student[5].weight[0, 0] *= 1e-9  # next to nothing
        student[2].bias.mul_(1e-6)  # float16 has few digits for such, which is nothing beside the scale
        student[0].bias[0] = 1e5  # it has none for this
        student[1] = nn.PReLU()  # all that there is of a layer, and few digits for it
        student[1].weight.fill_(1.234e-7)
    kept = [student[1].weight.clone(), student[0].bias.clone(), student[2].parametrizations.weight.original.clone()]
    halve(student)
    learned = student[2].parametrizations.weight[0].learned
    for value in (student[0].weight, student[5].weight, student[5].bias, student[2].bias, learned):
        assert torch.equal(value, value.half().float())
    for value, before in zip(
        (student[1].weight, student[0].bias, student[2].parametrizations.weight.original), kept, strict=True
    ):
        assert torch.equal(value, before)


def test_examples_count_alike():
    made, right = torch.randn(3, 2, 4), torch.randn(3, 2, 4)
    expected = np.log(((made - right) ** 2).double().numpy().reshape(3, 8).mean(1) / 2).mean()
    assert float(log_error(made, right, 2.0)) == pytest.approx(expected, rel=1e-5)
    assert float(log_error(right, right, 2.0)) == pytest.approx(np.log(1e-9))


def test_psnr_by_hand():
    torch.manual_seed(0)
    teacher, student = nn.Linear(4, 3), nn.Linear(4, 3)
    nn.init.uniform_(teacher.weight, -100, 100)
    batches = [(torch.randn(1, 4),) for _ in range(5)]
    values = torch.cat([teacher(x) for (x,) in batches])
    peak = (values.max() - values.min()).item()  # of no convention: they reach beyond
    found = Judge(teacher, batches).psnr(student)
    errors = [(teacher(x) - student(x)).square().mean() for (x,) in batches]
    by_hand = sorted((10 * torch.log10(peak**2 / error)).item() for error in errors)
    assert found.median == pytest.approx(by_hand[2], abs=1e-3)
    assert found.worst == pytest.approx(by_hand[0], abs=1e-3)


@pytest.mark.parametrize(("low", "high", "peak"), [(0, 1, 1), (-1, 1, 2), (0, 255, 255), (-5, 5, 10), (-0.07, 1.08, 1)])
def test_the_peak_follows_conventions(low, high, peak):
    values = torch.linspace(low, high, 1000).reshape(1, 1000)

    class Constant(nn.Module):
        def forward(self, x):
            return values + 0 * x

    least, most = Judge(Constant(), [(torch.zeros(1, 1),)]).ranges[0]
    assert most - least == pytest.approx(peak)


def test_noise_follows_from_its_number():
    one, other = Noise([(4,), (2, 3)], 0), Noise([(4,), (2, 3)], 0)
    batch = one.train(3, 5)
    assert [tuple(value.shape) for value in batch] == [(5, 4), (5, 2, 3)]
    assert all(torch.equal(a, b) for a, b in zip(batch, other.train(3, 5), strict=True))
    assert not torch.equal(batch[0], one.train(4, 5)[0])
    assert not torch.equal(one.chosen_by[0][0], one.judged_by[0][0])


def test_examples_are_used_or_held_out():
    batches = [torch.arange(20.0).reshape(20, 1), torch.full((4, 2), 100.0)]  # of two shapes
    examples = Examples(batches, seed=0)
    held = {float(x[0, 0]) for (x,) in [*examples.chosen_by, *examples.judged_by]}
    seen = {float(value) for step in range(200) for value in examples.train(step, 8)[0][:, 0]}
    assert len(examples.chosen_by) == len(examples.judged_by) == 3
    assert not (seen - {100.0}) & (held - {100.0}) and seen | held == {*map(float, range(20)), 100.0}


def test_crops():
    wholes = [np.full((3, 20, 30), value, np.uint8) for value in (0, 51, 255, 102)]
    wholes[0] = np.arange(3 * 5 * 6, dtype=np.uint8).reshape(3, 5, 6)  # smaller than a part
    crops = Crops(wholes, (8, 10), Scale(-1, 1, 255.0), seed=0)
    (batch,) = crops.train(0, 4)
    assert batch.shape == (4, 3, 8, 10) and batch.min() >= -1 and batch.max() <= 1
    assert torch.equal(batch, crops.train(0, 4)[0]) and crops.judged_by[0][0].shape == (1, 3, 8, 10)


def test_spectral_distances():
    time = torch.arange(4096) / 22050
    tone, other = (torch.sin(2 * torch.pi * f * time)[None, None] for f in (440.0, 880.0))
    assert is_sound(tone) and not is_sound(torch.zeros(1, 3, 64, 64)) and not is_sound(torch.zeros(1, 8))
    assert spectral_distance(tone, tone) < 1e-6 and log_mel_distance(tone, tone) == 0
    assert spectral_distance(tone, other) > spectral_distance(tone, 0.9 * tone) > 0
    assert log_mel_distance(0.5 * tone, tone) == pytest.approx(20 * np.log10(2), abs=0.5)  # all bands alike
