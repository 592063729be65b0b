"""How near a student's outputs are to its teacher's."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pbgen.compression.inputs import Batch, Inputs, Noise
from pbgen.compression.sound import is_sound, log_mel_distance
from pbgen.metrics import sliced_wasserstein
from pbgen.training.teacher import example_errors, outputs

_LEAST_ERROR = 1e-9  # of the variance: what is nearer is right
_CONVENTIONS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


class Psnr(NamedTuple):
    """Peak signal-to-noise ratio in decibels, over examples: median and worst."""

    median: float
    worst: float

    def __str__(self) -> str:
        return f"{self.median:.2f} dB (worst {self.worst:.2f})"


class Judge:
    """What a module makes of held-out examples, to compare others with.

    ranges: of each output, the convention that its values keep to, 0 to 1, -1 to 1 or 0 to 255; else their own. Beyond
    its ends a tenth of it is allowed for, and all of two values in a hundred. Its width is the peak of the PSNR.
    """

    def __init__(self, teacher: nn.Module, batches: Sequence[Batch]) -> None:
        self.batches = batches
        self.expected = [outputs(teacher, batch) for batch in batches]
        together = [torch.cat([value.flatten() for value in made]) for made in zip(*self.expected, strict=True)]
        self.ranges = [_range(values) for values in together]
        self.variances = [float(values.var().clamp_min(1e-12)) for values in together]

    def psnr(self, student: nn.Module) -> Psnr:
        """Of an example whose outputs are several, that of the mean error."""
        found = [self._one(student, number) for number in range(len(self.batches))]
        return Psnr(median(found), min(found))

    def _one(self, student: nn.Module, number: int) -> float:
        device = next(student.parameters()).device
        made = outputs(student, tuple(value.to(device) for value in self.batches[number]))
        errors = [
            (one.cpu() - other).square().mean() / (high - low) ** 2
            for one, other, (low, high) in zip(made, self.expected[number], self.ranges, strict=True)
        ]
        error = float(torch.stack(errors).mean())
        return -10 * torch.log10(torch.tensor(max(error, 1e-12))).item() if error == error else 0.0


def log_error(made: Tensor, right: Tensor, variance: float) -> Tensor:
    """The mean logarithm of the examples' squared errors, as parts of the variance.

    It is what a mean PSNR tells, and each example counts alike. In a mean of the errors a few would count alone, those
    that cannot be made, such as a flat part of a picture before the instance norms of a style network.
    """
    return (example_errors(made, right) / variance).clamp_min(_LEAST_ERROR).log().mean()


def _range(values: Tensor) -> tuple[float, float]:
    some = values[:: max(1, len(values) // 1_000_000)]
    low, high = (float(torch.quantile(some, q)) for q in (0.01, 0.99))
    for least, most in _CONVENTIONS:
        allowed = 0.1 * (most - least)
        if least - allowed <= low and high <= most + allowed and high - low > 0.3 * (most - least):
            return least, most
    return float(values.min()), max(float(values.max()), float(values.min()) + 1e-6)


@dataclass(frozen=True)
class Distances:
    """Between sets of images or sounds, where there are such.

    swd: sliced Wasserstein distance x 1000 of a student's images to its teacher's, of other latents; floor: that of the
    teacher's to its own. log_mel: the mean difference of log-mel spectra of held-out sounds, in decibels.
    """

    swd: float | None = None
    floor: float | None = None
    log_mel: float | None = None


@dataclass(frozen=True)
class ImageSet:
    """What the images that a generator makes of latents have in common; `ends` are those of their range."""

    channels: int
    size: int  # height and width
    ends: tuple[float, float]


def image_set(inputs: Inputs, judge: Judge) -> ImageSet | None:
    """Of images that are as good as others of their kind: made of latents, as all that the module makes."""
    if not isinstance(inputs, Noise) or len(judge.expected[0]) != 1 or not _is_image(judge.expected[0][0]):
        return None
    _, channels, size, _ = judge.expected[0][0].shape
    return ImageSet(channels, size, judge.ranges[0])


_AT_ONCE = 32  # images
_JUDGED_BY = 1024  # images


def distances(teacher: nn.Module, student: nn.Module, inputs: Inputs, judge: Judge) -> Distances:
    """What can be said of the outputs; of several, the first."""
    expected = [made[0] for made in judge.expected]
    if is_sound(expected[0]):
        made = [outputs(student, batch)[0] for batch in judge.batches]
        return Distances(log_mel=fmean(map(log_mel_distance, made, expected)))
    if image_set(inputs, judge):
        first = (2 << 40), (2 << 40) + _JUDGED_BY // _AT_ONCE  # numbers of batches that nothing else draws
        some, others = ([inputs.train(start + n, _AT_ONCE) for n in range(_JUDGED_BY // _AT_ONCE)] for start in first)
        real, again, fake = (
            torch.cat([to_pixels(outputs(module, batch)[0], judge.ranges[0]) for batch in batches])
            for module, batches in ((teacher, some), (teacher, others), (student, others))
        )
        return Distances(sliced_wasserstein(real, fake).mean, sliced_wasserstein(real, again).mean)
    return Distances()


def to_pixels(values: Tensor, ends: tuple[float, float]) -> Tensor:
    """uint8 of the same shape, 0 and 255 at the ends of a range."""
    low, high = ends
    return ((values - low) * (255 / (high - low))).clamp(0, 255).round().byte()


def _is_image(value: Tensor) -> bool:
    square = value.dim() == 4 and value.shape[1] in (1, 3) and value.shape[2] == value.shape[3]
    return square and value.shape[2] % 2 == 0 and 16 <= value.shape[2] <= 256
