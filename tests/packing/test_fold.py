"""What folding leaves: the fewest steps, and the same values."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_modules import Function
from torch import Tensor, nn

from pbgen.binarize import binarize

torch.manual_seed(0)


def attributes(packed, name: str) -> dict:
    return next(node.attributes for node in packed.graph.nodes if node.name == name)


@pytest.mark.parametrize("binary", [False, True])
def test_batch_norm_and_activation_fold_into_the_layer(compare, binary) -> None:
    module = nn.Sequential(nn.ConvTranspose2d(4, 6, 4, 2, 1), nn.BatchNorm2d(6), nn.LeakyReLU(0.1))
    if binary:
        binarize(module, "all")
    packed = compare(module, (4, 3, 3))
    found = attributes(packed, "0")
    assert packed.ops == ["conv_transpose"]
    assert found["program"] == [["leaky", 0, 1]] and found["numbers"] == [0.1]
    assert ("scale" in found) == binary  # float weights take it up
    assert packed.tensors["0.weight"].dtype == (np.uint8 if binary else np.float32)


def test_binaryconnect_without_bias_stores_nothing_but_bits(compare) -> None:
    packed = compare(binarize(nn.Conv2d(3, 5, 3, bias=False), [""], method="binaryconnect"), (3, 4, 4))
    assert list(packed.tensors) == ["conv2d.weight"]


def test_all_affine_steps_before_an_activation_become_one(compare) -> None:
    module = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.BatchNorm1d(6), nn.Tanh(), nn.BatchNorm1d(6))
    packed = compare(module, (5,))
    assert packed.programs == ["linear tanh mul add"]


def test_activation_folds_through_a_reshape(compare) -> None:
    module = nn.Sequential(nn.Linear(5, 12), nn.Unflatten(1, (3, 2, 2)), nn.ReLU(), nn.Conv2d(3, 4, 1))
    assert compare(module, (5,)).ops == ["linear", "reshape", "conv"]


def test_batch_norm_folds_through_a_reshape_that_keeps_the_channels(compare) -> None:
    module = nn.Sequential(nn.Conv2d(5, 3, 1), nn.Flatten(2), nn.BatchNorm1d(3), nn.ReLU())
    assert compare(module, (5, 2, 2)).ops == ["conv", "reshape"]


def test_batch_norm_of_fewer_channels_folds_through_a_reshape(compare) -> None:
    module = nn.Sequential(nn.Linear(5, 12), nn.Unflatten(1, (3, 2, 2)), nn.BatchNorm2d(3), nn.ReLU())
    packed = compare(module, (5,))
    assert packed.programs == ["linear relu", "reshape"]
    assert packed.tensors["0.shift"].shape == (12,)


def test_batch_norm_of_more_channels_stays_behind_its_reshape(compare) -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 2))
    assert compare(module, (2, 2, 2)).programs == ["conv", "reshape", "map mul add", "linear"]


def test_activations_of_channels_fold_through_a_pixel_shuffle(compare) -> None:
    module = nn.Sequential(nn.Conv2d(2, 12, 1), nn.PixelShuffle(2), nn.PReLU(3), nn.Conv2d(3, 1, 1))
    module[2].weight.data = torch.tensor([0.1, -0.2, 0.3])
    packed = compare(module, (2, 4, 5), others=[(2, 3, 7)])
    assert packed.programs == ["conv leaky", "reshape", "permute", "reshape", "conv"]


def test_activations_fold_into_the_parts_of_a_concatenation(compare) -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = nn.Conv2d(3, 4, 2, 2), nn.ConvTranspose2d(4, 3, 2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(torch.cat([x, self.up(self.down(x))], 1))

    assert compare(Skip(), (3, 4, 6)).programs == ["conv", "conv_transpose relu", "map relu", "concat"]


def test_a_constant_is_shared_out_to_the_parts_of_a_concatenation(compare) -> None:
    class Gained(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.register_buffer("gain", torch.rand(10, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.conv(x), torch.tanh(x), torch.sigmoid(x)], 1) * self.gain

    assert sorted(compare(Gained(), (3, 4, 6)).programs) == [
        "concat", "conv", "map sigmoid mul", "map tanh mul"
    ]  # fmt: skip


def test_residuals_gates_and_scales_become_the_last_layer_s_program(compare) -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return x + 0.2 * self.norm(self.b(F.silu(self.a(x))))

    packed = compare(Block(), (3, 4, 5), others=[(3, 7, 2)])
    assert packed.programs == ["conv sigmoid mul", "conv add"]


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(
    ("forward", "lost"),
    [
        (lambda x, norm: norm(x), True),
        (lambda x, norm: F.relu(norm(x)) + 1, True),
        (lambda x, norm: norm(x) + x, False),
        (lambda x, norm: norm(x) * x.mean((2, 3), keepdim=True), False),
        (lambda x, norm: (norm(x), x), False),
        (lambda x, norm: (x - x.mean((2, 3), keepdim=True), x.mean((2, 3), keepdim=True)), False),
        (lambda x, norm: x.mean((2, 3), keepdim=True) - x, False),
        (lambda x, norm: x - x.mean((1, 2, 3), keepdim=True), False),
        (lambda x, norm: x - x.amax((2, 3), keepdim=True), False),
        (lambda x, norm: (x - x.mean(2, keepdim=True)).square(), True),
        (lambda x, norm: F.group_norm(x, 2), False),
    ],
)
def test_a_shift_that_a_norm_takes_off_is_dropped(compare, forward, lost, affine) -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=affine)
            with torch.no_grad():
                self.conv.bias.add_(1)

        def forward(self, x: Tensor) -> Tensor:
            return forward(self.conv(x), self.norm)

    packed = compare(Normed(), (3, 6, 5))
    assert ("conv.shift" not in packed.tensors) == lost


def test_a_sum_of_branches_grows_as_each_ends(compare) -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(sum(conv(x) for conv in self.convs) / 4)

    packed = compare(Branches(), (3, 4, 5))
    assert packed.programs == ["conv", "conv add", "conv add", "conv add div tanh"]


def test_arithmetic_that_follows_arithmetic_is_one_program(compare) -> None:
    packed = compare(Function(lambda x: (x.sin() * 2 + x).clamp(-1, 1).mean((2, 3))), (3, 4, 5))
    assert packed.ops == ["reduce", "reshape"]


def test_the_same_twice_is_computed_once(compare) -> None:
    twice = Function(lambda x: F.relu(x).sin() + F.relu(x).cos())
    packed = compare(nn.Sequential(nn.Conv2d(3, 3, 1), twice), (3, 4, 5))
    assert packed.programs.count("conv relu") + packed.programs.count("conv relu sin cos add") == 1


def test_views_of_views_are_one(compare) -> None:
    function = Function(lambda x: x.permute(0, 2, 3, 1).permute(0, 3, 2, 1).flatten(2).unflatten(2, (1, -1)).sin())
    assert compare(function, (3, 4, 5)).ops == ["permute", "reshape", "map"]


def test_a_value_read_by_others_is_not_computed_twice(compare) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.first(x))
            return torch.cat([self.second(x), x.mean(1, keepdim=True).expand_as(x)], 1)

    assert compare(Twice(), (3, 4, 5)).programs == ["conv relu", "conv", "reduce", "expand", "concat"]


def test_constants_beside_each_other_are_computed_now(compare) -> None:
    packed = compare(Function(lambda x: x * torch.linspace(0, 1, 3)[:, None, None].to(x).exp().softmax(0)), (3, 4, 5))
    assert packed.programs == ["map mul"]


def test_a_table_from_which_many_numbers_are_added_is_stored_instead_of_them(compare) -> None:
    """As the windows of attention add what belongs to each distance."""
    index = (torch.arange(16)[:, None] - torch.arange(16) + 15).view(-1)

    def biased(module, x):
        return x + module.table[index].view(16, 16, 8).permute(2, 0, 1).unsqueeze(0)

    packed = compare(Function(biased, table=torch.randn(31, 8)), (8, 16, 16))
    assert sum(tensor.size for tensor in packed.tensors.values()) == 31 * 8 + 16 * 16


def test_a_value_read_twice_keeps_its_steps_apart(compare) -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return x + self.norm(x)

    assert compare(Skip(), (3, 2, 2)).programs == ["conv mul add add"]


def test_a_folded_value_read_twice_keeps_its_steps_apart(compare) -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(self.conv(x))
            return x + torch.relu(x)

    assert compare(Skip(), (3, 2, 2)).programs == ["conv relu add"]


def test_what_nothing_reads_is_left_out(compare) -> None:
    class Unread(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            torch.relu(x)
            return x

    packed = compare(Unread(), (3, 2, 2))
    assert packed.ops == ["conv"]
    assert "program" not in attributes(packed, "conv")


def test_batch_norm_after_add_and_concat_is_a_step_of_its_own(compare) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(6)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.second(torch.cat([self.first(x + x), x], 1)))

    packed = compare(Both(), (3, 2, 2))
    assert packed.programs == ["map add mul add", "concat", "map mul add relu"]


@pytest.mark.parametrize("binary", [False, True])
def test_a_layer_used_twice_is_stored_once(compare, binary) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1)
            self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)])

        def forward(self, x: Tensor) -> Tensor:
            for norm in self.norms:
                x = torch.tanh(norm(self.conv(x)))
            return x

    module = Twice()
    if binary:
        binarize(module, "all")
    packed = compare(module, (4, 5, 5))
    assert [node.name for node in packed.graph.nodes] == ["conv", "conv:2"]
    assert attributes(packed, "conv")["weight"] == attributes(packed, "conv:2")["weight"] == "conv.weight"
    assert attributes(packed, "conv")["scale"] != attributes(packed, "conv:2")["scale"]
    assert [layer.float_bytes for layer in packed.info.layers] == [4 * 4 * 4 * 9, 0]
    assert packed.info.float_bytes == 4 * (4 * 4 * 9 + 4 + 2 * 4 * 4)


def test_a_weight_that_two_layers_share_is_stored_once(compare) -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    module[2].weight = module[0].weight
    packed = compare(module, (4,))
    assert attributes(packed, "0")["weight"] == attributes(packed, "2")["weight"]
    assert packed.info.float_bytes == 4 * (16 + 8)


def test_the_same_bits_of_other_layers_are_stored_apart(compare) -> None:
    module = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
    for layer in (module[0], module[2]):
        nn.init.ones_(layer.weight)
    packed = compare(binarize(module, "all", "binaryconnect"), (2,))
    assert attributes(packed, "0")["weight"] != attributes(packed, "2")["weight"]


def test_a_transposed_convolution_may_borrow_binary_weights(compare) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Conv2d(3, 5, 4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.conv_transpose2d(self.down(x), self.down.weight, None, 2, 1)

    packed = compare(binarize(Tied(), "all"), (3, 4, 6))
    assert [layer.binary for layer in packed.info.layers] == [True, False]  # its scale is none of the output channel


def test_weights_computed_from_weights_are_computed_now(compare) -> None:
    module = nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 6)),
        nn.utils.parametrizations.spectral_norm(nn.Linear(6, 3)),
    )

    class Equalized(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(x, self.weight * 0.3, self.bias)

    packed = compare(nn.Sequential(module, Equalized(3, 2)), (4,))
    assert packed.ops == ["linear"] * 3
