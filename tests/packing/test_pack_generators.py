"""Small generators of the kinds that people write: several inputs, tokens, noise, hooks, U-Nets."""

import pytest
import torch
import torch.nn.functional as F
from small_modules import Function
from torch import Tensor, nn

from pbgen.binarize import binarize
from pbgen.packing import pack, rebuild
from pbgen.packing.file import read

torch.manual_seed(0)


class Conditional(nn.Module):
    """A latent and a class, a number."""

    def __init__(self) -> None:
        super().__init__()
        self.classes, self.linear, self.up = nn.Embedding(10, 4), nn.Linear(12, 64), nn.ConvTranspose2d(16, 3, 4, 2, 1)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        x = self.linear(torch.cat([z, self.classes(label)], 1))
        return torch.tanh(self.up(x.view(-1, 16, 2, 2)))


def test_integer_inputs(tmp_path) -> None:
    module, path = Conditional(), tmp_path / "g.safetensors"
    z, label = torch.randn(3, 8), torch.tensor([1, 5, 9])
    pack(module, (z, label), path)
    assert [source.integer for source in read(path)[0].inputs] == [False, True]
    with torch.no_grad():
        assert torch.allclose(rebuild(path)(z, label.float()), module(z, label), atol=1e-5)


def test_tokens_of_any_number(tmp_path) -> None:
    module = nn.Sequential(nn.Embedding(10, 4), Function(lambda x: x.transpose(1, 2)), nn.Conv1d(4, 5, 3, padding=1))
    path = tmp_path / "g.safetensors"
    pack(module, torch.tensor([[1, 5, 3, 2]]), path)
    tokens = torch.tensor([[9, 0, 3, 2, 1, 1, 7]])
    with torch.no_grad():
        assert torch.allclose(rebuild(path)(tokens.float()), module(tokens), atol=1e-5)


DRAWN = {
    "randn": (lambda x: x + 0.3 * torch.randn(x.shape[0], 1, *x.shape[2:]), [("normal", 4)]),
    "like": (lambda x: x + torch.randn_like(x) * torch.rand_like(x), [("normal", 4), ("uniform", 4)]),
    "in place": (lambda x: x + x.new_empty(x.shape[0], 1, *x.shape[2:]).normal_(1.0, 0.2), [("normal", 4)]),
    "between": (lambda x: x + torch.empty_like(x).uniform_(-1, 1), [("uniform", 4)]),
    "around": (lambda x: torch.normal(x, 0.3), [("normal", 4)]),
    "exponential": (lambda x: x + torch.empty_like(x).exponential_(2.0), [("uniform", 4)]),
    "gumbel": (lambda x: F.gumbel_softmax(x, dim=1, hard=True) + F.gumbel_softmax(x, dim=1), [("uniform", 4)] * 2),
    "heads or tails": (lambda x: x * torch.bernoulli(x.sigmoid()) + x.clone().bernoulli_(0.3), [("uniform", 4)] * 2),
    "integers": (lambda x: x + torch.randint(-2, 5, x.shape) + torch.randint_like(x, 3), [("uniform", 4)] * 2),
    "permuted": (lambda x: x[..., torch.randperm(x.shape[3])], [("uniform", 2)]),
    "picked": (lambda x: x + torch.multinomial(torch.ones(500), 2).sum(), [("uniform", 2)]),
    "picked again": (lambda x: x + torch.multinomial(torch.arange(5.0), 9, replacement=True).sum(), [("uniform", 3)]),
    "distribution": (lambda x: torch.distributions.Normal(x, x.exp()).rsample(), [("normal", 4)]),
    "without batch": (lambda x: x + torch.randn(x.shape[2], x.shape[3]), [("normal", 3)]),
}


@pytest.mark.parametrize("name", DRAWN)
def test_numbers_that_the_module_draws_are_inputs(tmp_path, name) -> None:
    """pack() compares at the same numbers, at two sizes; here, that they are there and are used."""
    function, expected = DRAWN[name]
    path = tmp_path / "g.safetensors"
    pack(Function(function), torch.randn(2, 3, 4, 6), path)
    noise = [source for source in read(path)[0].inputs if source.noise]
    assert [(source.noise, len(source.shape)) for source in noise] == expected
    images = torch.randn(1, 3, 5, 7)
    assert not torch.equal(rebuild(path)(images, seed=0), rebuild(path)(images, seed=1))


def norms() -> nn.Module:
    return nn.Sequential(
        nn.utils.weight_norm(nn.Conv2d(3, 4, 3)),
        nn.utils.spectral_norm(nn.Conv2d(4, 4, 3)),
        nn.utils.parametrizations.weight_norm(nn.ConvTranspose2d(4, 4, 3)),
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(4, 3, 1)),
    )


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`")
def test_norms_of_weights_are_settled_after_training(tmp_path) -> None:
    module, path = norms(), tmp_path / "g.safetensors"
    module(torch.randn(1, 3, 8, 8)).sum().backward()
    pack(module, torch.randn(1, 3, 8, 8), path)
    assert [node.op for node in read(path)[0].nodes] == ["conv", "conv", "conv_transpose", "conv"]
    images = torch.randn(2, 3, 9, 7)
    with torch.no_grad():
        assert torch.allclose(rebuild(path)(images), module.eval()(images), atol=1e-4)


class UNet(nn.Module):
    """Down to one pixel at the example's size, with what stands beside it on the way up."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(nn.Conv2d(3 if i == 0 else 4, 4, 4, 2, 1) for i in range(depth))
        self.up = nn.ModuleList(nn.ConvTranspose2d(4 if i == 0 else 8, 4, 4, 2, 1) for i in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        beside = []
        for layer in self.down:
            x = layer(F.leaky_relu(x, 0.2))
            beside.append(x)
        x = beside.pop()
        for layer in self.up:
            x = layer(F.relu(x))
            x = torch.cat([x, beside.pop()], 1) if beside else x
        return torch.tanh(x)


@pytest.mark.parametrize("binary", [False, True])
def test_a_u_net_of_any_size_although_its_middle_is_one_pixel(compare, binary) -> None:
    module = UNet(3)
    if binary:
        binarize(module, ["down.1", "up.1"])
    packed = compare(module, (3, 8, 8), others=[(3, 16, 24), (3, 32, 8)])
    assert packed.free == ["h", "w"]


def test_a_module_whose_eval_returns_nothing(tmp_path) -> None:
    class Own(nn.Conv2d):
        def eval(self) -> None:
            self.train(False)

    pack(Own(3, 2, 1), torch.randn(1, 3, 4, 5), tmp_path / "g.safetensors")


def test_state_that_forward_writes_is_not_kept(compare) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.register_buffer("calls", torch.zeros(2))

        def forward(self, x: Tensor) -> Tensor:
            self.calls.add_(1)
            self.calls[0] = 4
            return self.conv(x)

    assert compare(Counting(), (3, 4, 5)).ops == ["conv"]


class Moving(nn.Module):
    """Brings a layer to where its input is."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner.to(x.device)(x)


def test_a_module_whose_forward_moves_another(compare) -> None:
    assert compare(Moving(), (3, 4, 4), others=[(3, 5, 7)]).free == ["h", "w"]
    assert nn.Conv2d(1, 1, 1).half().weight.dtype == torch.float16  # modules move as ever


class Normalized(nn.Module):
    """Checks the numbers that it writes down, as torchvision's normalize does."""

    def forward(self, x: Tensor) -> Tensor:
        mean, std = torch.as_tensor([0.5, 0.4, 0.3], dtype=x.dtype), torch.tensor([0.2, 0.0, 0.1], dtype=x.dtype)
        if (std == 0).any():
            std[1] = 0.3
        if std[1] == 0 or int(std.numel() * std.sum()) != 1:
            raise ValueError("std has a 0")
        return (x - mean[:, None, None]) / std[:, None, None]


def test_a_module_that_reads_numbers_which_it_writes_down(compare) -> None:
    assert compare(Normalized(), (3, 4, 4), others=[(3, 5, 7)]).free == ["h", "w"]


class Keeping(nn.Module):
    """Keeps the noise that it draws at first, as large as the batch is then."""

    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "noise"):
            self.register_buffer("noise", torch.randn(len(x), 1, *x.shape[2:]))
        return x.view(len(x + self.noise), *x.shape[1:]) + self.noise


def test_a_module_that_keeps_what_it_makes_first(tmp_path) -> None:
    pack(Keeping(), torch.randn(1, 3, 4, 4), tmp_path / "g.safetensors")
    x = torch.randn(3, 3, 4, 4)
    noise = rebuild(tmp_path / "g.safetensors")(x) - x
    assert noise.std() > 0.5
    assert torch.allclose(noise, noise[:1, :1].expand_as(noise), atol=1e-5)


class Modulated(nn.Module):
    """Calls what it is modulated by as torch.export calls the module itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor, *, mod: Tensor) -> Tensor:
        return self.conv(x * mod)


class Modulating(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.style, self.block = nn.Linear(5, 4), Modulated()

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.block(x, mod=self.style(style)[:, :, None, None])


def test_an_argument_with_the_name_of_torchs_own(compare) -> None:
    assert compare(Modulating(), [(4, 6, 7), (5,)], others=[[(4, 9, 5), (5,)]]).free == ["h", "w"]
