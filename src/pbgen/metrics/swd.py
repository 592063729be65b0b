"""Sliced Wasserstein distance between two sets of images (Karras et al. 2018, arXiv 1710.10196).

    levels     the Laplacian pyramid of each image, from its own size down to 16 pixels (values 0 to 255)
    patches    of each image and level, 128 patches of 7 x 7 pixels at places of their own
    normalized of each set and level: minus each channel's mean, over its standard deviation, over all patches
    distance   of a level: over 4 x 128 random unit directions, mean |sort(real . d) - sort(fake . d)|

Each set is cut at places of its own, so a set is as far from itself as from another drawn from the same images. That
distance, the floor, is not 0 but falls as 1 / sqrt(n): figures compare at equal n only. A change of a channel's
brightness or contrast cannot be seen.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pbgen.errors import PBGenError
from pbgen.metrics.pyramid import laplacian
from pbgen.processors import usable_processors

PATCH = 7
PATCHES = 128
DIRECTIONS = 128
REPEATS = 4
_SMALLEST = 16
_BLOCK = 64  # images worked on at a time


@dataclass(frozen=True)
class SlicedWasserstein:
    """The distance of each level of the pyramid, named by its size in pixels, x 1000."""

    levels: dict[int, float]

    @property
    def mean(self) -> float:
        """The mean over the levels, x 1000."""
        return sum(self.levels.values()) / len(self.levels)

    def __str__(self) -> str:
        levels = ", ".join(f"{size} px {value:.2f}" for size, value in self.levels.items())
        return f"{self.mean:.2f} ({levels})"


def sliced_wasserstein(
    real: npt.NDArray[np.uint8] | Tensor, fake: npt.NDArray[np.uint8] | Tensor, seed: int = 0
) -> SlicedWasserstein:
    """The sliced Wasserstein distance between two sets of as many images, uint8 (N, C, H, W), H = W even, 16 or more.

    The same to the bit for any number of threads; processors differ in the order of sums (a relative 1e-5). Beside the
    images it takes some 150 KiB for each pair of images (0.6 GiB for 4,096) and 50 MB more, whatever their size.

    Raises PBGenError where the sets are of other types, shapes or sizes.
    """
    sets = [_checked("real", real), _checked("fake", fake)]
    if sets[0].shape != sets[1].shape:
        raise PBGenError(f"real {tuple(real.shape)}, fake {tuple(fake.shape)}: give as many images of the same shape")
    n, channels, size, _ = sets[0].shape
    sizes = level_sizes(size)
    levels = {}
    with _workers() as workers:
        for level, (width, drawn) in enumerate(zip(sizes, draw(seed, n, channels, sizes), strict=True)):
            cuts = [
                _Cut(images, level, width == sizes[-1], places, workers)
                for images, places in zip(sets, drawn.places, strict=True)
            ]
            levels[width] = 1000 * _distance(cuts, drawn.directions)
    return SlicedWasserstein(levels)


def level_sizes(size: int) -> list[int]:
    """The sizes of the pyramid's levels: halved while even and the half is at least 16 pixels."""
    sizes = [size]
    while sizes[-1] % 2 == 0 and sizes[-1] // 2 >= _SMALLEST:
        sizes.append(sizes[-1] // 2)
    return sizes


@dataclass(frozen=True)
class Draw:
    """What chance decides of a level.

    places: of the real set and of the other, row and column of the upper left pixel of each patch of each image, int64
    (n, PATCHES, 2).
    directions: unit vectors, float32 (REPEATS * DIRECTIONS, channels * PATCH * PATCH).
    """

    places: tuple[Tensor, Tensor]
    directions: Tensor


def draw(seed: int, n: int, channels: int, sizes: list[int]) -> list[Draw]:
    """Draw for levels of these sizes, all from one generator: the other set's places after all else."""
    generator = torch.Generator().manual_seed(seed)
    first = [(_draw_places(generator, n, size), _draw_directions(generator, channels)) for size in sizes]
    return [
        Draw((real, _draw_places(generator, n, size)), directions)
        for size, (real, directions) in zip(sizes, first, strict=True)
    ]


def _draw_places(generator: torch.Generator, n: int, size: int) -> Tensor:
    return torch.randint(0, size - PATCH + 1, (n, PATCHES, 2), generator=generator)


def _draw_directions(generator: torch.Generator, channels: int) -> Tensor:
    drawn = torch.randn(REPEATS * DIRECTIONS, channels * PATCH * PATCH, generator=generator)
    return torch.nn.functional.normalize(drawn)


@contextmanager
def _workers() -> Iterator[ThreadPoolExecutor]:
    """As many threads as torch would use and as can run at once, which share out the blocks of images; torch itself
    uses one for each block.

    So a sum is taken in the same order whatever their number, and threads seldom wait for each other.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(min(threads, usable_processors())) as workers:
            yield workers
    finally:
        torch.set_num_threads(threads)


class _Cut:
    """The normalized patches of one level of one set. They are cut anew at each use, for all would fill the memory."""

    def __init__(self, images: Tensor, level: int, last: bool, places: Tensor, workers: ThreadPoolExecutor) -> None:
        self._images = images
        self._level = level
        self._last = last
        self._places = places
        self._workers = workers
        self._mean, self._deviation = self._statistics()

    def project(self, directions: Tensor) -> npt.NDArray[np.float32]:
        """All patches' products with each direction, in ascending order, (directions, n * PATCHES)."""
        values = np.empty((len(directions), len(self._images) * PATCHES), np.float32)

        def fill(first: int) -> None:
            images, places = self._block(first)
            patches = _patches((images - self._mean) / self._deviation, places)
            values[:, first * PATCHES : first * PATCHES + len(patches)] = (directions @ patches.T).numpy()

        list(self._workers.map(fill, range(0, len(self._images), _BLOCK)))
        list(self._workers.map(np.ndarray.sort, values))
        return values

    def _block(self, first: int) -> tuple[Tensor, Tensor]:
        rows = slice(first, first + _BLOCK)
        return laplacian(self._images[rows].float(), self._level, self._last), self._places[rows]

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Each channel's mean and standard deviation over all patches, (C, 1, 1)."""

        def of_block(first: int) -> tuple[int, Tensor, Tensor]:
            images, places = self._block(first)
            patches = _patches(images, places).view(-1, images.shape[1], PATCH * PATCH)
            channels = patches.transpose(0, 1).flatten(1).double()
            return channels.shape[1], *torch.var_mean(channels, 1, correction=0)

        count, mean, squares = 0, torch.zeros(1), torch.zeros(1)
        for n, variance, centre in self._workers.map(of_block, range(0, len(self._images), _BLOCK)):
            # Chan's rule: exact for a constant channel, which plain sums of squares are not.
            step = centre - mean
            squares = squares + n * variance + step.square() * (count * n / (count + n))
            mean = mean + step * (n / (count + n))
            count += n
        deviation = (squares / count).sqrt()
        deviation[deviation == 0] = 1  # a constant channel has nothing to be scaled
        return mean.float().view(-1, 1, 1), deviation.float().view(-1, 1, 1)


def _distance(cuts: list[_Cut], directions: Tensor) -> float:
    return float(np.mean([_sorted_difference(cuts, some) for some in torch.split(directions, DIRECTIONS)]))


def _sorted_difference(cuts: list[_Cut], directions: Tensor) -> float:
    real, fake = (cut.project(directions) for cut in cuts)
    return float(np.mean([np.abs(a - b).mean(dtype=np.float64) for a, b in zip(real, fake, strict=True)]))


def _patches(images: Tensor, places: Tensor) -> Tensor:
    """Cut (n, C, H, W) at places (n, k, 2): (n * k, C * PATCH * PATCH)."""
    windows = images.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
    image = torch.arange(len(images))[:, None]
    return windows[image, :, places[..., 0], places[..., 1]].flatten(0, 1).flatten(1)


def _checked(name: str, images: Any) -> Tensor:
    tensor = torch.as_tensor(images).cpu() if isinstance(images, np.ndarray | Tensor) else None
    if tensor is None or tensor.dtype != torch.uint8 or tensor.ndim != 4:
        got = type(images).__name__ if tensor is None else f"{tensor.dtype} of shape {tuple(tensor.shape)}"
        raise PBGenError(f"{name} images: got {got}; give uint8 (N, C, H, W), values 0 to 255")
    n, channels, height, width = tensor.shape
    if n == 0 or channels == 0:
        raise PBGenError(f"{name} images: there are none in {tuple(tensor.shape)}; give uint8 (N, C, H, W)")
    if height != width or height < _SMALLEST or height % 2:
        raise PBGenError(
            f"{name} images: {height}x{width} pixels; give square ones of an even size, {_SMALLEST} or more"
        )
    return tensor
