"""Claim 9: the same holds for other losses."""

from pathlib import Path

from . import plots
from .competition import generators
from .layers import NETWORK
from .statistics import ratio
from .trial import Result, Trial

LOSSES = ("nonsaturating", "lsgan", "hinge", "wgan-gp")
SEEDS = range(3)


def trials() -> list[Trial]:
    """Those of this question."""
    return [
        Trial(NETWORK, layers=layers, seed=seed, loss=loss)
        for seed in SEEDS
        for loss in LOSSES
        for layers in generators().values()
    ]


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """A table, and the pictures beside it."""
    rows = []
    for loss in LOSSES:
        float_ones = [Trial(NETWORK, seed=seed, loss=loss) for seed in SEEDS]
        ratios = (
            ratio(results, (Trial(NETWORK, layers=layers, seed=seed, loss=loss) for seed in SEEDS), float_ones)
            for layers in generators().values()
        )
        rows.append([loss, *(str(value or "") for value in ratios)])
    return plots.markdown(["loss", *generators()], rows)
