"""Random generators, binarized at random: engine, rebuilt module and torch must agree."""

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pbgen.binarize import LAYER_KINDS, METHODS, binarize

Shape = tuple[int, ...]
Draw = st.DrawFn


class Joined(nn.Module):
    """x beside what a branch makes of it: summed (axis 0) or concatenated."""

    def __init__(self, branch: nn.Module, axis: int) -> None:
        super().__init__()
        self.branch, self.axis = branch, axis

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x) if self.axis == 0 else torch.cat([x, self.branch(x)], self.axis)


def shape_of(module: nn.Module, shape: Shape) -> Shape:
    with torch.no_grad():
        return tuple(module.eval()(torch.zeros(2, *shape)).shape[1:])


def divisor(draw: Draw, *numbers: int) -> int:
    return draw(st.sampled_from([n for n in (1, 2, 3, 4, 6) if all(number % n == 0 for number in numbers)]))


def linear(draw: Draw, shape: Shape) -> nn.Module:
    return nn.Linear(shape[0], draw(st.sampled_from([6, 12, 20])), draw(st.booleans()))


def unflatten(draw: Draw, shape: Shape) -> nn.Module:
    channels = divisor(draw, shape[0])
    return nn.Unflatten(1, draw(st.sampled_from([(channels, -1), (channels, -1, 1), (channels, 1, -1)])))


def ordinary(draw: Draw, shape: Shape) -> nn.Module:
    dims, out = len(shape) - 1, draw(st.sampled_from([2, 3, 4, 6]))
    kernel = [draw(st.integers(1, 3)) for _ in range(dims)]
    padding = draw(st.integers(2, 3))  # so that even one pixel is enough
    options = {"stride": draw(st.integers(1, 3)), "groups": divisor(draw, shape[0], out), "bias": draw(st.booleans())}
    return (nn.Conv1d if dims == 1 else nn.Conv2d)(shape[0], out, kernel, padding=padding, **options)


def transposed(draw: Draw, shape: Shape) -> nn.Module:
    dims, out = len(shape) - 1, draw(st.sampled_from([2, 3, 4, 6]))
    stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    kernel = draw(st.integers(2, 5))
    reach = dilation * (kernel - 1)
    options = {
        "stride": stride,
        "dilation": dilation,
        "padding": draw(st.integers(0, reach // 2)),
        "output_padding": draw(st.integers(0, max(stride, dilation) - 1)),
        "groups": divisor(draw, shape[0], out),
        "bias": draw(st.booleans()),
    }
    return (nn.ConvTranspose1d if dims == 1 else nn.ConvTranspose2d)(shape[0], out, kernel, **options)


def norm(draw: Draw, shape: Shape) -> nn.Module:
    return (nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(shape[0], affine=draw(st.booleans()))


def activation(draw: Draw, shape: Shape) -> nn.Module:
    return draw(st.sampled_from([nn.ReLU(), nn.LeakyReLU(0.2), nn.Tanh(), nn.Sigmoid(), nn.Dropout()]))


def upsample(draw: Draw, shape: Shape) -> nn.Module:
    corners = draw(st.sampled_from([None, False, True])) if len(shape) == 3 else None
    factor = draw(st.sampled_from([1.0, 1.5, 2.0, 3.0]))
    return nn.Upsample(scale_factor=factor, mode="nearest" if corners is None else "bilinear", align_corners=corners)


def rearranged(draw: Draw, shape: Shape) -> nn.Module:
    if len(shape) == 3 and shape[0] % 4 == 0:
        return nn.PixelShuffle(2)
    return nn.Flatten(draw(st.integers(1, len(shape))))


def joined(draw: Draw, shape: Shape) -> nn.Module:
    kind = [nn.Linear, nn.Conv1d, nn.Conv2d][len(shape) - 1]
    if draw(st.booleans()):
        branch = kind(shape[0], shape[0], **({} if len(shape) == 1 else {"kernel_size": 3, "padding": 1}))
        return Joined(
            nn.Sequential(branch, activation(draw, shape)), draw(st.sampled_from([0, 0, *range(1, len(shape) + 1)]))
        )
    return Joined(kind(shape[0], 5, **({} if len(shape) == 1 else {"kernel_size": 1})), 1)


@st.composite
def generators(draw: Draw) -> tuple[nn.Module, Shape]:
    """A stack of two to seven random layers, some of them binary, and the shape of its input."""
    torch.manual_seed(draw(st.integers(0, 1000)))
    start = draw(st.sampled_from([(7,), (12,), (4, 5), (6, 3, 4), (4, 1, 1)]))
    stack: list[nn.Module] = [nn.Tanh()]  # so that something is left to pack where all else does nothing
    shape = start
    for _ in range(draw(st.integers(2, 7))):
        flat = len(shape) == 1
        choices = [linear, unflatten] if flat else [ordinary, transposed, upsample, rearranged]
        layer = draw(st.sampled_from([*choices, norm, activation, joined]))(draw, shape)
        after = shape_of(layer, shape)
        if torch.Size(after).numel() <= 2500:
            stack.append(layer)
            shape = after
    module = nn.Sequential(*stack)
    for name, layer in list(module.named_modules()):
        method = draw(st.sampled_from([None, *METHODS])) if isinstance(layer, LAYER_KINDS) else None
        if method and layer.weight[0].numel() > 1 and layer.weight[:, 0].numel() > 1:
            binarize(module, [name], method)
    return module, start


@settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(generators(), st.integers(1, 33))
def test_random_generators(compare, generator: tuple[nn.Module, Shape], batch: int) -> None:
    module, shape = generator
    compare(module, shape, (1, batch))
