"""The paper's network at full size, for a GPU: dcgan64 on photographs, drawings and rendered faces.

    python -m experiments.run full_size --accelerator cuda --jobs 10 --images IMAGES

One process keeps a large GPU less than half busy; several share it best under CUDA's multi-process service
(`nvidia-cuda-mps-control -d`).
"""

from dataclasses import replace
from pathlib import Path

from . import networks, plots
from .statistics import ratio
from .trial import DATA, Result, Trial

NETWORK = "dcgan64"
SEEDS = range(2)
FLOAT = Trial(NETWORK, steps=7500, learning_rate=2e-4, precision="bf16-mixed")


def generators() -> dict[str, Trial]:
    """What is trained, on rendered faces."""
    partial = replace(FLOAT, layers=networks.chosen(NETWORK))
    return {
        "float": FLOAT,
        "the plan's choice": partial,
        "the plan's choice, binary discriminator": replace(partial, discriminator="binary"),
        "teacher of weight 300": replace(partial, teacher=NETWORK, imitation=300.0),
        "all": replace(FLOAT, layers=networks.layers(NETWORK)),
    }


def trials() -> list[Trial]:
    """Those of this question, all of the first seed first: a binary discriminator meets photographs alone."""
    return [
        replace(trial, data=data, seed=seed)
        for seed in SEEDS
        for data in DATA
        for trial in generators().values()
        if trial.discriminator == "float" or data == "cells"
    ]


def _seeds(trial: Trial) -> list[Trial]:
    return [replace(trial, seed=seed) for seed in SEEDS]


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """Two tables: scores, and those over the float generator's; and a chart of the losses."""
    wanted = {name: {data: replace(trial, data=data) for data in DATA} for name, trial in generators().items()}
    cells = {name: row["cells"] for name, row in wanted.items()}
    curves = {name: results[trial].measured["losses"] for name, trial in cells.items() if trial in results}
    plots.losses(curves, pictures / "full-losses.png")
    scores = [
        [name, *(f"{results[trial].score:.1f}" if trial in results else "" for trial in row.values())]
        for name, row in wanted.items()
    ]
    floats = {data: _seeds(replace(FLOAT, data=data)) for data in DATA}
    ratios = [
        [name, *(str(ratio(results, _seeds(trial), floats[data]) or "") for data, trial in row.items())]
        for name, row in wanted.items()
    ]
    tables = [
        plots.markdown([head, *DATA], rows)
        for head, rows in (("SWD x 1000", scores), ("SWD over that of the float generator", ratios))
    ]
    return "\n".join(tables)
