"""How good a generator is: sliced Wasserstein distance over several seeds, beside the real-against-real floor."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pbgen.errors import PBGenError
from pbgen.metrics import SlicedWasserstein, sliced_wasserstein

if TYPE_CHECKING:
    from pbgen.data import ImageSource

Images = NDArray[np.uint8]

HELD_OUT = 1 << 40
"""Where an endless source is read: far beyond what any training run has seen."""


@dataclass(frozen=True)
class Spread:
    """A figure over several seeds: its mean and standard deviation (ddof 1; 0 for a single seed)."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(fmean(values), stdev(values) if len(values) > 1 else 0.0)

    def __str__(self) -> str:
        return f"{self.mean:.1f} ± {self.deviation:.1f}" if self.deviation else f"{self.mean:.1f}"


@dataclass(frozen=True)
class Evaluation:
    """Distances x 1000 between sets of `images` images: real against generated, and real against other real ones.

    levels, floor_levels: the same for each size of the Laplacian pyramid. `mean`, `floor`: over the levels.
    """

    images: int
    seeds: int
    mean: Spread
    levels: dict[int, Spread]
    floor: Spread
    floor_levels: dict[int, Spread]


def evaluate(
    sample: Callable[[int, int], Images],
    real: Images,
    seeds: int = 3,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Judge a generator against `real`, uint8 (2n, C, H, W): for every seed, n random ones of them, the others (for the
    floor), and n generated images are compared.

    sample: called with n and a seed, gives n generated images, uint8 (n, C, H, W).
    progress: called with the seeds done and their number.
    """
    n = len(real) // 2
    generated, floor = [], []
    for seed in range(seeds):
        progress(seed, seeds)
        order = np.random.default_rng(seed).permutation(len(real))
        one, other = real[order[:n]], real[order[n : 2 * n]]
        generated.append(sliced_wasserstein(one, sample(n, seed), seed=seed))
        floor.append(sliced_wasserstein(one, other, seed=seed))
    progress(seeds, seeds)
    mean, levels = _summary(generated)
    floor_mean, floor_levels = _summary(floor)
    return Evaluation(n, seeds, mean, levels, floor_mean, floor_levels)


def real_images(source: "ImageSource", n: int) -> Images:
    """2n different images for `evaluate`; from an endless source, ones that no training run has seen.

    Raises PBGenError where the source has fewer.
    """
    if source.count is None:
        return source.images(HELD_OUT + np.arange(2 * n, dtype=np.int64))
    if source.count < 2 * n:
        raise PBGenError(
            f"{source.name}: has {source.count} images, and {n} need twice as many; give -n {source.count // 2} or less"
        )
    chosen = np.random.default_rng(0).permutation(source.count)[: 2 * n]
    return source.images(chosen.astype(np.int64))


def _summary(distances: list[SlicedWasserstein]) -> tuple[Spread, dict[int, Spread]]:
    levels = {size: Spread.of([d.levels[size] for d in distances]) for size in distances[0].levels}
    return Spread.of([d.mean for d in distances]), levels
