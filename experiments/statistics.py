"""Ratios with their intervals, rank correlation, and power laws."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .trial import Result, Trial

# Student's t, 97.5th percentile, by degrees of freedom; beyond the table the normal distribution's is near enough.
_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228}


@dataclass(frozen=True)
class Ratio:
    """A ratio of scores over several seeds: the geometric mean and its 95% interval (infinite for one seed).

    That of two seeds, with a t of 12.7, says no more than none, and is not shown.
    """

    mean: float
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float], references: Sequence[float]) -> "Ratio":
        """Of `values` over `references`, paired by seed; Student's t on the logarithms."""
        logs = np.log(np.asarray(values) / np.asarray(references))
        n = len(logs)
        reach = _T.get(n - 1, 1.96) * logs.std(ddof=1) / np.sqrt(n) if n > 1 else np.inf
        mean = logs.mean()
        return cls(float(np.exp(mean)), float(np.exp(mean - reach)), float(np.exp(mean + reach)), n)

    @property
    def telling(self) -> bool:
        """Whether the interval is worth showing."""
        return self.seeds > 2

    def __str__(self) -> str:
        return f"{self.mean:.2f} ({self.low:.2f}-{self.high:.2f})" if self.telling else f"{self.mean:.2f}"


def ranks(values: Sequence[float]) -> np.ndarray:
    """The place of each value in ascending order, equal values sharing the mean of theirs."""
    array = np.asarray(values, dtype=np.float64)
    return np.array([(array < value).sum() + ((array == value).sum() - 1) / 2 for value in array])


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Spearman's rank correlation, -1 to 1."""
    return float(np.corrcoef(ranks(xs), ranks(ys))[0, 1])


@dataclass(frozen=True)
class PowerLaw:
    """a / x^p."""

    a: float
    p: float

    def at(self, x: float) -> float:
        """Its value."""
        return float(self.a / x**self.p)

    def inverse(self, value: float) -> float:
        """Where it has a value."""
        return float((self.a / value) ** (1 / self.p)) if self.p else np.nan


def fit(values: list[float], damages: list[float]) -> PowerLaw:
    """The power law, p from -1 to 1, that is nearest to the damages in least squares."""
    x, d = np.array(values), np.array(damages)
    laws = []
    for p in np.linspace(-1, 1, 41):
        scale = x**-p
        a = float(scale @ d / (scale @ scale))
        laws.append((float(np.square(a * scale - d).sum()), a, float(p)))
    return PowerLaw(*min(laws)[1:])


def ratio(
    results: Mapping[Trial, Result],
    trials: Iterable[Trial],
    references: Iterable[Trial],
    pixels: int | None = None,
) -> Ratio | None:
    """The score of trials over that of their references, as far as there are results of both.

    `pixels`: of this level of the image pyramid alone.
    """
    pairs = [(results.get(trial), results.get(other)) for trial, other in zip(trials, references, strict=True)]
    scores = [(a.score_at(pixels), b.score_at(pixels)) for a, b in pairs if a and b and not a.failure and not b.failure]
    return Ratio.of(*zip(*scores, strict=True)) if scores else None
