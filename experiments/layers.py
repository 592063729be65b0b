"""Claims 1 to 4: which layers of a generator may be binary, and what the plan's choice costs against all of them."""

from pathlib import Path

from . import networks, plots
from .statistics import Ratio, ratio
from .trial import Result, Trial

NETWORK = "base"
DATA = ("faces", "cells")
SEEDS = range(3)
LENGTHS = (500, 1000, 2000, 4000)
"""Steps of the float trainings that show when one has settled."""


def selections() -> dict[str, tuple[str, ...]]:
    """The binary layers of each variant. Where two variants are the same, so are their trials."""
    names = networks.layers(NETWORK)
    return {
        "none": (),
        **{f"{name} alone": (name,) for name in names},
        **{f"all but {name}": tuple(other for other in names if other != name) for name in names},
        "the plan's choice": networks.chosen(NETWORK),
        "all": names,
    }


def trials() -> list[Trial]:
    """Those of this question."""
    variants = [
        Trial(NETWORK, data, layers, seed) for seed in SEEDS for data in DATA for layers in selections().values()
    ]
    return variants + [Trial(NETWORK, data, steps=steps) for steps in LENGTHS for data in DATA]


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """A table, and the pictures beside it."""
    found = {data: _ratios(results, data) for data in DATA}
    plots.ratios(found, "SWD over that of the float generator", pictures / "layers.png")
    rows = [[name, *(str(found[data].get(name, "")) for data in DATA)] for name in selections()]
    return plots.markdown(["binary layers", *DATA], rows) + "\n" + _settling(results, pictures)


def _ratios(results: dict[Trial, Result], data: str) -> dict[str, Ratio]:
    reference = [Trial(NETWORK, data, (), seed) for seed in SEEDS]
    found = {
        name: ratio(results, (Trial(NETWORK, data, layers, seed) for seed in SEEDS), reference)
        for name, layers in selections().items()
    }
    return {name: value for name, value in found.items() if value}


def _settling(results: dict[Trial, Result], pictures: Path) -> str:
    """What float generators reach in so many steps: a table and a chart."""
    curves: dict[str, list[tuple[float, float]]] = {data: [] for data in DATA}
    for data, points in curves.items():
        for steps in LENGTHS:
            if (trial := Trial(NETWORK, data, steps=steps)) in results:
                points.append((steps, results[trial].score))
    if all(curves.values()):
        plots.lines(curves, "steps", "SWD x 1000 of the float generator", pictures / "settling.png")
    scores = {data: dict(points) for data, points in curves.items()}
    rows = [[str(steps), *(f"{scores[data].get(steps, 0):.1f}" for data in DATA)] for steps in LENGTHS]
    return plots.markdown(["float, steps", *DATA], rows)
