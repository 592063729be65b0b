"""Claim 8: generator and discriminator binary together, for balanced competition."""

from pathlib import Path

from . import plots
from .layers import NETWORK, selections
from .statistics import ratio
from .trial import Result, Trial

DATA = ("faces",)
SEEDS = range(3)


def generators() -> dict[str, tuple[str, ...]]:
    """The binary layers of the three generators."""
    chosen = selections()
    return {"float": (), "partial": chosen["the plan's choice"], "binary": chosen["all"]}


def trials() -> list[Trial]:
    """Those of this question."""
    return [
        Trial(NETWORK, data, layers, seed, discriminator)
        for seed in SEEDS
        for data in DATA
        for layers in generators().values()
        for discriminator in ("float", "binary")
    ]


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """A table, and the pictures beside it."""
    rows = []
    for name, layers in generators().items():
        for discriminator in ("float", "binary"):
            ratios = (
                ratio(
                    results,
                    (Trial(NETWORK, data, layers, seed, discriminator) for seed in SEEDS),
                    (Trial(NETWORK, data, (), seed) for seed in SEEDS),
                )
                for data in DATA
            )
            rows.append([name, discriminator, *(str(value or "") for value in ratios)])
    curves = {
        f"{name}, {discriminator} D": results[trial].measured["losses"]
        for name, layers in generators().items()
        for discriminator in ("float", "binary")
        if (trial := Trial(NETWORK, "faces", layers, 0, discriminator)) in results
    }
    plots.losses(curves, pictures / "competition.png")
    return plots.markdown(["generator", "discriminator", *DATA], rows)
