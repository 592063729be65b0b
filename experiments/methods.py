"""Which estimator should be the default: all of them under the same budget."""

from pathlib import Path

from pbgen.binarize import METHODS

from . import plots
from .competition import generators
from .layers import NETWORK
from .statistics import ratio
from .trial import Result, Trial

DATA = ("faces",)
SEEDS = range(1)


def trials() -> list[Trial]:
    """Those of this question."""
    return [
        Trial(NETWORK, data, layers, seed, method=method)
        for seed in SEEDS
        for method in METHODS
        for data in DATA
        for layers in generators().values()
        if layers or method == "bwn"
    ]


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """A table."""
    rows = []
    for method in METHODS:
        cells = [method]
        for data in DATA:
            float_ones = [Trial(NETWORK, data, (), seed) for seed in SEEDS]
            for layers in list(generators().values())[1:]:
                ours = [Trial(NETWORK, data, layers, seed, method=method) for seed in SEEDS]
                cells.append(str(ratio(results, ours, float_ones) or ""))
        rows.append(cells)
    heads = [f"{data}, {name}" for data in DATA for name in list(generators())[1:]]
    return plots.markdown(["method", *heads], rows)
