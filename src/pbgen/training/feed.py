"""Real images for the training steps, read ahead by background threads."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pbgen.training import randomness
from pbgen.training.randomness import Stream

Indices = npt.NDArray[np.int64]
Images = npt.NDArray[np.uint8]


def share(update: int, batch: int, rank: int, ranks: int) -> tuple[int, int]:
    """The first position, and how many, of the images that process `rank` of `ranks` reads for an update."""
    n = batch // ranks
    return update * batch + rank * n, n


def indices(first: int, n: int, count: int | None, seed: int) -> Indices:
    """The images at positions `first` to `first + n` of an endless walk through a data set, (n,).

    A finite set of `count` images is walked in epochs, each through all of it in an order of its own; an endless one
    (None) in its own order.
    """
    positions = np.arange(first, first + n, dtype=np.int64)
    if count is None:
        return positions
    epochs, places = np.divmod(positions, count)
    return np.array([_epoch(int(e), count, seed)[p] for e, p in zip(epochs, places, strict=True)], dtype=np.int64)


@lru_cache(maxsize=2)
def _epoch(epoch: int, count: int, seed: int) -> Indices:
    return randomness.generator(seed, Stream.ORDER, epoch).permutation(count)


class Feed:
    """Calls `read(0)`, `read(1)`, ... ahead of time in background threads; `next()` gives the results in order.

    What `read` raises, `next` raises. A context manager: leaving it, by an error too, ends the threads.
    """

    def __init__(self, read: Callable[[int], Images], first: int, ahead: int = 4, threads: int = 2) -> None:
        self._read = read
        self._position = first
        self._ahead = ahead
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pbgen-feed")
        self._results: deque[Future[Images]] = deque()

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def next(self) -> Images:
        """The next batch, uint8 (n, C, H, W)."""
        while len(self._results) < self._ahead:
            self._results.append(self._pool.submit(self._read, self._position))
            self._position += 1
        return self._results.popleft().result()
