"""Claims 1 to 4 and the recipe on the largest network that two cores train: photographs at their full 64 pixels."""

from dataclasses import replace
from pathlib import Path

from . import networks, plots
from .statistics import ratio
from .trial import Result, Trial

FLOAT = Trial("large", "cells", steps=4000)
LEVELS = (64, 32, 16)
"""Pixels of the images that a distance is the mean of."""


def generators() -> dict[str, Trial]:
    """What is trained."""
    partial = replace(FLOAT, layers=tuple(networks.plan(FLOAT.network).binary))
    return {
        "float": FLOAT,
        "the plan's choice": partial,
        "the plan's choice, with a teacher": replace(partial, teacher=FLOAT.network),
        "all": replace(FLOAT, layers=networks.layers(FLOAT.network)),
    }


def trials() -> list[Trial]:
    """Those of this question."""
    return list(generators().values())


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """A table, and a chart of the losses."""
    found = {name: results[trial] for name, trial in generators().items() if trial in results}
    plots.losses({name: result.measured["log"] for name, result in found.items()}, pictures / "large-losses.png")
    rows = []
    for name, result in found.items():
        over = (ratio(results, [result.trial], [FLOAT], pixels) for pixels in (None, *LEVELS))
        rows.append([name, f"{result.score:.1f}", *(str(value or "") for value in over)])
    return plots.markdown(["64 pixels, cells", "SWD x 1000", "over float", *map("at {}".format, LEVELS)], rows)
