"""The plan of torch modules: dimensions against layers of ones, and who reads whom in modules of many kinds."""

import copy
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import library, nn

import pbgen
from pbgen import models
from pbgen.binarize import latent_weights
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


@library.custom_op("pbgen_tests::add_into", mutates_args=["target"])
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


# --- layers that no module of torch's calls -----------------------------------------------------------------------


class Equal(nn.Module):
    """A layer of the user's own: its weight is scaled as it is used."""

    def __init__(self, function, *shape):
        super().__init__()
        self.function, self.weight, self.bias = function, nn.Parameter(torch.randn(shape)), nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return self.function(x, self.weight * 0.3)


def transposed_product(x, weight):
    return (weight @ x.flatten(1).t()).t()


FUNCTIONS = {
    "conv2d": (lambda x, w: F.conv2d(x, w, padding=1, groups=2), (6, 2, 3, 3), "Conv2d", (1, 1, 6), 4 * 25),
    "conv1d": (lambda x, w: F.conv1d(x.flatten(2), w), (5, 4, 3), "Conv1d", (1, 1, 5), 12 * 9),
    "conv_transpose2d": (
        lambda x, w: F.conv_transpose2d(x, w, groups=2), (4, 3, 2, 2), "ConvTranspose2d", (2, 2), 4 * 2 * 3 * 9),
    "linear": (lambda x, w: F.linear(x.flatten(1), w), (7, 36), "Linear", (1, 1, 7), 36),
    "x @ w": (lambda x, w: x.flatten(1) @ w, (36, 36), "Linear", (1, 36), 36),
    "w @ x": (transposed_product, (36, 36), "Linear", (1, 1, 36), 36),
    "on positions": (lambda x, w: x @ w.t(), (3, 3), "Linear", (1, 1, 3), 3),
    "einsum": (lambda x, w: torch.einsum("nchw,cd->ndhw", x, w), (4, 4), "Linear", (1, 4), 4),
    "leading one": (lambda x, w: F.conv2d(x, w[0]), (1, 5, 4, 3, 3), "Conv2d", (1, 1), 36),
}  # fmt: skip


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functional_layers(name, batch):
    function, shape, kind, leading_shape, _ = FUNCTIONS[name]
    module = nn.Sequential(nn.ReLU(), Equal(function, *shape))
    plan = pbgen.plan(module, torch.zeros(batch, 4, 3, 3), threshold=1)
    (row,) = plan.layers
    assert (row.name, row.kind, row.leading_shape) == ("1.weight", kind, leading_shape)
    assert row.weights == module[1].weight.numel() and plan.unplanned == ()
    with torch.no_grad():
        module[1].weight.fill_(1 / 0.3)
        terms = module(torch.ones(1, 4, 3, 3)).mean().item()
    assert row.fan_in == pytest.approx(terms)
    binary = pbgen.binarize(module, plan)[1].weight.detach()
    channels = binary.reshape(*leading_shape, *shape[1:]).abs().transpose(1, 2).flatten(0, 1).flatten(1)
    assert (channels == channels[:, :1]).all()  # one scale an output channel


def test_functional_layers_need_a_plan():
    module = Equal(F.linear, 3, 4)
    with pytest.raises(PBGenError, match=r"^layer 'weight': a parameter, of which only a plan knows .*choosing"):
        pbgen.binarize(module, ["weight"])
    plan = pbgen.plan(module, torch.zeros(1, 4)).choosing(["weight"])
    before = module.weight
    pbgen.binarize(module, plan)
    assert latent_weights(module) == {"weight": before}
    assert pbgen.plan(module, torch.zeros(1, 4)).layers == pbgen.plan(Equal(F.linear, 3, 4), torch.zeros(1, 4)).layers
    with pytest.raises(PBGenError, match=r"^layer '': a Equal cannot be binary; .*for its parameter 'weight' give a"):
        pbgen.binarize(Equal(F.linear, 3, 4), [""])


class OwnSpectral(nn.Module):
    """As SAGAN's authors have it: the weight is computed by who calls the layer, by `forward` itself."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        weight = layer.weight
        del layer.weight
        layer.weight_bar = weight
        layer.u = nn.Parameter(torch.randn(len(weight)), requires_grad=False)

    def forward(self, x):
        weight = self.layer.weight_bar
        matrix = weight.view(len(weight), -1)
        v = F.normalize(torch.mv(matrix.t(), self.layer.u), dim=0)
        self.layer.weight = weight / self.layer.u.dot(matrix.mv(v))
        return self.layer.forward(x)


def test_a_weight_that_the_caller_computes():
    module = nn.Sequential(OwnSpectral(nn.Conv2d(2, 4, 3)), OwnSpectral(nn.Conv2d(4, 3, 3)))
    plan = pbgen.plan(module, torch.zeros(1, 2, 6, 6), threshold=500)
    assert [(row.name, row.kind, row.readers) for row in plan.layers] == [
        ("0.layer.weight_bar", "Conv2d", ("1.layer.weight_bar",)),
        ("1.layer.weight_bar", "Conv2d", ()),
    ]
    with pytest.raises(
        PBGenError, match=r"^layer '0.layer': its weight is .* own, Conv2d or who calls it; give a plan"
    ):
        pbgen.binarize(module, "all")
    pbgen.binarize(module, plan)
    module(torch.zeros(1, 2, 6, 6))
    sizes = module[0].layer.weight.detach().flatten(1).abs()
    torch.testing.assert_close(sizes, sizes[:, :1].expand_as(sizes))


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm, nn.utils.parametrizations.weight_norm])
def test_forward_itself_is_called(norm):
    class Direct(nn.Sequential):
        def forward(self, x):
            return self[1].forward(self[0].forward(x))

    made = Direct(norm(nn.Conv2d(2, 4, 3)), norm(nn.Conv2d(4, 3, 3)))
    assert pbgen.plan(made, torch.zeros(1, 2, 6, 6)) == pbgen.plan(
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.Conv2d(4, 3, 3)), torch.zeros(1, 2, 6, 6)
    )


class Mixed(nn.Module):
    """What cannot be planned, beside what can."""

    def __init__(self):
        super().__init__()
        self.words, self.first, self.lstm = nn.Embedding(10, 8), nn.Linear(8, 8), nn.LSTM(8, 8)
        self.cell, self.unused = nn.GRUCell(8, 8), nn.Linear(8, 2)
        self.style, self.modulated = nn.Linear(8, 8), nn.Parameter(torch.randn(4, 8))
        self.norm, self.slope = nn.LayerNorm(8), nn.PReLU(4)

    def forward(self, words):
        x, _ = self.lstm(self.norm(self.first(self.words(words))))
        x = self.cell(x[:, -1])
        return self.slope(torch.einsum("ni,noi->no", x, self.modulated * self.style(x)[:, None]))


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
def test_what_is_not_planned_is_named(cell):
    module = Mixed()
    module.lstm = cell(8, 8)
    plan = pbgen.plan(module, torch.zeros(1, 5, dtype=torch.long))
    assert [row.name for row in plan.layers] == ["first", "style"]
    gates = 4 if cell is nn.LSTM else 3
    made = "its weight is made anew for each input"
    assert {(other.name, other.kind, other.weights, other.reason) for other in plan.unplanned} == {
        ("lstm", cell.__name__, 2 * gates * 64, ""),
        ("cell", "GRUCell", 2 * 3 * 64, ""),
        ("words", "Embedding", 80, ""),
        ("modulated", "Mixed", 32, made),
        ("unused", "Linear", 16, "not passed by the example"),
    }
    assert [row.readers for row in plan.layers] == [("style",), ()]
    total = sum(row.weights for row in (*plan.layers, *plan.unplanned))
    last = str(plan).splitlines()[-1]
    assert (
        f"of {total:,} weights; not planned: lstm ({cell.__name__}) {100 * 2 * gates * 64 / total:.0f}%, cell " in last
    )
    assert f"modulated (Mixed, {made}) 3%, 1 more {100 * 16 / total:.0f}%" in last


class Tables(nn.Module):
    """Two learned tables, of which an index chooses: one for an attention's matrix, one for what is added."""

    def __init__(self):
        super().__init__()
        self.layer, self.bias, self.place = nn.Linear(8, 24), nn.Parameter(torch.randn(7, 2)), nn.Embedding(9, 8)
        self.start = nn.Parameter(torch.randn(9, 8))
        self.register_buffer("index", torch.arange(4)[:, None] - torch.arange(4) + 3)

    def forward(self, x):
        x = (x + self.place(self.index[0]) + self.start[self.index[0]])[:, self.index[0]]
        q, k, v = self.layer(x).view(-1, 4, 3, 2, 4).permute(2, 0, 3, 1, 4)
        bias = self.bias[self.index.view(-1)].view(4, 4, 2).permute(2, 0, 1)
        return (q @ k.transpose(-1, -2) + bias).softmax(-1) @ v


def test_what_is_read_by_an_index_is_named_so():
    plan = pbgen.plan(Tables(), torch.zeros(1, 4, 8))
    assert [row.name for row in plan.layers] == ["layer"]
    assert {(other.name, other.kind, other.reason) for other in plan.unplanned} == {
        ("bias", "Tables", "read by an index"),
        ("place", "Embedding", ""),
        ("start", "Tables", "read by an index"),
    }


def test_a_module_without_a_layer_names_its_weights():
    with pytest.raises(PBGenError, match=r"^LSTM: nothing to plan: .* none of ConvTranspose1d, .*; it has LSTM; give"):
        pbgen.plan(nn.LSTM(3, 4), torch.zeros(1, 5, 3))


class Constant(nn.Module):
    """Something learned goes in, and chance."""

    def __init__(self):
        super().__init__()
        self.start, self.first, self.embed = nn.Parameter(torch.randn(1, 4)), nn.Linear(4, 4), nn.Linear(4, 4)
        self.noise, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, z):
        places = self.embed(torch.arange(4.0))
        return self.last(self.first(self.start) + self.noise(torch.randn(1, 4)) + places + z)


def test_layers_that_no_input_goes_through():
    assert readers(Constant(), torch.zeros(1, 4)) == {
        "embed": {"last"},
        "first": {"last"},
        "noise": {"last"},
        "last": {"image"},
    }


class Merged(nn.Module):
    """Three layers and one beside them, made one before they are run, as SPAN has it."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3), nn.Conv2d(6, 4, 1))
        self.beside, self.last = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 3)

    def forward(self, x):
        first, second, third = (layer.weight.detach() for layer in self.layers)
        for other in (second, third):
            first = F.conv2d(first.permute(1, 0, 2, 3), other, padding=other.shape[2] - 1).permute(1, 0, 2, 3)
        return self.last(F.conv2d(x, first + F.pad(self.beside.weight, (1, 1, 1, 1))))


def test_layers_that_make_a_weight():
    plan = pbgen.plan(Merged(), torch.zeros(1, 3, 8, 8))
    assert [row.name for row in plan.layers] == ["last"]
    assert {other.name: other.reason for other in plan.unplanned} == {
        "beside": "its weight is made of several layers'",
        "layers.0": "it goes into another layer's weight",
        "layers.1": "it goes into another layer's weight",
        "layers.2": "it goes into another layer's weight",
    }


@torch.jit.script
def gate(a, b, channels):
    """As a WaveNet has it; how many channels go through tanh is a tensor."""
    first = channels[0]
    both = a + b
    return torch.tanh(both[:, :first, :]) * torch.sigmoid(both[:, first:, :])


def test_a_scripted_function_that_reads_a_number_from_a_tensor():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.out = nn.Conv1d(3, 8, 1), nn.Conv1d(3, 8, 3, padding=1), nn.Conv1d(4, 3, 1)

        def forward(self, x):
            return self.out(gate(self.a(x), self.b(x), torch.IntTensor([4])))

    assert readers(Gated(), torch.zeros(1, 3, 9)) == {"a": {"out"}, "b": {"out"}, "out": {"image"}}


def test_parameters_in_one_storage():
    module = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    flat = torch.randn(32)
    for i, layer in enumerate(module):
        layer.weight.data = flat[16 * i : 16 * (i + 1)].view(4, 4)
    assert readers(module, torch.zeros(1, 4)) == {"0": {"1"}, "1": {"image"}}


# --- who averages: docs/theory.md ------------------------------------------------------------------------------------


class Block(nn.Module):
    """A feature map, and what becomes of it with a second layer's output, before a last layer."""

    def __init__(self, mix, second=None):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), second or nn.Linear(5, 8)
        self.last, self.mix = nn.Conv2d(8, 3, 3), mix

    def forward(self, x, z):
        return self.last(self.mix(self.first(x), self.second(z)))


def averaged(module, *inputs):
    plan = pbgen.plan(module, inputs, threshold=300)
    for row in plan.layers:
        if not row.averaged:
            assert row.degree_of_redundancy == row.fan_in
    return {row.name: row.averaged for row in plan.layers}


GAINS = {
    "gain": lambda x, s: x * s[:, :, None, None],
    "gain, normed": lambda x, s: F.instance_norm(x) * (1 + s.view(-1, 8, 1, 1)),
    "bias": lambda x, s: x + s[:, :, None, None],
    "expanded": lambda x, s: x * s[:, :, None, None].expand_as(x),
    "in place": lambda x, s: x.mul_(s[:, :, None, None].sigmoid()),
    "quotient": lambda x, s: x / s[:, :, None, None],
}


@pytest.mark.parametrize("name", GAINS)
@pytest.mark.parametrize("batch", [1, 2])
def test_gains_and_biases_of_a_channel_are_not_averaged(name, batch):
    module = Block(GAINS[name])
    assert averaged(module, torch.zeros(batch, 3, 6, 6), torch.zeros(batch, 5)) == {
        "first": True,
        "second": False,
        "last": True,
    }


PLAIN = {
    "a gate of each number": lambda x, y: x * y.sigmoid(),
    "a sum": lambda x, y: x + y,
    "pixel norm": lambda x, y: y * (y.square().mean(1, keepdim=True) + 1e-8).rsqrt() + x,
    "instance norm by hand": lambda x, y: (y - y.mean((2, 3), keepdim=True)) / y.std((2, 3), keepdim=True) + x,
    "a spatial norm's own gain": lambda x, y: F.instance_norm(x) * (1 + y),
}


@pytest.mark.parametrize("name", PLAIN)
def test_products_number_by_number_are_averaged(name):
    module = Block(PLAIN[name], nn.Conv2d(5, 8, 3, padding=1))
    assert all(averaged(module, torch.zeros(2, 3, 6, 6), torch.zeros(2, 5, 6, 6)).values())


class Attention(nn.Module):
    def __init__(self, fused):
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.fused = fused

    def forward(self, x):
        q, k, v = self.query(x), self.key(x), self.value(x)
        if self.fused:
            return self.out(F.scaled_dot_product_attention(q, k, v))
        return self.out((q @ k.transpose(1, 2)).softmax(-1) @ v)


@pytest.mark.parametrize("fused", [True, False])
def test_query_and_key_are_not_averaged(fused):
    assert averaged(Attention(fused), torch.zeros(2, 5, 8)) == {
        "query": False,
        "key": False,
        "value": True,
        "out": True,
    }


def test_torchs_attention_makes_query_key_and_value_at_once():
    module = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    assert averaged(module, torch.zeros(2, 5, 8)) == {
        "self_attn.in_proj_weight": False,
        "self_attn.out_proj": True,
        "linear1": True,
        "linear2": True,
    }


def test_query_is_a_part_of_a_weight():
    module = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)
    rows = pbgen.plan(module, (torch.zeros(2, 5, 8), torch.zeros(2, 3, 8))).layers
    row = next(row for row in rows if row.name == "multihead_attn.in_proj_weight")
    assert (row.weights, row.leading_shape, row.fan_in, row.averaged) == (3 * 64, (1, 1, 24), 8, False)
    assert row.readers == ("multihead_attn.out_proj",)


def test_a_depthwise_layer_is_passed_through():
    """It mixes no channels, so who reads it averages what was wrong before it."""
    block = [nn.Conv2d(3, 64, 1), nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.ReLU(), nn.Conv2d(64, 32, 1)]
    rows = pbgen.plan(nn.Sequential(*block, nn.Conv2d(32, 3, 1)), torch.zeros(1, 3, 8, 8)).layers
    first, depthwise, *_ = rows
    assert first.degree_of_redundancy == 3 * 64
    assert depthwise.degree_of_redundancy == pytest.approx(depthwise.fan_in * 64)
    rows = pbgen.plan(nn.Sequential(*block[:2]), torch.zeros(1, 3, 8, 8)).layers  # the image reads it
    assert rows[0].degree_of_redundancy == pytest.approx(3 * rows[1].fan_in)


def test_every_output_is_an_image():
    class Two(Reused):
        def forward(self, x):
            h = self.first(x)
            return self.last(self.again(h)), h

    assert readers(Two(), torch.zeros(1, 4)) == {"first": {"again", "image"}, "again": {"last"}, "last": {"image"}}


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
        (
            nn.Sequential(nn.Linear(4, 0), nn.Linear(0, 4)),
            torch.zeros(1, 4),
            "layer '0': has 0 channels, its weight (0, 4); give it one, or leave it out",
        ),
        (nn.Conv2d(4, 0, 1), torch.zeros(1, 4, 8, 8), "layer '': has 0 channels, its weight (0, 4, 1, 1); "),
        (nn.Linear(4, 4), [1, 2], "example input[0]: int is no tensor; give a tensor or a tuple of them"),
        (nn.Linear(4, 4), (torch.zeros(1, 4), True), "example input[1]: bool is no tensor"),
        (nn.Linear(4, 4), "latent", "example input: str is no tensor"),
    ],
)
def test_refusals(module, example, message):
    with pytest.raises(PBGenError) as caught:
        pbgen.plan(module, example)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_a_threshold_that_is_none():
    with pytest.raises(PBGenError, match="threshold 0: must be a positive number"):
        pbgen.plan(nn.Linear(4, 4), torch.zeros(1, 4), threshold=0)
