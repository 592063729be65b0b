"""Channels of large weights become like the others where that changes nothing, and stay where it would."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pbgen
from pbgen.compression.bits import measure_errors
from pbgen.compression.channels import even_out

IMAGES = torch.randn(4, 6, 8, 8, generator=torch.Generator().manual_seed(0))


def layers(*between: nn.Module, maker: nn.Module | None = None, reader: nn.Module | None = None) -> nn.Sequential:
    """Two layers of 8 channels between them, of which three meet weights 8, 32 and 100 times as large."""
    torch.manual_seed(1)
    net = nn.Sequential(maker or nn.Conv2d(6, 8, 3, padding=1), *between, reader or nn.Conv2d(8, 5, 3, padding=1))
    with torch.no_grad():
        for value in net[0].parameters():
            value.add_(0.1)
        net[-1].weight.copy_(net[-1].weight * scales(net[-1]))
    return net.eval()


def scales(reader: nn.Module) -> torch.Tensor:
    large = torch.ones(8)
    large[[1, 4, 6]] = torch.tensor([8.0, 32.0, 100.0])
    return large.view(-1, *[1] * (reader.weight.dim() - 1)) if is_transposed(reader) else by_input(large, reader)


def by_input(large: torch.Tensor, reader: nn.Module) -> torch.Tensor:
    return large.view(1, -1, *[1] * (reader.weight.dim() - 2))


def is_transposed(module: nn.Module) -> bool:
    return isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d)


def spread(reader: nn.Module) -> float:
    """How many times the median the weights of the largest channel are."""
    weight = reader.weight.detach()
    size = (weight if is_transposed(reader) else weight.transpose(0, 1)).flatten(1).norm(dim=1)
    return float(size.max() / size.median())


def changed(net: nn.Module, x: torch.Tensor = IMAGES) -> bool:
    """Whether weights were changed; the outputs never are."""
    before, expected = copy.deepcopy(net.state_dict()), net(x)
    even_out(net, (x[:1],))
    assert torch.equal(net(x), expected)
    return any(not torch.equal(value, before[name]) for name, value in net.state_dict().items())


ALONE = {
    "nothing": (),
    "relu": (nn.ReLU(),),
    "leaky relu": (nn.LeakyReLU(0.1),),
    "prelu": (nn.PReLU(8),),
    "pooling": (nn.MaxPool2d(2), nn.ReLU()),
    "upsampling": (nn.ReLU(), nn.Upsample(scale_factor=2, mode="bilinear")),
    "padding": (nn.ReflectionPad2d(1),),
    "batch norm": (nn.BatchNorm2d(8), nn.ReLU()),
    "instance norm": (nn.InstanceNorm2d(8, affine=True), nn.ReLU()),
    "group norm": (nn.GroupNorm(2, 8), nn.ReLU()),
}


@pytest.mark.parametrize("between", ALONE)
def test_large_channels_become_like_others(between):
    net = layers(*ALONE[between])
    assert spread(net[-1]) > 50
    assert changed(net)
    assert spread(net[-1]) < 2


KINDS = {
    "transposed": (nn.ConvTranspose2d(6, 8, 4, 2, 1), nn.ConvTranspose2d(8, 5, 4, 2, 1), IMAGES),
    "transposed, groups": (nn.Conv2d(6, 8, 1), nn.ConvTranspose2d(8, 4, 4, 2, 1, groups=2), IMAGES),
    "made by groups": (nn.Conv2d(6, 8, 3, groups=2), nn.Conv2d(8, 5, 1), IMAGES),
    "sound": (nn.Conv1d(6, 8, 3, bias=False), nn.ConvTranspose1d(8, 5, 4, 2, 1), IMAGES.flatten(2)),
    "linear": (nn.Linear(8, 8), nn.Linear(8, 5), IMAGES),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_layers(kind):
    maker, reader, x = KINDS[kind]
    net = layers(nn.ReLU(), maker=copy.deepcopy(maker), reader=copy.deepcopy(reader))
    assert changed(net, x) and spread(net[-1]) < 2


BENT = {
    "relu6": nn.ReLU6(), "tanh": nn.Tanh(), "gelu": nn.GELU(), "hardtanh": nn.Hardtanh(-1e3, 1e3), "elu": nn.ELU(),
    "instance norm": nn.InstanceNorm2d(8), "group norm": nn.GroupNorm(1, 8, affine=False), "softmax": nn.Softmax(1),
    "hardswish": nn.Hardswish(), "shuffle": nn.ChannelShuffle(2),
}  # fmt: skip


@pytest.mark.parametrize("between", BENT)
def test_what_would_change_the_module_stays(between):
    assert not changed(layers(BENT[between]))


class Branches(nn.Module):
    """A channel that another layer, or the output, reads as well."""

    def __init__(self, to_output: bool) -> None:
        super().__init__()
        self.net, self.other, self.to_output = layers(nn.ReLU()), nn.Conv2d(8, 5, 3, padding=1), to_output

    def forward(self, x):
        made = F.relu(self.net[0](x))
        return self.net[-1](made) + (made.sum(1, keepdim=True) if self.to_output else self.other(made))


@pytest.mark.parametrize("to_output", [False, True])
def test_channels_with_several_readers_stay(to_output):
    assert not changed(Branches(to_output))


def test_even_channels_stay():
    torch.manual_seed(0)
    assert not changed(nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Conv2d(8, 5, 3)).eval())


def test_few_bits_lose_less():
    x = torch.randn(64, 6, 8, 8, generator=torch.Generator().manual_seed(3))
    net = layers(nn.ReLU()).requires_grad_(False)
    for value in net[0].parameters():  # large weights meet what is small
        value.div_(scales(net[-1]).view(-1, *[1] * (value.dim() - 1)))
    plan = pbgen.plan(net, x)
    before, after = (
        measure_errors(one, plan, ["2"], (x[:32],), (x[32:],), lambda *_: None)["2"]
        for one in (copy.deepcopy(net), _even(net, x))
    )
    assert after[4] < before[4] / 4


def _even(net: nn.Module, x: torch.Tensor) -> nn.Module:
    even_out(net, (x[:1],))
    return net
