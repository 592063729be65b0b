"""Products with binary weights and their gradients on the CPU, by PBGen's own kernels, for autograd.

A convolution and a transposed convolution are one product in two directions, between a small image (the convolution's
output) and a large one (its input), so each is the other's gradient. With binary weights both need no multiplication
but one a channel. The gradient to the weights has no such short cut: it is one matrix product for each tap of the
kernel, over the pixels that meet under it.

Everything is exact but for the order of float32 sums, and does not depend on the number of threads.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor

from pbgen import _core

Two: TypeAlias = tuple[int, int]
Numbers: TypeAlias = int | tuple[int, ...]  # one for all dimensions of the image, or one each

_USES = 64  # of a layer that one token can tell apart


@dataclass(frozen=True)
class Geometry:
    """A convolution or a transposed convolution; of one dimension or none, the others have kernel 1."""

    transposed: bool
    channels: Two  # of the small and of the large image
    groups: int = 1
    kernel: Two = (1, 1)
    stride: Two = (1, 1)
    padding: Two = (0, 0)
    dilation: Two = (1, 1)
    output_padding: Two = (0, 0)

    @classmethod
    def of(
        cls,
        weight: Tensor,
        stride: Numbers = 1,
        padding: Numbers = 0,
        output_padding: Numbers = 0,
        dilation: Numbers = 1,
        groups: int = 1,
        transposed: bool = False,
    ) -> "Geometry":
        """That of a layer with this weight; the others as torch's functions take them."""
        dimensions = weight.dim() - 2
        return cls(
            transposed,
            (weight.shape[0], weight.shape[1] * groups),
            groups,
            _two(tuple(weight.shape[2:]), dimensions, 1),
            _two(stride, dimensions, 1),
            _two(padding, dimensions, 0),
            _two(dilation, dimensions, 1),
            _two(output_padding, dimensions, 0),
        )

    @property
    def outputs(self) -> int:
        """Channels of the output."""
        return self.channels[1 if self.transposed else 0]

    def scale(self, weight: Tensor) -> Tensor:
        """The scales, (outputs,), of a weight that is levels of one or two bits times one scale an output channel.

        They are its smallest magnitudes: where all levels are +-3, three times the scale does as well.
        """
        magnitudes = weight.detach().abs()
        if self.transposed:
            by_group = magnitudes.view(self.groups, -1, *weight.shape[1:])
            return by_group.amin((1, *range(3, by_group.dim()))).flatten()
        return magnitudes.flatten(1).amin(1)

    def divide(self, weight: Tensor, scale: Tensor) -> Tensor:
        """The weight with each output channel divided by its number of `scale`, (outputs,)."""
        ones = [1] * (weight.dim() - 2)
        if self.transposed:
            by_group = weight.view(self.groups, -1, *weight.shape[1:])
            return (by_group / scale.view(self.groups, 1, -1, *ones)).view(weight.shape)
        return weight / scale.view(-1, 1, *ones)

    def output_size(self, size: Two) -> Two:
        """Height and width of the output for those of the input."""
        height, width = (self._output_size(axis, size[axis]) for axis in (0, 1))
        return height, width

    def _output_size(self, axis: int, size: int) -> int:
        reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        if self.transposed:
            return (size - 1) * self.stride[axis] - 2 * self.padding[axis] + reach + self.output_padding[axis]
        return (size + 2 * self.padding[axis] - reach) // self.stride[axis] + 1

    @property
    def native(self) -> _core.WeightShape:
        """The same for the core."""
        small, large = (channels // self.groups for channels in self.channels)
        return _core.WeightShape(self.groups, small, large, self.kernel, self.stride, self.padding, self.dilation)


def _two(numbers: Numbers, dimensions: int, missing: int) -> Two:
    """One number for height and one for width, with `missing` for those that there are not."""
    given = numbers if isinstance(numbers, tuple) else (numbers,) * dimensions
    height, width = (missing,) * (2 - dimensions) + given
    return height, width


def _size(images: Tensor) -> Two:
    """Height and width of images (N, H, W, C)."""
    return images.shape[1], images.shape[2]


class PackedSigns:
    """The signs of a weight, or its planes of them, and the scales (output channels,), as the products read them."""

    def __init__(self, geometry: Geometry, weight: Tensor, scale: Tensor | None, bits: int = 1) -> None:
        """Pack `weight`, shaped as the layer has it. Of one bit only signs count, and scales of None stand for the mean
        |w| of each output channel; of several, the levels nearest to weight / scale."""
        self.geometry = geometry
        self.shape = geometry.native
        weight = weight.detach()
        if bits > 1:
            weight = geometry.divide(weight, cast(Tensor, scale))
        self.weight = weight.movedim(1, -1).contiguous()  # (small, taps..., large / groups)
        self.signs = _core.Signs(self.shape, self.weight.data_ptr(), bits, torch.get_num_threads())
        self.share = 0.0 if scale is not None else geometry.outputs / weight.numel()
        self.scale = (self.signed_sums(self.weight) * self.share) if scale is None else scale.detach().contiguous()

    def signed_sums(self, values: Tensor) -> Tensor:
        """The sum of value times sign over each output channel; `values` laid out as `weight`."""
        sums = torch.empty(self.geometry.outputs)
        _core.signed_sums(
            self.shape,
            self.geometry.transposed,
            values.data_ptr(),
            self.weight.data_ptr(),
            sums.data_ptr(),
            torch.get_num_threads(),
        )
        return sums

    def multiply(self, images: Tensor, to_large: bool, size: Two) -> Tensor:
        """From `images` (N, H, W, C) of one side to those of the other, of `size`: by signs times scale."""
        forward = to_large == self.geometry.transposed
        if not forward:
            images = images * self.scale
        output = torch.empty(len(images), *size, self.geometry.channels[1 if to_large else 0])
        small, large = (_size(images), size) if to_large else (size, _size(images))
        self.signs.run(
            to_large,
            len(images),
            small,
            large,
            images.data_ptr(),
            self.scale.data_ptr() if forward else 0,
            output.data_ptr(),
            torch.get_num_threads(),
        )
        return output

    def gradient(self, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The gradient to signs times scale, laid out as `weight`, from pairs of a small and a large image."""
        memory: Tensor = _core.recycled_memory(self.weight.numel())
        met = [(len(small), _size(small), _size(large), small.data_ptr(), large.data_ptr()) for small, large in pairs]
        _core.weight_gradient(self.shape, met, memory.data_ptr(), torch.get_num_threads())
        return memory.view(self.weight.shape)

    def straight_through(self, gradient: Tensor) -> Tensor:
        """Turn the gradient to signs times scale into that to latent weights, in place; returns that to the scales."""
        sums = self.signed_sums(gradient)
        shift = sums * self.share
        _core.straight_through(
            self.shape,
            self.geometry.transposed,
            self.weight.data_ptr(),
            self.scale.data_ptr(),
            shift.data_ptr(),
            gradient.data_ptr(),
            torch.get_num_threads(),
        )
        return sums


@dataclass
class Source:
    """Where autograd finds a layer's weights: tensors that packed signs were made of, and the layer's uses.

    Each use of the layer is a place in a token, a small tensor that stands for the weights in autograd's graph. The
    uses do not compute a gradient to the weights: they put down what it is made of, and mark their place, so that it is
    made once for all that take part in a backward pass.
    """

    packed: PackedSigns
    weight: Tensor
    scale: Tensor | None = None
    latent: bool = False  # whether `weight` is latent: the gradient goes straight through the sign where |w| <= 1
    pairs: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    _token: Tensor | None = None
    _uses: int = 0

    def use(self) -> tuple[Tensor, int]:
        """A token and a place in it."""
        if self._token is None or self._uses % _USES == 0:
            self._uses += -self._uses % _USES  # a new token begins with place 0
            self._token = _token_of(self.weight, self.scale, self)
        self._uses += 1
        return self._token, self._uses - 1

    def close(self) -> None:
        """No further use will share a token with those so far; this breaks a circle of references."""
        self._token = None


class _Token(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor | None, source: Source) -> Tensor:
        ctx.source = source
        ctx.first = source._uses
        return torch.zeros(_USES)

    @staticmethod
    def backward(ctx: Any, marks: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        # No loss of ours asks for it: a gradient penalty differentiates the gradient to the images.
        if torch.is_grad_enabled():
            raise NotImplementedError("the gradient to binary weights cannot be differentiated again")
        source: Source = ctx.source
        packed = source.packed
        gradient = packed.gradient([source.pairs.pop(ctx.first + int(place)) for place in marks.nonzero()])
        scale = packed.straight_through(gradient) if source.latent else None
        return _like(source.weight, gradient), scale if source.scale is not None else None, None


def _like(weight: Tensor, values: Tensor) -> Tensor:
    """What lies in memory as the products have it, (small, taps..., large), as torch has the weight."""
    values = values.movedim(-1, 1)
    # The usual strides, where a size of 1 leaves a choice: torch compares them.
    return values.reshape(-1).view(weight.shape) if weight.is_contiguous() else values


class _Product(torch.autograd.Function):
    """(N, H, W, C) to (N, H', W', C'), in one direction; its gradient is the product in the other."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, token: Tensor, place: int, source: Source, to_large: bool, size: Two
    ) -> Tensor:
        images = images.contiguous()
        ctx.place, ctx.source, ctx.to_large = place, source, to_large
        ctx.size = _size(images)
        ctx.save_for_backward(images if ctx.needs_input_grad[1] else None)
        return source.packed.multiply(images, to_large, size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        source: Source = ctx.source
        gradient = gradient.contiguous()
        back = _apply(gradient, source, not ctx.to_large, ctx.size) if ctx.needs_input_grad[0] else None
        marks = None
        (images,) = ctx.saved_tensors
        if images is not None:
            pair = images.detach(), gradient.detach()
            source.pairs[ctx.place] = pair if ctx.to_large else pair[::-1]
            marks = torch.zeros(_USES)
            marks[ctx.place % _USES] = 1
        return back, marks, None, None, None, None


# torch gives `apply` no types.
_token_of: Callable[[Tensor, Tensor | None, Source], Tensor] = _Token.apply
_product: Callable[[Tensor, Tensor, int, Source, bool, Two], Tensor] = _Product.apply


def _apply(images: Tensor, source: Source, to_large: bool, size: Two) -> Tensor:
    token, place = source.use()
    return _product(images, token, place, source, to_large, size)


def _channels_last(x: Tensor) -> bool:
    """Whether torch's own operations on this tensor give channels last; where they do not, a module may use `view`."""
    return x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def product(x: Tensor, source: Source) -> Tensor:
    """The layer's output without bias, float32, for its input x: (N, C, H, W), (N, C, L), or (..., C) if linear."""
    geometry = source.packed.geometry
    dimensions = source.weight.dim() - 2
    images = x.movedim(1, -1) if dimensions else x.reshape(-1, 1, 1, x.shape[-1])
    if dimensions == 1:
        images = images.unsqueeze(1)
    size = geometry.output_size(_size(images))
    y = _apply(images, source, geometry.transposed, size)
    if dimensions == 0:
        return y.view(*x.shape[:-1], y.shape[-1])
    y = (y if dimensions == 2 else y.squeeze(1)).movedim(-1, 1)
    return y if _channels_last(x) or _channels_last(source.weight) else y.contiguous()


def binary_convolution(
    x: Tensor,
    weight: Tensor,
    stride: Numbers = 1,
    padding: Numbers = 0,
    output_padding: Numbers = 0,
    dilation: Numbers = 1,
    groups: int = 1,
    transposed: bool = False,
    scale: Tensor | None = None,
    bits: int = 1,
) -> Tensor:
    """What torch's conv1d, conv2d, conv_transpose1d, conv_transpose2d or linear (by the weight's dimensions) gives.

    float32 on the CPU. `weight` must be levels of so many bits, odd numbers below 2^bits, times `scale`, (outputs,),
    which need not be given for one bit or two; its gradient is that of any weight.
    """
    geometry = Geometry.of(weight, stride, padding, output_padding, dilation, groups, transposed)
    source = Source(PackedSigns(geometry, weight, geometry.scale(weight) if scale is None else scale, bits), weight)
    y = product(x, source)
    source.close()
    return y
