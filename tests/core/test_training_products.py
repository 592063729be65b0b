"""Products with binary weights and all their gradients, in every instruction set, against torch in float64."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pbgen.training.products import binary_convolution

TOLERANCE = 2e-5  # of the largest value

Two = tuple[int, int]


@dataclass(frozen=True)
class Case:
    """A layer and the size of its input; of one dimension where `size` has one, linear where it has none."""

    inputs: int
    outputs: int
    size: tuple[int, ...]
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] | int = 1
    padding: tuple[int, ...] | int = 0
    output_padding: tuple[int, ...] | int = 0
    dilation: tuple[int, ...] | int = 1
    groups: int = 1
    transposed: bool = False
    batch: int = 2
    channels_last: bool = False
    bits: int = 1

    def input(self) -> Tensor:
        return self._in_memory(torch.randn(self.batch, self.inputs, *self.size))

    def weight(self) -> Tensor:
        return self.weight_and_scale()[0]

    def weight_and_scale(self) -> tuple[Tensor, Tensor]:
        """Signs times one scale an output channel, or levels of several bits; and the scales, (outputs,)."""
        ones = [1] * len(self.kernel)
        if self.transposed:
            shape = (self.groups, self.inputs // self.groups, self.outputs // self.groups, *self.kernel)
            scale = torch.rand(self.groups, 1, self.outputs // self.groups, *ones) + 0.1
        else:
            shape = (self.outputs, self.inputs // self.groups, *self.kernel)
            scale = torch.rand(self.outputs, 1, *ones) + 0.1
        weight = scale * (torch.randint(0, 2**self.bits, shape) * 2 + 1 - 2**self.bits)
        return self._in_memory(weight.flatten(0, 1) if self.transposed else weight), scale.flatten()

    def _in_memory(self, values: Tensor) -> Tensor:
        return values.to(memory_format=torch.channels_last) if self.channels_last and values.dim() == 4 else values

    def options(self) -> dict[str, Any]:
        names = ("stride", "padding", "output_padding", "dilation", "groups", "transposed")
        return {name: getattr(self, name) for name in names}

    def reference(self, x: Tensor, weight: Tensor) -> Tensor:
        if not self.kernel:
            return F.linear(x, weight)
        options = self.options()
        if options.pop("transposed"):
            up = F.conv_transpose1d if len(self.kernel) == 1 else F.conv_transpose2d
            return up(x, weight, **options)
        del options["output_padding"]
        return (F.conv1d if len(self.kernel) == 1 else F.conv2d)(x, weight, **options)


UP = {
    "dcgan first": Case(100, 48, (1, 1), (4, 4)),
    "dcgan middle": Case(70, 64, (4, 4), (5, 5), 2, 2, 1, channels_last=True),
    "dcgan last": Case(96, 3, (6, 5), (5, 5), 2, 2, 1),
    "stride 1": Case(33, 17, (5, 6), (3, 3), 1, 1),
    "stride 3": Case(6, 70, (4, 3), (5, 4), (3, 2), (1, 2), (2, 1)),
    "stride 4": Case(7, 5, (3, 3), (6, 5), 4, (1, 2), (3, 0)),
    "stride beyond kernel": Case(7, 5, (3, 4), (2, 2), (4, 3), (0, 1), (3, 2)),
    "dilation": Case(34, 9, (5, 4), (3, 3), 2, 1, 1, (3, 2)),
    "groups": Case(12, 20, (4, 4), (3, 3), 2, 1, groups=2),
    "depthwise": Case(7, 7, (5, 5), (3, 3), 2, 1, groups=7),
    "one channel": Case(1, 1, (4, 4), (3, 3), 2, 1),
    "three hundred": Case(300, 260, (2, 3), (2, 3)),
    "one dimension": Case(20, 35, (11,), (5,), 3, 2, 1),
    "no pixel meets a tap": Case(5, 6, (1, 1), (2, 2), 4, 1, 0, 2),
}

DOWN = {
    "dcgan first": Case(3, 64, (8, 8), (5, 5), 2, 2, channels_last=True),
    "dcgan middle": Case(64, 70, (8, 8), (5, 5), 2, 2, channels_last=True),
    "dcgan last": Case(130, 1, (4, 4), (4, 4)),
    "rows left over": Case(9, 33, (8, 10), (3, 3), 3, 0),
    "stride beyond kernel": Case(9, 33, (8, 9), (2, 2), (4, 3)),
    "dilation": Case(40, 6, (9, 8), (3, 2), (1, 2), (2, 1), 0, (2, 3)),
    "groups": Case(66, 34, (5, 5), (3, 3), 1, 1, groups=2),
    "depthwise": Case(9, 18, (5, 5), (3, 3), 1, 1, groups=9),
    "one dimension": Case(17, 40, (13,), (4,), 2, 1),
    "many images": Case(50, 60, (3, 3), (3, 3), 1, 1, batch=70),
    "linear": Case(100, 57, ()),
    "linear, one": Case(1, 1, ()),
}

CASES = {f"up: {name}": Case(**(vars(case) | {"transposed": True})) for name, case in UP.items()}
CASES |= {f"down: {name}": case for name, case in DOWN.items()}


def all_equal(case: Case) -> None:
    x, (weight, scale) = case.input().requires_grad_(), case.weight_and_scale()
    weight.requires_grad_()
    exact_x, exact_weight = x.detach().double().requires_grad_(), weight.detach().double().requires_grad_()
    exact = case.reference(exact_x, exact_weight)
    several = {} if case.bits == 1 else {"scale": scale, "bits": case.bits}
    y = binary_convolution(x, weight, **case.options(), **several)
    assert case.channels_last or y.is_contiguous()
    towards = torch.randn_like(exact)
    gradients = torch.autograd.grad(y, (x, weight), towards.float())
    exact_gradients = torch.autograd.grad(exact, (exact_x, exact_weight), towards)
    for ours, theirs in zip((y, *gradients), (exact, *exact_gradients), strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("name", CASES)
def test_output_and_gradients(name: str, arch: str) -> None:
    all_equal(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_several_bits(name: str, arch: str) -> None:
    all_equal(replace(CASES[name], bits=3))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    def two(low: int, high: int) -> Two:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    kernel, stride, dilation, transposed = two(1, 5), two(1, 4), two(1, 3), draw(st.booleans())
    padding = draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1))
    longest = [max(s, d) - 1 for s, d in zip(stride, dilation, strict=True)]
    output_padding = (draw(st.integers(0, longest[0])), draw(st.integers(0, longest[1]))) if transposed else (0, 0)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    size = tuple(r + 2 * p + n for r, p, n in zip(reach, padding, two(0, 4), strict=True))
    inputs, outputs = (groups * draw(st.integers(1, 70 // groups)) for _ in range(2))
    return Case(
        inputs, outputs, size, kernel, stride, padding, output_padding, dilation, groups, transposed,
        draw(st.integers(1, 5)), draw(st.booleans()), draw(st.integers(1, 4)),
    )  # fmt: skip


@given(cases())
@settings(max_examples=150, deadline=None)
def test_random_layers(case: Case) -> None:
    all_equal(case)


def twice_differentiated(x: Tensor, weight: Tensor, second: Tensor, layer: Any) -> tuple[Tensor, ...]:
    """A penalty on the gradient of two layers, differentiated by input and weights."""
    y = layer(torch.tanh(layer(x, weight)), second)
    (gradient,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    return torch.autograd.grad(gradient.square().sum() + y.sum(), (x, weight, second))


def test_gradients_of_gradients() -> None:
    case = Case(12, 12, (5, 5), (3, 3), 1, 1, groups=2)
    leaves = [tensor.requires_grad_() for tensor in (case.input(), case.weight(), case.weight())]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    ours = twice_differentiated(*leaves, lambda x, w: binary_convolution(x, w, **case.options()))
    for mine, theirs in zip(ours, twice_differentiated(*exact, case.reference), strict=True):
        assert (mine - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


def test_a_gradient_that_leaves_the_weights_out_does_not_disturb_the_next() -> None:
    case = CASES["down: groups"]
    x, weight = case.input().requires_grad_(), case.weight().requires_grad_()
    loss = binary_convolution(x, weight, **case.options()).square().sum()
    torch.autograd.grad(loss, x, retain_graph=True)
    (first,) = torch.autograd.grad(loss, weight, retain_graph=True)
    (again,) = torch.autograd.grad(loss, weight)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    exact = weight.detach().clone().requires_grad_()
    (theirs,) = torch.autograd.grad(case.reference(x.detach(), exact).square().sum(), exact)
    torch.testing.assert_close(first, theirs, rtol=1e-4, atol=1e-3)


def test_the_same_on_any_number_of_threads() -> None:
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            torch.manual_seed(1)
            case = CASES["up: dcgan middle"]
            x, weight = case.input().requires_grad_(), case.weight().requires_grad_()
            y = binary_convolution(x, weight, **case.options())
            results.append((y, *torch.autograd.grad(y, (x, weight), torch.randn(y.shape))))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for mine, first in zip(other, results[0], strict=True):
            torch.testing.assert_close(mine, first, rtol=0, atol=0)
