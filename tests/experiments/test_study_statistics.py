"""Ratios and rank correlation, against figures from the literature and by hand."""

import math

import numpy as np
import pytest

from experiments.statistics import Ratio, ranks, ratio, spearman
from experiments.trial import Result, Trial


def test_the_interval_of_a_ratio() -> None:
    # log2 of the ratios: 0, 1, 2, so mean 1, standard error 1 / sqrt(3); Student's t at 2 degrees of freedom: 4.303.
    found = Ratio.of([1, 2, 4], [1, 1, 1])
    reach = 4.303 * math.sqrt(1 / 3)
    np.testing.assert_allclose([found.mean, found.low, found.high], [2, 2 ** (1 - reach), 2 ** (1 + reach)])
    assert found.seeds == 3


def test_one_seed_has_no_interval() -> None:
    found = Ratio.of([3], [2])
    assert (found.mean, found.low, found.high) == (pytest.approx(1.5), 0, math.inf)
    assert str(found) == "1.50"


def test_an_interval_is_told_from_three_seeds_on() -> None:
    assert str(Ratio.of([3, 3], [2, 1])) == "2.12"
    assert str(Ratio.of([1, 2, 4], [1, 1, 1])) == "2.00 (0.36-11.19)"


def test_ranks_share_ties() -> None:
    assert ranks([10, 30, 20, 30]).tolist() == [0, 2.5, 1, 2.5]


@pytest.mark.parametrize(
    ("xs", "ys", "expected"),
    [
        ([1, 2, 3], [10, 100, 1000], 1),
        ([1, 2, 3], [3, 2, 1], -1),
        # IQ and hours of television, the worked example of many textbooks.
        (
            [106, 100, 86, 101, 99, 103, 97, 113, 112, 110],
            [7, 27, 2, 50, 28, 29, 20, 12, 6, 17],
            -29 / 165,
        ),
    ],
)
def test_rank_correlation(xs: list[float], ys: list[float], expected: float) -> None:
    assert spearman(xs, ys) == pytest.approx(expected)


def test_a_ratio_takes_the_pairs_that_there_are() -> None:
    float_ones = [Trial("base", seed=seed) for seed in range(3)]
    binary = [Trial("base", layers=("deconv8",), seed=seed) for seed in range(3)]
    scores = {float_ones[0]: 2.0, float_ones[1]: 3.0, binary[0]: 4.0, binary[2]: 5.0}
    results = {trial: Result(trial, {"swd": score}, None, {}) for trial, score in scores.items()}
    assert ratio(results, binary, float_ones) == Ratio.of([4], [2])
    assert ratio(results, binary[1:2], float_ones[1:2]) is None
    results[binary[0]] = Result(binary[0], {}, "it diverged", {})
    assert ratio(results, binary, float_ones) is None
