"""Binary layers that compute by PBGen's products while training, against the same by torch."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pbgen.bench.training import VARIANTS, compare_training
from pbgen.binarize import METHODS, binarize
from pbgen.errors import PBGenError
from pbgen.measure import plan
from pbgen.training import LOSSES, TrainConfig, networks
from pbgen.training.native import NativeLayers
from pbgen.training.step import TrainingStep

Tiny = Callable[..., TrainConfig]


@pytest.fixture(autouse=True)
def own_randomness() -> Iterator[None]:
    with torch.random.fork_rng([]):
        yield


def layers() -> nn.Sequential:
    module = nn.Sequential(
        nn.Linear(7, 6 * 9),
        nn.Unflatten(1, (6, 3, 3)),
        nn.ConvTranspose2d(6, 8, 4, stride=2, padding=1, groups=2),
        nn.LeakyReLU(0.2),
        nn.Conv2d(8, 5, 3, padding=1),
        nn.Flatten(2),
        nn.ConvTranspose1d(5, 4, 3, bias=False),
        nn.Tanh(),
        nn.Conv1d(4, 3, 5, stride=2),
    )
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -1.2, 1.2)
    return module


def gradients(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Output and gradients of a module that is used twice."""
    torch.manual_seed(1)
    y = module(x) + module(2 * x).tanh()
    return [y, *torch.autograd.grad(y.square().sum(), [x, *module.parameters()])]


def close(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for mine, exact in zip(ours, theirs, strict=True):
        assert (mine - exact).abs().max() <= 1e-4 * exact.abs().max()


@pytest.mark.parametrize("method", [method for method in METHODS if method != "binaryconnect-stochastic"])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_every_estimator_has_its_gradient(method: str, memory: torch.memory_format) -> None:
    torch.manual_seed(0)
    module = binarize(layers(), "all", method).to(memory_format=memory)  # type: ignore[call-overload]
    x = torch.randn(4, 7, requires_grad=True)
    # In float32, torch itself is off by up to 1.4e-4 here.
    expected = gradients(copy.deepcopy(module).double(), x.detach().double().requires_grad_())
    with NativeLayers(module):
        close(gradients(module, x), expected)


def of_bits(bits: int, method: str) -> nn.Sequential:
    module = layers()
    chosen = plan(module, torch.zeros(1, 7)).choosing(dict.fromkeys(["0", "2", "4", "6", "8"], bits))
    return cast(nn.Sequential, binarize(module, chosen, method))


@pytest.mark.parametrize("method", ["bwn", "learned-scale"])
@pytest.mark.parametrize("norm", [False, True], ids=["", "spectral norm"])
def test_two_bits_have_their_gradient(norm: bool, method: str) -> None:
    torch.manual_seed(0)
    module = of_bits(2, method)
    if norm:
        for layer in (module[0], module[2], module[4]):
            nn.utils.parametrizations.spectral_norm(layer)
        module.eval()
    x = torch.randn(4, 7, requires_grad=True)
    expected = gradients(copy.deepcopy(module).double(), x.detach().double().requires_grad_())
    with NativeLayers(module):
        assert all("forward" in vars(module[i]) for i in (0, 2, 4, 6, 8))
        close(gradients(module, x), expected)


def test_more_bits_are_left_to_torch() -> None:
    module, x = of_bits(3, "bwn"), torch.randn(2, 7)
    expected = module(x)
    with NativeLayers(module):
        torch.testing.assert_close(module(x), expected, rtol=0, atol=0)


@pytest.mark.parametrize("method", ["bwn", "learned-scale"])
def test_a_spectral_norm_over_binary_weights_counts(method: str) -> None:
    torch.manual_seed(0)
    module = binarize(layers(), "all", method)
    for layer in (module[0], module[2], module[4]):
        nn.utils.parametrizations.spectral_norm(layer)
    module.eval()  # the norm's vectors move in training
    x = torch.randn(4, 7, requires_grad=True)
    expected = gradients(copy.deepcopy(module).double(), x.detach().double().requires_grad_())
    with NativeLayers(module):
        close(gradients(module, x), expected)


def test_stochastic_signs_are_drawn_once_for_a_pass() -> None:
    torch.manual_seed(0)
    module = binarize(nn.Linear(30, 20), "all", "binaryconnect-stochastic")
    x = torch.randn(4, 30)
    native = NativeLayers(module)
    with native:
        first, second = module(x), module(x)
    with native:
        third = module(x)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert (first != third).any()


def test_outside_nothing_has_changed() -> None:
    module = binarize(layers(), "all")
    names = list(module.state_dict())
    with NativeLayers(module):
        assert list(module.state_dict()) == names
    assert not any("forward" in vars(layer) for layer in module.modules())
    copy.deepcopy(module)


def test_weights_are_packed_again_when_they_have_changed() -> None:
    module = binarize(nn.Linear(30, 20), "all")
    x, native = torch.randn(4, 30), NativeLayers(module)
    with native:
        before = module(x)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.neg_()
    native.forget()
    with native:
        torch.testing.assert_close(module(x), -before)


class Doubled(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    "layer",
    [
        Doubled(4, 4, 3),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    ],
)
def test_what_the_products_do_not_know_is_left_to_torch(layer: nn.Module) -> None:
    module, x = binarize(layer, "all"), torch.randn(2, 4, 5, 5)
    expected = module(x)
    with NativeLayers(module):
        torch.testing.assert_close(module(x), expected, rtol=0, atol=0)


def test_other_types_and_shapes_are_left_to_torch() -> None:
    module = binarize(nn.ConvTranspose2d(4, 4, 3, stride=2), "all")
    x = torch.randn(2, 4, 5, 5)
    native = NativeLayers(module)
    with native, torch.autocast("cpu", torch.bfloat16):
        assert module(x).dtype == torch.bfloat16
    with native:
        assert module(x, output_size=(12, 12)).shape == (2, 4, 12, 12)
        assert module(x[0]).shape == (4, 11, 11)
        assert module(x[:0]).shape == (0, 4, 11, 11)
        assert module.double()(x.double()).dtype == torch.float64


class Noise:
    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def next(self) -> npt.NDArray[np.uint8]:
        return self._rng.integers(0, 256, (8, 1, 16, 16), dtype=np.uint8)


def after_training(config: TrainConfig, native: bool, steps: int) -> tuple[Tensor, list[Tensor]]:
    """What the last step told, and all weights."""
    step = TrainingStep(Fabric(accelerator="cpu", devices=1), config, networks.build(config), native)
    feed = Noise()
    told = [step(i, feed) for i in range(steps)][-1]
    players = (step.generator.module, step.discriminator.module)
    return told, [weight.detach().clone() for player in players for weight in player.parameters()]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("micro_batch", [None, 4])
def test_a_training_step_is_the_same(tiny: Tiny, loss: str, micro_batch: int | None) -> None:
    """Adam's first steps have the length of the learning rate whatever the gradient's: large betas keep them apart."""
    config = tiny(loss=loss, micro_batch=micro_batch, learning_rate=1e-4)
    told, weights = after_training(config, native=True, steps=2)
    expected, others = after_training(config, native=False, steps=2)
    torch.testing.assert_close(told, expected, rtol=1e-4, atol=1e-5)
    for mine, other in zip(weights, others, strict=True):
        assert ((mine - other).abs() > 1e-6).double().mean() < 0.02


def test_training_repeats_to_the_bit(tiny: Tiny) -> None:
    first, second = (after_training(tiny(), native=True, steps=3) for _ in range(2))
    for mine, other in zip([first[0], *first[1]], [second[0], *second[1]], strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=0)


def test_the_comparison_of_steps() -> None:
    comparison = compare_training("dcgan32", threads=1, batch=2, rounds=1)
    told = json.loads(comparison.to_json())
    assert told["speedup"] == told["float_step"] / told["binary_step"]
    assert set(told["spread"]) == set(VARIANTS)
    with pytest.raises(PBGenError, match="no such"):
        compare_training("no such", threads=1, batch=2, rounds=1)
