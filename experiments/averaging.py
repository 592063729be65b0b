"""Who averages: do query and key, gains and biases, and layers beside depthwise ones cost what the plan says?"""

from pathlib import Path

from pbgen.redundancy import predicted_cost

from . import networks, plots
from .statistics import ratio
from .trial import Result, Trial

DATA = ("faces", "cells")
SEEDS = range(2)
SELECTIONS: dict[str, tuple[str, ...]] = {
    "attention": ("query key", "value out"),
    "modulation": ("gain", "bias", "mapping", "conv"),
    "depthwise": ("expand", "spread", "project"),
}
"""Of each network the layers that are binary together, by parts of their names; those not named stay in float."""


def _layers(network: str, parts: str) -> tuple[str, ...]:
    return tuple(name for name in networks.layers(network) if any(part in name for part in parts.split()))


def trials() -> list[Trial]:
    """Those of this question."""
    return [
        Trial(network, data, layers, seed)
        for seed in SEEDS
        for data in DATA
        for network, selections in SELECTIONS.items()
        for layers in ((), *(_layers(network, parts) for parts in selections))
    ]


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """A table: what the layers cost together, beside what the law says of one of them alone."""
    rows = []
    for network, selections in SELECTIONS.items():
        for parts in selections:
            layers = _layers(network, parts)
            found = []
            for data in DATA:
                floats = [Trial(network, data, seed=seed) for seed in SEEDS]
                found.append(ratio(results, [Trial(network, data, layers, seed) for seed in SEEDS], floats))
            rows.append([network, parts, str(len(layers)), _span(network, layers), *(str(one or "") for one in found)])
    return plots.markdown(["network", "binary", "layers", "R: predicted of one", *DATA], rows)


def _span(network: str, layers: tuple[str, ...]) -> str:
    """The least and largest R of these layers, and what each of them alone is predicted to cost."""
    degrees = sorted(row.degree_of_redundancy for row in networks.plan(network).layers if row.name in layers)
    ends = dict.fromkeys((degrees[0], degrees[-1]))
    return ", ".join(f"{degree:,.0f}: {predicted_cost(degree):.2f}" for degree in ends)
