"""Random numbers that depend on (seed, image, stream, position) alone, whatever batch the image is drawn in.

Counter-based: no state is carried from one image to the next. The mixer is SplitMix64 (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014).
"""

from typing import Any, Self
from zlib import crc32

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]  # float32 throughout; NumPy's stubs lose count when a Python float joins in
Rows = npt.NDArray[np.intp]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_AT_ONCE = 16  # numbers mixed in one go: a part of a face needs about so many


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


class Draws:
    """A stream of random numbers for each of n images. Numbers come as float32 (n, 1, 1), to broadcast over pixels."""

    def __init__(self, keys: npt.NDArray[np.uint64]) -> None:
        self._keys = keys
        self._drawn = 0
        self._ready: Array = np.empty((0, len(keys), 1, 1), dtype=np.float32)

    @classmethod
    def of(cls, seed: int, indices: npt.NDArray[np.int64]) -> Self:
        """The first stream of images `indices` (n,)."""
        key = _mix(np.array([seed % 2**64], dtype=np.uint64) + _GOLDEN)
        return cls(_mix(key + indices.astype(np.uint64) * _GOLDEN))

    def stream(self, name: str) -> "Draws":
        """Another stream of the same images, which nothing drawn from this one changes."""
        return Draws(_mix(self._keys ^ np.uint64(crc32(name.encode()))))

    def __getitem__(self, rows: slice | Rows) -> "Draws":
        """The same stream, from its start, of some of the images."""
        return Draws(self._keys[rows])

    def uniform(self, low: float | Array = 0.0, high: float | Array = 1.0) -> Array:
        """Uniform in [low, high)."""
        place = self._drawn % _AT_ONCE
        if place == 0:
            counter = np.arange(self._drawn + 1, self._drawn + 1 + _AT_ONCE, dtype=np.uint64) * _GOLDEN
            bits = _mix(self._keys + counter[:, None]) >> np.uint64(40)
            self._ready = (bits.astype(np.float32) * np.float32(2**-24))[..., None, None]
        self._drawn += 1
        unit: Array = self._ready[place]
        return low + (high - low) * unit

    def bell(self, low: float | Array, high: float | Array) -> Array:
        """Mostly near the middle of [low, high): the mean of two uniform numbers."""
        return (self.uniform(low, high) + self.uniform(low, high)) / 2

    def chance(self, probability: float | Array) -> Array:
        """1 with this probability, else 0."""
        return (self.uniform() < probability).astype(np.float32)

    def pick(self, shares: npt.ArrayLike) -> Rows:
        """A number below k, (n,), drawn in proportion to `shares`, (k,) or (k, n)."""
        weights = np.asarray(shares, dtype=np.float64)
        bounds = np.cumsum(weights.reshape(len(weights), -1), axis=0)
        return np.asarray((self.uniform()[:, 0, 0] * bounds[-1] >= bounds[:-1]).sum(axis=0))
