"""Claims 1 to 4 and the recipe on the largest network that two cores train: photographs at their full 64 pixels."""

from dataclasses import replace
from pathlib import Path

from . import networks, plots
from .statistics import ratio
from .trial import Result, Trial

FLOAT = Trial("large", "cells", steps=4000)
LEVELS = (64, 32, 16)
"""Pixels of the images that a distance is the mean of."""
REPEATED = ("float", "teacher of weight 300", "teacher of weight 1000, twice as wide")
"""Those that are trained with three seeds; the others with the first alone."""

DRAWN = (
    "float",
    "the plan's choice",
    "teacher of weight 300",
    "teacher of weight 1000, twice as wide",
    "all",
)
"""Those in the chart."""


def generators() -> dict[str, Trial]:
    """What is trained, with the first seed."""
    taught = replace(FLOAT, teacher=FLOAT.network)
    strictly = replace(taught, imitation=300.0)
    return {
        "float": FLOAT,
        "the plan's choice": _planned(FLOAT),
        "teacher of weight 30": _planned(taught),
        "teacher of weight 30, wide at the end": _planned(replace(taught, network="large_wide_end")),
        "teacher of weight 30, twice as wide": _planned(replace(taught, network="large_double")),
        "teacher of weight 300": _planned(strictly),
        "teacher of weight 300, twice as wide": _planned(replace(strictly, network="large_double")),
        "teacher of weight 1000, twice as wide": _planned(replace(taught, network="large_double", imitation=1000.0)),
        "float, teacher of weight 300": strictly,
        "all": replace(FLOAT, layers=networks.layers(FLOAT.network)),
    }


def _planned(trial: Trial) -> Trial:
    return replace(trial, layers=networks.chosen(trial.network))


def trials() -> list[Trial]:
    """Those of this question."""
    return [trial for name in generators() for trial in _seeds(name)]


def _seeds(name: str) -> list[Trial]:
    return [replace(generators()[name], seed=seed) for seed in range(3 if name in REPEATED else 1)]


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """A table, and a chart of the losses."""
    found = {name: results[trial] for name, trial in generators().items() if trial in results}
    curves = {name: result.measured["losses"] for name, result in found.items() if name in DRAWN}
    plots.losses(curves, pictures / "large-losses.png")
    rows = []
    for name in found:
        mine = _seeds(name)
        scores = (f"{results[trial].score:.1f}" for trial in mine if trial in results)
        floats = [replace(FLOAT, seed=trial.seed) for trial in mine]
        over = (ratio(results, mine, floats, pixels) for pixels in (None, *LEVELS))
        rows.append([name, ", ".join(scores), *(str(value or "") for value in over)])
    return plots.markdown(["64 pixels, cells", "SWD x 1000", "over float", *map("at {}".format, LEVELS)], rows)
