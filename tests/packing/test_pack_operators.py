"""Every operator that can be packed, alone and over odd shapes, against torch in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

torch.manual_seed(0)


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


TRANSPOSED = [
    # channels in, out, size, and torch's options
    (6, 4, (5, 7), {"kernel_size": 4, "stride": 2, "padding": 1}),
    (6, 4, (5, 7), {"kernel_size": 5, "stride": 2, "padding": 2, "output_padding": 1}),
    (
        4,
        6,
        (3, 5),
        {"kernel_size": (3, 2), "stride": (1, 3), "padding": (2, 0), "output_padding": (0, 2), "bias": False},
    ),
    (4, 6, (4, 3), {"kernel_size": 3, "stride": 2, "dilation": 2, "padding": 1, "output_padding": 1, "groups": 2}),
    (6, 6, (4, 3), {"kernel_size": 3, "stride": 4, "output_padding": 3, "groups": 6}),
    (6, 9, (1, 1), {"kernel_size": 4, "groups": 3}),
    (3, 5, (6, 2), {"kernel_size": 1, "stride": 2}),
    (3, 5, (2, 3), {"kernel_size": 2, "dilation": 3, "output_padding": 2, "padding": 3}),
    (4, 6, (7,), {"kernel_size": 5, "stride": 3, "padding": 1, "output_padding": 2, "groups": 2}),
    (3, 8, (1,), {"kernel_size": 4, "bias": False}),
]

ORDINARY = [
    (6, 4, (5, 7), {"kernel_size": 3, "padding": 1}),
    (6, 4, (9, 8), {"kernel_size": 4, "stride": 2, "padding": 1, "bias": False}),
    (4, 6, (9, 8), {"kernel_size": (3, 2), "stride": (3, 2), "padding": (0, 5)}),
    (4, 6, (9, 11), {"kernel_size": 3, "dilation": (2, 3), "groups": 2}),
    (6, 6, (5, 5), {"kernel_size": 3, "padding": 1, "groups": 6}),
    (3, 5, (5, 6), {"kernel_size": 3, "padding": "same"}),
    (3, 5, (5, 6), {"kernel_size": (4, 2), "padding": "same", "dilation": (1, 3)}),
    (3, 5, (5, 6), {"kernel_size": 2, "padding": "valid"}),
    (3, 5, (2, 2), {"kernel_size": 1, "stride": 4, "padding": 3}),
    (4, 6, (11,), {"kernel_size": 5, "stride": 3, "padding": 4, "groups": 2}),
    (4, 6, (9,), {"kernel_size": 4, "padding": "same", "bias": False}),
]


@pytest.mark.parametrize(("channels", "out", "size", "options"), TRANSPOSED)
def test_transposed_convolution(compare, channels, out, size, options) -> None:
    kind = nn.ConvTranspose1d if len(size) == 1 else nn.ConvTranspose2d
    packed = compare(kind(channels, out, **options), (channels, *size), (1, 5))
    assert packed.ops == ["conv_transpose"]


@pytest.mark.parametrize(("channels", "out", "size", "options"), ORDINARY)
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_convolution(compare, channels, out, size, options) -> None:
    kind = nn.Conv1d if len(size) == 1 else nn.Conv2d
    packed = compare(kind(channels, out, **options), (channels, *size), (1, 5))
    assert packed.ops == ["conv"]


@pytest.mark.parametrize(("inputs", "outputs", "bias"), [(1, 1, True), (7, 13, False), (33, 65, True)])
def test_linear(compare, inputs, outputs, bias) -> None:
    assert compare(nn.Linear(inputs, outputs, bias), (inputs,), (1, 33)).ops == ["linear"]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("kind", "shape"), [(nn.BatchNorm1d, (5,)), (nn.BatchNorm1d, (5, 3)), (nn.BatchNorm2d, (5, 3, 2))]
)
def test_batch_norm(compare, kind, shape, affine) -> None:
    packed = compare(kind(5, eps=0.1, affine=affine), shape)
    assert packed.ops == ["affine"]


@pytest.mark.parametrize(
    ("module", "activation"),
    [
        (nn.ReLU(), "relu"),
        (nn.ReLU(inplace=True), "relu"),
        (nn.LeakyReLU(0.2), "leaky_relu"),
        (nn.LeakyReLU(0.3, inplace=True), "leaky_relu"),
        (nn.Tanh(), "tanh"),
        (nn.Sigmoid(), "sigmoid"),
        (Function(F.relu_), "relu"),
        (Function(F.leaky_relu), "leaky_relu"),
        (Function(torch.Tensor.tanh_), "tanh"),
        (Function(torch.sigmoid_), "sigmoid"),
    ],
)
@pytest.mark.parametrize("shape", [(7,), (3, 5), (3, 5, 2)])
def test_activation(compare, module, activation, shape) -> None:
    # After a batch norm, so that an activation in place does not write on the caller's input.
    norm = nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])
    packed = compare(nn.Sequential(norm, module), shape)
    assert packed.ops == ["affine"]
    assert packed.graph.nodes[0].attributes["activation"] == activation


@pytest.mark.parametrize(
    ("function", "shape", "result"),
    [
        (lambda x: x.view(x.size(0), -1), (3, 4, 5), (60,)),
        (lambda x: x.reshape(len(x), 6, 2, 5), (3, 4, 5), (6, 2, 5)),
        (lambda x: x.view(-1, 15, 4), (3, 4, 5), (15, 4)),
        (lambda x: x.flatten(1), (3, 4, 5), (60,)),
        (lambda x: x.flatten(2), (3, 4, 5), (3, 20)),
        (lambda x: torch.flatten(x, -2, -1), (3, 4, 5), (3, 20)),
        (lambda x: x.unflatten(1, (2, 3)), (6, 5), (2, 3, 5)),
        (lambda x: x.unsqueeze(2).unsqueeze(3), (6,), (6, 1, 1)),
        (lambda x: x[:, :, None, None], (6,), (6, 1, 1)),
        (lambda x: x.squeeze(), (6, 1, 1), (6,)),
        (lambda x: x.squeeze(2), (6, 1, 3), (6, 3)),
        (lambda x: x.squeeze((2, 3)), (6, 1, 1), (6,)),
        (lambda x: x.view(x.shape[0], 2, 3, 2, 5).reshape(-1, 12, 5), (6, 2, 5), (12, 5)),
    ],
)
def test_reshape(compare, function, shape, result) -> None:
    batches = (2, 3)  # torch's squeeze() takes a batch of one away too
    packed = compare(nn.Sequential(nn.Tanh(), Function(function)), shape, batches)
    assert packed.ops == ["affine", "reshape"]
    assert packed.graph.nodes[-1].shape == result


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -3])
def test_concatenate(compare, axis) -> None:
    packed = compare(Function(lambda x: torch.cat([x, torch.tanh(x), x], axis)), (2, 3, 4))
    assert packed.ops == ["affine", "concat"]
    assert packed.graph.nodes[-1].attributes["axis"] == (axis - 1 if axis > 0 else axis + 3)


def test_concatenate_parts_of_unequal_size(compare) -> None:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 5, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat((self.a(x), x, self.b(x)), dim=1)

    assert compare(Parts(), (3, 4, 5)).ops == ["conv", "conv", "concat"]


@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 3, 2)])
def test_add(compare, shape) -> None:
    assert compare(Function(lambda x: torch.tanh(x) + x + x), shape).ops == ["affine", "add", "add"]


def test_add_in_place(compare) -> None:
    def add(x: Tensor) -> Tensor:
        y = torch.tanh(x)
        y += x
        return y

    assert compare(Function(add), (5, 3)).ops == ["affine", "add"]


GAIN = torch.linspace(0.5, 2, 5)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 0.5 + 0.5,
        lambda x: 2 * x - 1,
        lambda x: (x + 1) / 2,
        lambda x: torch.add(x, 3, alpha=2),
        lambda x: x * GAIN.view(5, 1, 1),
        lambda x: GAIN[None, :, None, None] - x,
        lambda x: x / GAIN.view(1, 5, 1, 1) + torch.tensor(0.25),
        lambda x: x * torch.sigmoid(GAIN).view(5, 1, 1),
    ],
)
def test_one_number_a_channel(compare, function) -> None:
    module = nn.Sequential(nn.Tanh(), Function(function))
    assert compare(module, (5, 2, 3)).ops == ["affine", "affine"]


UPSAMPLING = [
    # shape, and interpolate's options
    ((3, 4, 5), {"scale_factor": 2}),
    ((3, 4, 5), {"scale_factor": (3, 1)}),
    ((3, 4, 5), {"scale_factor": 1.7}),
    ((3, 7, 5), {"scale_factor": 0.6}),
    ((3, 4, 5), {"scale_factor": 2.3, "recompute_scale_factor": True}),
    ((3, 4, 5), {"size": (7, 3)}),
    ((3, 49, 3), {"size": (147, 1)}),
    ((3, 6), {"scale_factor": 2}),
    ((3, 6), {"size": 17}),
    ((3, 6), {"scale_factor": 2.6}),
    ((3, 4, 5), {"scale_factor": 2, "mode": "bilinear"}),
    ((3, 4, 5), {"scale_factor": 1.7, "mode": "bilinear"}),
    ((3, 4, 5), {"scale_factor": 1.7, "mode": "bilinear", "recompute_scale_factor": True}),
    ((3, 7, 5), {"scale_factor": 0.6, "mode": "bilinear"}),
    ((3, 4, 5), {"size": (9, 13), "mode": "bilinear"}),
    ((3, 4, 5), {"size": (9, 13), "mode": "bilinear", "align_corners": True}),
    ((3, 4, 5), {"size": (1, 3), "mode": "bilinear", "align_corners": True}),
    ((3, 1, 1), {"scale_factor": 4, "mode": "bilinear", "align_corners": True}),
    ((3, 1, 2), {"scale_factor": 3, "mode": "bilinear"}),
]


@pytest.mark.parametrize(("shape", "options"), UPSAMPLING)
@pytest.mark.filterwarnings("ignore:The default behavior for interpolate")
def test_upsample(compare, shape, options) -> None:
    assert compare(Function(lambda x: F.interpolate(x, **options)), shape).ops == ["upsample"]


@pytest.mark.parametrize("factor", [2, 3])
def test_pixel_shuffle(compare, factor) -> None:
    assert compare(nn.PixelShuffle(factor), (2 * factor**2, 3, 4)).ops == ["pixel_shuffle"]


def test_channels_last_in_memory(compare) -> None:
    module = nn.Sequential(
        nn.ConvTranspose2d(3, 8, 2, 2),
        Function(lambda x: x.to(memory_format=torch.channels_last)),
        nn.Tanh(),
        Function(lambda x: x.reshape(len(x), 4, -1)),
    )
    assert compare(module, (3, 2, 3)).ops == ["conv_transpose", "reshape"]
    assert compare(module.to(memory_format=torch.channels_last), (3, 2, 3)).ops == ["conv_transpose", "reshape"]


def test_input_written_in_place(compare) -> None:
    assert compare(Function(torch.tanh_), (4, 3)).ops == ["affine"]


def test_what_does_nothing_is_left_out(compare) -> None:
    module = nn.Sequential(
        nn.Linear(6, 12),
        nn.Dropout(),
        nn.Identity(),
        nn.Unflatten(1, (3, 4)),
        nn.Flatten(2),
        nn.Dropout1d(),
        nn.Unflatten(2, (2, 2)),
        nn.Dropout2d(),
        nn.AlphaDropout(),
        nn.Upsample(scale_factor=1),
        nn.PixelShuffle(1),
        Function(lambda x: x.contiguous().clone().detach().to(x.dtype) * 1 + 0),
    )
    packed = compare(module, (6,))
    assert packed.ops == ["linear", "reshape"]
    assert packed.graph.nodes[-1].shape == (3, 2, 2)
