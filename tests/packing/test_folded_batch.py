"""Modules that fold channels into the batch, or the batch into channels, and so treat each channel as an image."""

import pytest
import torch
import torch.nn.functional as F
from small_modules import Function
from torch import Tensor, nn

from pbgen.errors import PBGenError
from pbgen.packing import pack

torch.manual_seed(0)

BLUR = torch.rand(1, 1, 4, 3)


def blurred(x: Tensor) -> Tensor:
    """One kernel for all channels, each an image of its own."""
    n, c, h, w = x.shape
    y = F.conv2d(x.reshape(n * c, 1, h, w), BLUR.to(x), torch.tensor([0.3]).to(x), stride=(2, 1), padding=1)
    return y.view(n, c, *y.shape[2:])


def enlarged(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    y = F.conv_transpose2d(x.reshape(n * c, 1, h, w), BLUR.to(x).expand(1, 2, 4, 3), stride=2)
    return y.reshape(n, 2 * c, *y.shape[2:])


def in_pairs(x: Tensor) -> Tensor:
    """Two channels an image, in more images than are taken apart one by one."""
    n, c, h, w = x.shape
    y = F.conv2d(x.reshape(n * c // 2, 2, h, w), torch.cat([BLUR, -BLUR, BLUR / 2]).to(x).expand(3, 2, 4, 3))
    return y.reshape(n, 3 * c // 2, *y.shape[2:])


def by_a_computed_kernel(x: Tensor) -> Tensor:
    made = []
    for image in x.split(1):
        kernel = F.softmax(image.mean((2, 3))[:, :9], 1).view(1, 1, 3, 3)
        made.append(F.conv2d(image.transpose(0, 1), kernel).transpose(0, 1))
    return torch.cat(made)


def in_patches(x: Tensor) -> Tensor:
    """The patches of each of some heads, as a local attention reads them, and back."""
    n, c, h, w = x.shape
    patches = F.unfold(x.reshape(n * c // 2, 2, h, w), 3, padding=1)
    return F.fold(patches.relu(), (h, w), 3, padding=1).reshape(n, c, h, w)


def test_patches_of_heads(compare) -> None:
    assert compare(Function(in_patches), (8, 7, 6), others=[(8, 9, 12)]).free == ["h", "w"]


@pytest.mark.parametrize("function", [blurred, enlarged, in_pairs])
def test_channels_as_images(compare, function) -> None:
    packed = compare(Function(function), (140, 7, 6), others=[(140, 9, 12)])
    assert packed.ops == ["conv_transpose" if function is enlarged else "conv"]


def test_channels_as_images_by_a_computed_kernel(compare) -> None:
    assert "conv" in compare(Function(by_a_computed_kernel), (70, 7, 6), others=[(70, 9, 12)]).ops


class ByBatchNorm(nn.Module):
    """Instance norm, with a gain and a bias from another input, written as the batch norm of one image."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 12)
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("variance", torch.ones(6))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        n, c, h, w = x.shape
        gain, bias = (part.reshape(-1) for part in self.linear(style).chunk(2, 1))
        mean, variance = self.mean.repeat(n), self.variance.repeat(n)
        return F.batch_norm(x.reshape(1, n * c, h, w), mean, variance, gain, bias, training=True).view(n, c, h, w)


def test_batch_norm_of_one_image_is_instance_norm(compare) -> None:
    packed = compare(ByBatchNorm(), [(6, 7, 9), (8,)], others=[[(6, 4, 5), (8,)]])
    assert packed.free == ["h", "w"]


def test_running_statistics_that_are_written_but_not_read(compare) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(1))
            self.register_buffer("variance", torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            images = x.reshape(1, len(x), -1).transpose(0, 1)  # each by itself
            return torch.cat([F.batch_norm(one[None], self.mean, self.variance, training=True) for one in images])

    compare(Own(), (30,), batches=(1,))


def test_a_batch_norm_that_mixes_images_is_refused_by_name(tmp_path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False))
    with pytest.raises(PBGenError, match=r'depends on the others.*batch_norm in layer "1" \(BatchNorm2d\).*running'):
        pack(module, torch.randn(2, 3, 5, 6), tmp_path / "g.safetensors")
