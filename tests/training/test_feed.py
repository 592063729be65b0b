"""The walk through a data set, and reading ahead of it."""

import threading
import time

import numpy as np
import pytest

from pbgen.training.feed import Feed, indices, share


def test_endless_data_is_walked_in_its_own_order() -> None:
    assert indices(70, 4, None, seed=3).tolist() == [70, 71, 72, 73]


@pytest.mark.parametrize("n", [1, 5, 7, 16, 40])
def test_every_epoch_holds_every_image_once(n: int) -> None:
    walk = np.concatenate([indices(first, n, 10, seed=1) for first in range(0, 40 * n, n)])[:40]
    epochs = walk.reshape(4, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 4


def test_the_walk_depends_on_the_seed_alone() -> None:
    assert indices(3, 30, 10, 0).tolist() == [*indices(3, 7, 10, 0), *indices(10, 23, 10, 0)]
    assert indices(0, 10, 10, 0).tolist() != indices(0, 10, 10, 1).tolist()


def test_processes_share_out_every_batch_without_overlap() -> None:
    taken = []
    for update in range(3):
        for rank in range(4):
            first, n = share(update, 12, rank, 4)
            taken += range(first, first + n)
    assert taken == list(range(36))


def numbered(update: int) -> np.ndarray:
    time.sleep(0.002 * (update % 3))  # so that later reads overtake earlier ones
    return np.full((2, 1, 4, 4), update, np.uint8)


def feed_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pbgen-feed")]


def test_batches_come_in_order() -> None:
    with Feed(numbered, first=5) as feed:
        assert [int(feed.next()[0, 0, 0, 0]) for _ in range(20)] == list(range(5, 25))
    assert not feed_threads()


def test_an_error_of_the_source_is_raised_at_its_turn_and_ends_the_threads() -> None:
    def read(update: int) -> np.ndarray:
        if update == 3:
            raise OSError("no such file")
        return numbered(update)

    def consume() -> None:
        with Feed(read, first=0) as feed:
            for taken in range(5):
                assert int(feed.next()[0, 0, 0, 0]) == taken

    with pytest.raises(OSError, match="no such file"):
        consume()
    assert not feed_threads()
