"""What a second and a third bit of a weight are worth: to the layer that suffers most from one, and to all of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from . import networks, plots
from .layers import NETWORK
from .statistics import ratio
from .trial import Result, Trial

DATA = ("faces", "cells")
SEEDS = range(2)
BITS = (1, 2, 3)


def selections() -> dict[str, tuple[str, ...]]:
    """The layers of few bits."""
    names = networks.layers(NETWORK)
    return {"the last alone": names[-1:], "all": names}


def trials() -> list[Trial]:
    """Those of this question; what has one bit, or none, others have asked for."""
    return [
        trial
        for seed in SEEDS
        for data in DATA
        for layers in selections().values()
        for trial in [Trial(NETWORK, data, seed=seed), *_of(data, layers, seed)]
    ]


def _of(data: str, layers: tuple[str, ...], seed: int) -> Iterator[Trial]:
    for bits in BITS:
        yield replace(Trial(NETWORK, data, layers, seed), bits=bits)


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """A table."""
    rows = []
    for name, layers in selections().items():
        for bits in BITS:
            cells = [name, str(bits)]
            for data in DATA:
                floats = [Trial(NETWORK, data, seed=seed) for seed in SEEDS]
                found = ratio(results, [replace(one, layers=layers, bits=bits) for one in floats], floats)
                cells.append(str(found or ""))
            rows.append(cells)
    return plots.markdown(["layers", "bits", *DATA], rows)
