"""Which estimator should be the default: all under the same budget, and the two best with more seeds and data."""

from dataclasses import replace
from pathlib import Path

from pbgen.binarize import METHODS

from . import networks, plots
from .competition import generators
from .layers import NETWORK
from .statistics import ratio
from .trial import Result, Trial

DATA = ("faces", "cells")
SEEDS = range(3)
REPEATED = ("bwn", "learned-scale")
"""The methods that are trained on all data with all seeds; the others with the first of each alone."""


def selections() -> dict[str, tuple[str, ...]]:
    """The binary layers: those of the plan, the one that makes the image, all."""
    chosen = generators()
    return {"partial": chosen["partial"], "the last alone": networks.layers(NETWORK)[-1:], "binary": chosen["binary"]}


def trials() -> list[Trial]:
    """Those of this question."""
    floats = [Trial(NETWORK, data, seed=seed) for data in DATA for seed in SEEDS]
    return floats + [
        replace(trial, layers=layers, method=method)
        for method in METHODS
        for layers in selections().values()
        for trial in (floats if method in REPEATED else floats[:1])
    ]


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """A table."""
    rows = []
    for method in METHODS:
        cells = [method]
        for data in DATA:
            floats = [Trial(NETWORK, data, seed=seed) for seed in SEEDS]
            for layers in selections().values():
                ours = [replace(trial, layers=layers, method=method) for trial in floats]
                cells.append(str(ratio(results, ours, floats) or ""))
        rows.append(cells)
    heads = [f"{data}, {name}" for data in DATA for name in selections()]
    return plots.markdown(["method", *heads], rows)
