"""The plan of torch modules: dimensions against layers of ones, and who reads whom in modules of many kinds."""

import copy
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.library import custom_op

import pbgen
from pbgen import models
from pbgen.errors import PBGenError


def readers(module, *inputs):
    """Layer -> the layers that read it, and "image" where the image does."""
    layers = pbgen.plan(module, inputs).layers
    return {layer.name: {*layer.readers, *(["image"] if layer.read_by_image else [])} for layer in layers}


# --- F, against layers whose weights and inputs are all ones: each output value is then its number of terms ----------


def terms(layer, shape):
    """The mean number of terms in an output value, counted by torch."""
    layer = copy.deepcopy(layer).double()
    with torch.no_grad():
        layer.weight.fill_(1)
        if layer.bias is not None:
            layer.bias.zero_()
        return layer(torch.ones(1, *shape, dtype=torch.float64)).mean().item()


def fan_in(layer, shape):
    (row,) = pbgen.plan(layer, torch.zeros(1, *shape)).layers
    return row.fan_in


TABLE = [
    (nn.Linear(7, 3), (7,)),
    (nn.Linear(7, 3), (5, 2, 7)),
    (nn.Conv1d(4, 6, 5, padding=2, groups=2), (4, 9)),
    (nn.Conv2d(4, 6, (3, 5), stride=(2, 3), padding=(1, 4), dilation=(2, 1)), (4, 11, 6)),
    (nn.Conv2d(4, 6, 4, padding="same"), (4, 7, 5)),
    (nn.Conv2d(4, 6, (3, 2), padding="same", dilation=(2, 3)), (4, 7, 5)),
    (nn.Conv2d(4, 6, 3, padding="valid"), (4, 7, 5)),
    (nn.Conv2d(4, 6, 3, padding=2, padding_mode="reflect"), (4, 7, 5)),
    (nn.Conv2d(4, 6, 3, padding=2, padding_mode="circular", stride=2), (4, 7, 5)),
    (nn.Conv1d(4, 6, 3, padding="same", padding_mode="replicate"), (4, 7)),
    (nn.Conv2d(1, 1, 3, padding=9), (1, 2, 2)),
    (nn.ConvTranspose1d(6, 4, 5, stride=3, padding=1, output_padding=2, groups=2), (6, 5)),
    (nn.ConvTranspose2d(6, 9, (2, 5), stride=(4, 1), padding=(0, 3), dilation=(3, 2), groups=3), (6, 3, 8)),
    (nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1), (3, 1, 1)),
    (nn.ConvTranspose2d(3, 2, 2, stride=3, output_padding=2), (3, 2, 3)),  # pixels that nothing reaches
]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("layer", "shape"), TABLE, ids=lambda value: str(value))
def test_fan_in(layer, shape):
    assert fan_in(layer, shape) == pytest.approx(terms(layer, shape), rel=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_fan_in_of_random_layers(data):
    draw = data.draw
    dimensions = draw(st.sampled_from([1, 2]))
    pair = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(dimensions))  # noqa: E731  # reads better
    groups, stride, dilation, kernel = draw(st.integers(1, 3)), pair(1, 4), pair(1, 3), pair(1, 5)
    padding, size = pair(0, 4), pair(1, 7)
    output_padding = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    c_in, c_out = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if draw(st.booleans()):
        kind = nn.ConvTranspose1d if dimensions == 1 else nn.ConvTranspose2d
        layer = kind(c_in, c_out, kernel, output_padding=output_padding, **geometry)
    else:
        layer = (nn.Conv1d if dimensions == 1 else nn.Conv2d)(c_in, c_out, kernel, **geometry)
    try:
        expected = terms(layer, (c_in, *size))
    except RuntimeError:  # no output is left
        with pytest.raises(PBGenError):
            fan_in(layer, (c_in, *size))
    else:
        assert fan_in(layer, (c_in, *size)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_shapes_and_counts_are_those_of_one_image(batch):
    (row,) = pbgen.plan(nn.ConvTranspose2d(6, 4, 3, groups=2), torch.zeros(batch, 6, 5, 3)).layers
    assert (row.name, row.kind) == ("", "ConvTranspose2d")
    assert (row.input_shape, row.output_shape) == ((6, 5, 3), (4, 7, 5))
    assert (row.weights, row.multiply_adds) == (6 * 2 * 9, 5 * 3 * 9 * 3 * 4)
    assert pbgen.plan(nn.ConvTranspose2d(6, 4, 3, groups=2), torch.zeros(6, 5, 3)).layers[0] == row


# --- the built-in generators -----------------------------------------------------------------------------------------


def test_dcgan64():
    plan = pbgen.plan(models.create("dcgan64")[0], torch.randn(1, 100))
    assert [(row.multiply_adds, row.fan_in) for row in plan.layers] == [
        (1_638_400, 100),
        (151_519_232, 4_624),
        (179_437_568, 2_738),
        (194_281_472, 1_482.25),
        (9_465_216, 770.28125),
    ]
    assert [round(row.degree_of_redundancy, 2) for row in plan.layers] == [
        462400,
        12660512,
        4058400.5,
        1141749.38,
        770.28,
    ]
    assert plan.float == ["deconv64"]


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("kernel_size", [4, 5])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_last_layer_of_a_dcgan_stays_float(name, kernel_size, channels):
    generator, _ = models.create(name, kernel_size=kernel_size, channels=channels)
    plan = pbgen.plan(generator, torch.randn(2, 100))
    assert plan.float == [f"deconv{generator.output_shape[-1]}"]
    assert [row.readers for row in plan.layers] == [(row.name,) for row in plan.layers[1:]] + [()]


def test_all_of_the_discriminator_can_be_binary():
    """The paper's claim, and the metric's answer."""
    for kernel_size in (4, 5):
        _, discriminator = models.create("dcgan64", kernel_size=kernel_size)
        assert pbgen.plan(discriminator, torch.randn(1, 3, 64, 64)).float == []


def test_a_binary_module_has_the_same_plan():
    generator, _ = models.create("dcgan32", width=32)
    plan = pbgen.plan(generator, torch.randn(1, 100))
    for method in ("bwn", "irnet", "learned-scale"):
        binary = pbgen.binarize(copy.deepcopy(generator), "all", method)
        assert pbgen.plan(binary, torch.randn(1, 100)) == plan
        assert binary.deconv8.weight.unique().numel() <= 64  # still binary


# --- who reads whom --------------------------------------------------------------------------------------------------


class Reused(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.again, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        x = self.first(x)
        for _ in range(3):
            x = torch.relu_(self.again(x))
        return self.last(x)


def test_a_layer_called_several_times():
    assert readers(Reused(), torch.zeros(1, 4)) == {"first": {"again"}, "again": {"again", "last"}, "last": {"image"}}


def test_a_layer_called_at_several_sizes():
    conv = nn.Conv1d(2, 2, 3, padding=1)

    class Sizes(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = conv

        def forward(self, x):
            return self.conv(F.interpolate(self.conv(x), scale_factor=4))

    (row,) = pbgen.plan(Sizes(), torch.zeros(1, 2, 5)).layers
    counts = [terms(conv, (2, n)) * 2 * n for n in (5, 20)]
    assert row.multiply_adds == sum(counts)
    assert row.fan_in == pytest.approx(sum(counts) / (2 * 25))
    assert (row.input_shape, row.readers) == ((2, 5), ("conv",))


class Residual(nn.Module):
    """A residual block between two layers, with a skip to the image at the end."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.block = nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.fuse = nn.Conv2d(8, 8, 1)
        self.rgb = nn.Conv2d(8, 8, 5, padding=2)

    def forward(self, x):
        h = self.stem(x)
        h = h + self.block(h)
        shortcut = self.fuse(h)
        return torch.tanh(self.rgb(shortcut) + shortcut)


def test_residual_connections():
    assert readers(Residual(), torch.zeros(1, 3, 6, 5)) == {
        "stem": {"block.1", "fuse"},
        "block.1": {"fuse"},
        "fuse": {"rgb", "image"},
        "rgb": {"image"},
    }


class Branches(nn.Module):
    """Views, concatenation, a split, and branches whose results go separate ways."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(6, 6) for _ in range(3))
        self.d, self.e = nn.Linear(12, 6), nn.Linear(3, 6)

    def forward(self, x):
        a, b = self.a(x), self.b(x.flip(1))
        d = self.d(torch.cat([a, b.sigmoid()], dim=1))
        left, right = d.view(-1, 2, 3).unbind(1)
        return {"images": [self.c(a), self.e(left) * right.sum()]}


def test_branches_and_views():
    assert readers(Branches(), torch.zeros(2, 6)) == {
        "a": {"c", "d"},
        "b": {"d"},
        "c": {"image"},
        "d": {"e", "image"},
        "e": {"image"},
    }


class Written(nn.Module):
    """Results written into views of a larger tensor, which is made in the likeness of another layer's output."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 5, 3, padding=1)
        self.bystander, self.last = nn.Conv2d(2, 8, 1), nn.Conv2d(8, 3, 1)

    def forward(self, x):
        likeness = self.bystander(x)
        out = torch.empty_like(likeness)
        out[:, :3] = self.a(x)
        out.narrow(1, 3, 5).add_(self.b(x)).mul_(2)
        torch.tanh(out, out=out)
        return self.last(out), likeness.new_zeros(2)


def test_in_place_writes_into_views():
    assert readers(Written(), torch.zeros(1, 2, 4, 4)) == {
        "bystander": set(),
        "a": {"last"},
        "b": {"last"},
        "last": {"image"},
    }


@custom_op("pbgen_tests::add_into", mutates_args=["target"])
def add_into(target: torch.Tensor, value: torch.Tensor) -> None:
    target += value


def test_an_operator_that_writes_and_returns_nothing():
    class Adding(Written):
        def forward(self, x):
            out = x.new_zeros(8, 4, 4)
            add_into(out[:3], self.a(x)[0])
            return self.last(out)

    assert readers(Adding(), torch.zeros(1, 2, 4, 4)) == {"a": {"last"}, "last": {"image"}}


class Noise(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.b(torch.randn_like(self.a(x)))


def test_what_only_has_the_shape_of_a_layers_output_does_not_read_it():
    assert readers(Noise(), torch.zeros(1, 4)) == {"a": set(), "b": {"image"}}


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.mix = nn.Linear(3, 4), nn.Bilinear(4, 4, 5)
        self.last = nn.Linear(5, 2)

    def forward(self, z, label):
        return self.last(input=self.mix(z, self.embed(label)))


def test_several_inputs_and_untracked_layers_between():
    assert readers(TwoInputs(), torch.zeros(1, 4), torch.zeros(1, 3)) == {"embed": {"last"}, "last": {"image"}}


def test_one_layer_object_under_two_names():
    layer = nn.Linear(4, 4)
    assert readers(nn.Sequential(layer, nn.ReLU(), layer), torch.zeros(1, 4)) == {"0": {"0", "image"}}


def test_layers_that_are_not_called_are_not_planned():
    class Unused(nn.Sequential):
        def forward(self, x):
            return self[0](x)

    assert pbgen.plan(Unused(nn.Linear(4, 4), nn.Linear(4, 4)), torch.zeros(1, 4)).layers[0].name == "0"


def test_the_order_is_that_of_the_calls():
    class Backwards(nn.Sequential):
        def forward(self, x):
            return self[0](self[1](x))

    plan = pbgen.plan(Backwards(nn.Linear(5, 6), nn.Linear(4, 5)), torch.zeros(1, 4))
    assert [row.name for row in plan.layers] == ["1", "0"]


class Looking(nn.Module):
    """Its path depends on numbers: on zeros it would go another way, and never arrive."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(1, 1, 1), nn.Conv1d(1, 1, 1)
        nn.init.ones_(self.a.weight)
        nn.init.ones_(self.a.bias)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        while (x := self.a(x)).max() < 4:
            pass
        return self.b(x) if x.sum().item() > 3 else x[x > 0]


def test_a_forward_method_that_looks_at_its_data():
    module = Looking()
    assert readers(module, torch.ones(1, 1, 2))["a"] == {"a", "b"}
    assert module.calls == 0


# --- the module is left as it was ------------------------------------------------------------------------------------


class Delicate(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.utils.spectral_norm(nn.Linear(4, 4))  # keeps its weight as a plain attribute, with a gradient
        self.norm, self.drop = nn.BatchNorm1d(4), nn.Dropout(0.5)
        self.b = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
        self.calls = []
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.calls.append(1)
        self.count += 1
        x.add_(1)
        return self.b(self.drop(self.norm(self.a(x))) + torch.randn(4))


def snapshot(module):
    return (
        {name: value.clone() for name, value in module.state_dict().items()},
        [part.training for part in module.modules()],
        [(len(part._forward_hooks), len(part._forward_pre_hooks)) for part in module.modules()],
        [parameter.grad for parameter in module.parameters()],
        torch.get_rng_state(),
    )


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_behind(fails):
    module = Delicate()
    module.drop.eval()
    module(torch.randn(3, 4)).sum().backward()
    state, *others = snapshot(module)
    z = torch.zeros(1, 3 if fails else 4)  # one image alone: batch norm refuses it in training mode
    if fails:
        with pytest.raises(PBGenError):
            pbgen.plan(module, z)
    else:
        assert [row.name for row in pbgen.plan(module, z).layers] == ["a", "b"]
    after, *others_after = snapshot(module)
    assert all(torch.equal(after[name], value) for name, value in state.items())
    torch.testing.assert_close(others_after, others, rtol=0, atol=0)
    assert module.calls == [1] and not z.any()


def test_convolutions_are_not_computed():
    class Witness(nn.Conv2d):
        def forward(self, x):
            y = super().forward(x)
            seen.append(y)
            return y

    seen = []
    row = pbgen.plan(Witness(3, 4, 3, bias=True), torch.ones(2, 3, 5, 6)).layers[0]
    assert seen[0].shape == (2, 4, 3, 4) and not seen[0].any()
    assert (row.kind, row.fan_in) == ("Conv2d", 27)


def test_torch_compiler_is_not_imported():
    """It alone would take most of the second in which a large generator's plan has to be made."""
    code = "import sys, torch, pbgen; g, _ = pbgen.models.create('dcgan32'); before = set(sys.modules); "
    code += "pbgen.plan(g, torch.zeros(1, 100)); new = set(sys.modules) - before; assert len(new) < 50, new"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "example", "message"),
    [
        (nn.ReLU(), torch.zeros(1), "ReLU: nothing to plan: the example input passes none of ConvTranspose1d, "),
        (
            nn.Linear(4, 4),
            torch.zeros(1, 3),
            "Linear: cannot run on the example input (1, 3): mat1 and mat2 shapes cannot be multiplied (1x3 and 4x4)",
        ),
        (nn.Conv2d(4, 4, 3), torch.zeros(1, 3, 8, 8), "Conv2d: cannot run on the example input (1, 3, 8, 8): Given "),
        (nn.ConvTranspose2d(4, 4, 3), torch.zeros(1, 3, 8, 8), "ConvTranspose2d: cannot run on the example input"),
        (nn.Conv1d(4, 4, 3), torch.zeros(1, 4, 2), "Conv1d: cannot run on the example input (1, 4, 2): Calculated "),
        (nn.Linear(4, 4), (torch.zeros(1, 4),) * 2, "Linear: cannot run on the example input (1, 4), (1, 4): "),
        (nn.ConvTranspose1d(1, 1, 2, padding=1), torch.zeros(1, 1, 1), "layer '': its output is empty; give a larger"),
        (nn.Linear(4, 4), [1, 2], "example input: list is no tensor; give a tensor or a tuple of them"),
        (nn.Linear(4, 4), (1, 4), "example input: tuple is no tensor"),
    ],
)
def test_refusals(module, example, message):
    with pytest.raises(PBGenError) as caught:
        pbgen.plan(module, example)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_a_threshold_that_is_none():
    with pytest.raises(PBGenError, match="threshold 0: must be a positive number"):
        pbgen.plan(nn.Linear(4, 4), torch.zeros(1, 4), threshold=0)
