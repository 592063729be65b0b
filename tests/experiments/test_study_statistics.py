"""Ratios and rank correlation, against figures from the literature and by hand."""

import math

import numpy as np
import pytest

from experiments import metric, networks
from experiments.statistics import Ratio, fit, ranks, ratio, spearman
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


def test_a_level_of_the_image_pyramid_has_a_ratio_of_its_own() -> None:
    fine, coarse = ({"swd": 3.0, "swd_levels": {"32": level, "16": 6 - level}} for level in (2.0, 4.0))
    one, other = Trial("base"), Trial("base", seed=1)
    results = {one: Result(one, fine, None, {}), other: Result(other, coarse, None, {})}
    found = [ratio(results, [one], [other], pixels) for pixels in (None, 32, 16)]
    assert [value and value.mean for value in found] == [pytest.approx(1), pytest.approx(0.5), pytest.approx(2)]


def test_a_power_law_is_found_again() -> None:
    values = [30.0, 120.0, 1000.0, 25000.0]
    law = fit(values, [6 / value**0.35 for value in values])
    assert (law.a, law.p) == (pytest.approx(6), pytest.approx(0.35))
    assert law.at(64) == pytest.approx(6 / 64**0.35)
    assert law.inverse(law.at(64)) == pytest.approx(64)


def test_what_depends_on_nothing_is_a_constant() -> None:
    law = fit([1.0, 1.0, 1.0], [0.1, 0.2, 0.6])
    assert law.at(1) == pytest.approx(0.3)


def test_a_network_is_predicted_from_the_others() -> None:
    """Damage that falls with R alone: R predicts what it was not fitted on, and no rival does."""
    results = {}
    for network, bad in (("base", 1.0), ("kernel2", 1.0), ("late_bottleneck", 1.0)):
        errors = dict.fromkeys(networks.layers(network), 0.4)
        results[Trial(network)] = _result(Trial(network), bad, errors)
        for row in networks.plan(network).layers:
            trial = Trial(network, layers=(row.name,))
            results[trial] = _result(trial, bad * math.exp(6 / row.degree_of_redundancy**0.35), {})
    layers = metric.measured(results, "bwn")
    assert len(layers) == 12
    found = {name: metric.left_out_error(layers, predictor) for name, predictor in metric.PREDICTORS.items()}
    assert found["R = F x F(reader)"] < 1e-6
    assert min(error for name, error in found.items() if name != "R = F x F(reader)") > 0.03


def test_what_two_seeds_agree_on_leaves_out_the_layer_that_makes_the_image() -> None:
    """Of three other layers, the second seed ranks two the other way round: correlation 0.5."""
    results, costs = {}, {0: (1.1, 1.2, 1.3, 5.0), 1: (1.1, 1.3, 1.2, 9.0)}
    names = networks.layers("base")
    for seed, ratios in costs.items():
        floats = Trial("base", seed=seed)
        results[floats] = _result(floats, 1.0, dict.fromkeys(names, 0.4))
        for name, cost in zip(names, ratios, strict=True):
            trial = Trial("base", layers=(name,), seed=seed)
            results[trial] = _result(trial, cost, {})
    layers = metric.measured(results, "bwn")
    assert metric.agreement(layers) == pytest.approx(0.5)
    assert math.isnan(metric.agreement([layer for layer in layers if layer.seed == 0]))


def _result(trial: Trial, score: float, errors: dict[str, float]) -> Result:
    return Result(trial, {"swd": score, "quantization_error": errors}, None, {})
