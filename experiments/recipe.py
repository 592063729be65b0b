"""How to close what is left between the partial generator and the float one, and what quality costs in bytes."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pbgen
from pbgen.example import example_input

from . import networks, plots
from .statistics import ratio
from .trial import Result, Trial

NETWORK = "base"
SEEDS = range(3)
SIZES = ("eighth", "quarter", "half", "base", "double")


def _planned(network: str) -> tuple[str, ...]:
    return tuple(networks.plan(network).binary)


def trials() -> list[Trial]:
    """Those of this question."""
    return [Trial(network, seed=seed) for seed in SEEDS for network in SIZES] + [
        Trial(network, layers=_planned(network), seed=seed) for seed in SEEDS for network in SIZES[2:]
    ]


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """A table, and the chart of quality against bytes."""
    rows, curves = [], {"float": [], "partial": []}
    float_ones = [Trial(NETWORK, seed=seed) for seed in SEEDS]
    for network in SIZES:
        for name, layers in (("float", ()), ("partial", _planned(network))):
            found = ratio(results, (Trial(network, layers=layers, seed=seed) for seed in SEEDS), float_ones)
            if found:
                size = _bytes(network, layers)
                rows.append([network, name, f"{size:,}", str(found)])
                curves[name].append((size, found))
    drawn = {name: points for name, points in curves.items() if points}
    if drawn:
        plots.lines(drawn, "bytes of the packed file", "SWD over that of float base", pictures / "bytes.png")
    return plots.markdown(["network", "weights", "bytes", "SWD over that of float base"], rows)


def _bytes(network: str, layers: tuple[str, ...]) -> int:
    generator = networks.generator(network)
    if layers:
        pbgen.binarize(generator, layers)
    with TemporaryDirectory() as folder:
        return pbgen.pack(generator.eval(), example_input(generator), Path(folder) / "g.safetensors").packed_bytes
