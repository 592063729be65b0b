import numpy as np
import pytest

from pbgen.data import open_images
from pbgen.errors import PBGenError
from pbgen.evaluation import HELD_OUT, Images, evaluate, real_images
from pbgen.metrics import sliced_wasserstein


def noise(seed: int, n: int = 64) -> Images:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, 16, 16), dtype=np.uint8)


def test_each_seed_compares_other_halves_and_other_samples() -> None:
    real = noise(0, 65)
    asked, seen = [], []

    def sample(n: int, seed: int) -> Images:
        asked.append((n, seed))
        return noise(100 + seed, n)

    result = evaluate(sample, real, seeds=2, progress=lambda done, total: seen.append((done, total)))
    assert asked == [(32, 0), (32, 1)] and seen == [(0, 2), (1, 2), (2, 2)]
    assert (result.images, result.seeds) == (32, 2)
    generated, floor = [], []
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(65)
        generated.append(sliced_wasserstein(real[order[:32]], noise(100 + seed, 32), seed=seed))
        floor.append(sliced_wasserstein(real[order[:32]], real[order[32:64]], seed=seed))
    assert result.mean.mean == pytest.approx(np.mean([d.mean for d in generated]))
    assert result.mean.deviation == pytest.approx(np.std([d.mean for d in generated], ddof=1))
    assert result.floor.mean == pytest.approx(np.mean([d.mean for d in floor]))
    assert list(result.levels) == [16] and list(result.floor_levels) == [16]


def test_one_seed_has_no_spread() -> None:
    assert evaluate(lambda n, seed: noise(seed, n), noise(0), seeds=1).mean.deviation == 0


def test_real_images_of_an_endless_source_are_new_ones() -> None:
    faces = open_images("faces", 16, 3)
    chosen = real_images(faces, 3)
    assert (chosen == faces.images(HELD_OUT + np.arange(6))).all()


class Few:
    name, count, size, channels, skipped = "few.zip", 9, 16, 1, ()

    def images(self, indices: np.ndarray) -> Images:
        assert len(set(indices.tolist())) == len(indices)
        return np.broadcast_to(indices.astype(np.uint8)[:, None, None, None], (len(indices), 1, 16, 16)).copy()


def test_real_images_of_a_folder_are_different_ones() -> None:
    assert len(real_images(Few(), 4)) == 8


def test_too_few_images_are_refused() -> None:
    with pytest.raises(PBGenError, match=r"few\.zip: has 9 images, and 5 need twice as many; give -n 4 or less"):
        real_images(Few(), 5)
