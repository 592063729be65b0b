"""A product as a matrix times columns: for each output position, one number for each weight of an output to meet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pbgen.operators import Product, name_of

_LEAST_POSITIONS = 16384
_POSITIONS = 4  # times as many as weights of an output, at least
_OF_AN_EXAMPLE = 2048  # positions, as far as there are no more numbers than these
_MOST_NUMBERS = 1 << 26


@dataclass(frozen=True)
class Call:
    """Of an operator that multiplies. Of many positions a part is looked at, the same for the same shapes."""

    func: torch._ops.OpOverload
    args: tuple[Any, ...]
    product: Product
    result: Tensor

    def rows(self, weight: Tensor) -> Tensor | None:
        """What is laid out as the weight, as (groups, outputs of a group, n); None of operators without columns."""
        match name_of(self.func):
            case "convolution":
                *_, transposed, _, groups = self.args
                weight = weight.reshape(groups, -1, *weight.shape[1:])
                return (weight.transpose(1, 2) if transposed else weight).flatten(2)
            case "mm" | "addmm":
                return (weight if self.product.axis == -2 else weight.T)[None]
        return None

    def columns(self) -> Tensor:
        """What the rows meet, (groups, n, positions): rows times these are `values`."""
        value = self.product.value
        if name_of(self.func) == "convolution":
            return self._neighbours(value)
        return (value if self.product.axis == -2 else value.T)[None][:, :, self._sample(1, self._channels().shape[1])]

    def values(self) -> Tensor:
        """(outputs, positions), without the bias."""
        values, bias = self._channels(), self.product.bias
        examples = len(self.result) if name_of(self.func) == "convolution" else 1
        values = values.reshape(len(values), examples, -1)
        values = values[:, :, self._sample(examples, values.shape[2])].flatten(1)
        return values - bias.reshape(-1, 1) if bias is not None and bias.numel() == len(values) else values

    def _channels(self) -> Tensor:
        return self.result.movedim(self.product.axis, 0).flatten(1)

    def _sample(self, examples: int, positions: int) -> Tensor:
        met = self.product.weight.numel() // len(self._channels())
        least = -(-max(_LEAST_POSITIONS, _POSITIONS * met) // examples)
        some = max(least, min(_OF_AN_EXAMPLE, _MOST_NUMBERS // met // examples))
        if positions <= some:
            return torch.arange(positions)
        return torch.randperm(positions, generator=torch.Generator().manual_seed(positions))[:some]

    def _neighbours(self, value: Tensor) -> Tensor:
        stride, padding, dilation, transposed, more, groups = self.args[3:]
        reach = [rate * (size - 1) for rate, size in zip(dilation, self.product.weight.shape[2:], strict=True)]
        taps = [range(0, last + 1, rate) for last, rate in zip(reach, dilation, strict=True)]
        edges = [(pad, pad) for pad in padding]
        if transposed:  # it is a convolution of the inputs with zeros between them, the kernel turned round
            value = _spread(value, stride)
            edges = [(last - pad, last - pad + extra) for last, pad, extra in zip(reach, padding, more, strict=True)]
            taps, stride = [tap[::-1] for tap in taps], [1] * len(stride)
        value = F.pad(value, [edge for pair in reversed(edges) for edge in pair])
        sizes = value.shape[2:]
        corners = [range(0, size - last, step) for size, last, step in zip(sizes, reach, stride, strict=True)]
        places = _places(corners, sizes)
        places = _places(taps, sizes)[:, None] + places[self._sample(len(value), len(places))]
        met = value.flatten(2)[:, :, places]  # (examples, channels, taps, positions)
        met = met.view(len(met), groups, -1, *places.shape)
        return met.permute(1, 2, 3, 0, 4).flatten(3).flatten(1, 2)


def _spread(value: Tensor, stride: Sequence[int]) -> Tensor:
    sizes = [(size - 1) * step + 1 for size, step in zip(value.shape[2:], stride, strict=True)]
    spread = value.new_zeros(*value.shape[:2], *sizes)
    between: Any = (..., *(slice(None, None, step) for step in stride))
    spread[between] = value
    return spread


def _places(axes: Sequence[range], sizes: Sequence[int]) -> Tensor:
    """Of all combinations, the place in an array of these sizes."""
    place = torch.zeros(1, dtype=torch.int64)
    for axis, size in zip(axes, sizes, strict=True):
        place = (place[:, None] * size + torch.tensor(axis)).flatten()
    return place
