"""The paper's network at full size, for a GPU: dcgan64 on photographs, drawings and rendered faces.

python -m experiments.run full_size --accelerator cuda --jobs 1 --images IMAGES
"""

from pathlib import Path

from . import networks, plots
from .statistics import ratio
from .trial import DATA, Result, Trial

NETWORK = "dcgan64"
STEPS = 30_000
SEEDS = range(2)


def generators() -> dict[str, tuple[tuple[str, ...], str]]:
    """The binary layers of the three generators, and the discriminators that they train with."""
    return {
        "float": ((), "float"),
        "partial": (tuple(networks.plan(NETWORK).binary), "float"),
        "partial, binary discriminator": (tuple(networks.plan(NETWORK).binary), "binary"),
        "binary": (networks.layers(NETWORK), "float"),
    }


def trials() -> list[Trial]:
    """Those of this question."""
    return [_trial(data, name, seed) for seed in SEEDS for data in DATA for name in generators()]


def _trial(data: str, name: str, seed: int) -> Trial:
    layers, discriminator = generators()[name]
    return Trial(NETWORK, data, layers, seed, discriminator, steps=STEPS, learning_rate=2e-4)


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """A table."""
    rows = []
    for name in generators():
        ratios = (
            ratio(results, (_trial(data, name, seed) for seed in SEEDS), (_trial(data, "float", s) for s in SEEDS))
            for data in DATA
        )
        rows.append([name, *(str(value or "") for value in ratios)])
    return plots.markdown(["generator", *DATA], rows)
