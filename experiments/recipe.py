"""How to close what is left between the partial generator and the float one, and what quality costs in bytes."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pbgen
from pbgen.example import example_input

from . import networks, plots
from .statistics import ratio
from .trial import Result, Trial

NETWORK = "base"
DATA = ("faces", "cells")
REPEATED = {
    "1e-3": dict.fromkeys(DATA, 6),
    "1e-3, twice as wide": dict.fromkeys(DATA, 3),
    "1e-3, twice as long": dict.fromkeys(DATA, 3),
    "1e-3, teacher of weight 30": dict.fromkeys(DATA, 6),
    "1e-3, teacher of weight 300": dict.fromkeys(DATA, 3),
    "1e-3, both with the teacher of weight 30": dict.fromkeys(DATA, 3),
    "1e-3, teacher of weight 30, twice as wide": dict.fromkeys(DATA, 6),
    "1e-3, teacher of weight 300, twice as wide": {"faces": 12, "cells": 6},
    "1e-3, both with the teacher of weight 300, twice as wide": dict.fromkeys(DATA, 3),
    "1e-3, teacher of weight 30, four times as wide": dict.fromkeys(DATA, 3),
    "1e-3, teacher of weight 30, twice as wide and long": dict.fromkeys(DATA, 3),
}
"""Those of the variants that are trained with so many seeds; the others with the first on the first data alone."""
SIZES = ("eighth", "quarter", "half", "base", "double")


def variants() -> dict[str, tuple[Trial, Trial]]:
    """What may help: the partial generator, and the float one that it is compared with, trained as long."""
    floats = Trial(NETWORK)
    partial = replace(floats, layers=networks.chosen(NETWORK))
    taught = replace(partial, teacher=NETWORK)
    double: dict[str, Any] = {"network": "double", "layers": networks.chosen("double")}
    slow, slow_float = replace(partial, learning_rate=2e-4), replace(floats, learning_rate=2e-4)
    return {
        "2e-4": (slow, slow_float),
        "2e-4, latent weights no faster": (replace(slow, latent_rate=1.0), slow_float),
        "2e-4, latent weights 3 times faster": (replace(slow, latent_rate=3.0), slow_float),
        "2e-4, latent weights 30 times faster": (replace(slow, latent_rate=30.0), slow_float),
        "2e-4, two generator steps": (replace(slow, generator_steps=2), replace(slow_float, generator_steps=2)),
        "5e-4": (replace(partial, learning_rate=5e-4), replace(floats, learning_rate=5e-4)),
        "1e-3": (partial, floats),
        "1e-3, latent weights no faster": (replace(partial, latent_rate=1.0), floats),
        "1e-3, latent weights 3 times faster": (replace(partial, latent_rate=3.0), floats),
        "1e-3, teacher of weight 30": (taught, floats),
        "1e-3, teacher of weight 300": (replace(taught, imitation=300.0), floats),
        "1e-3, both with the teacher of weight 30": (taught, replace(floats, teacher=NETWORK)),
        "1e-3, teacher of weight 30, twice as wide": (replace(taught, **double), floats),
        "1e-3, teacher of weight 300, twice as wide": (replace(taught, **double, imitation=300.0), floats),
        "1e-3, both with the teacher of weight 300, twice as wide": (
            replace(taught, **double, imitation=300.0),
            replace(floats, teacher=NETWORK, imitation=300.0),
        ),
        "1e-3, teacher of weight 1000, twice as wide": (replace(taught, **double, imitation=1000.0), floats),
        "1e-3, teacher of weight 30, four times as wide": (
            replace(taught, network="quadruple", layers=networks.chosen("quadruple")),
            floats,
        ),
        "1e-3, twice as long": (replace(partial, steps=4000), replace(floats, steps=4000)),
        "1e-3, twice as wide": (replace(partial, **double), floats),
        "1e-3, teacher of weight 30, twice as wide and long": (
            replace(taught, **double, steps=4000),
            replace(floats, steps=4000),
        ),
    }


def sizes() -> list[Trial]:
    """The float teacher, and float and partial generators from small to large that it taught."""
    taught = [
        Trial(network, layers=layers, teacher=NETWORK)
        for network in SIZES
        for layers in dict.fromkeys([(), networks.chosen(network)])
        if layers or network != NETWORK
    ]
    return [Trial(NETWORK), *taught, variants()["1e-3, teacher of weight 30, four times as wide"][0]]


def trials() -> list[Trial]:
    """Those of this question."""
    chosen = {trial for pair in variants().values() for trial in pair}
    repeated = [
        replace(trial, data=data, seed=seed)
        for name, seeds in REPEATED.items()
        for trial in variants()[name]
        for data in DATA
        for seed in range(seeds[data])
    ]
    return [*chosen, *repeated, *sizes()]


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """Three tables, and the chart of quality against bytes."""
    base = [Trial(NETWORK)]
    rows = []
    for name, (partial, floats) in variants().items():
        found = [ratio(results, [partial], [floats]), ratio(results, [partial], base), ratio(results, [floats], base)]
        rows.append([name, *(str(value or "") for value in found)])
    heads = [
        "learning rate and more, one seed",
        "partial over float alike",
        "partial over float at 1e-3",
        "float over float at 1e-3",
    ]
    tables = plots.markdown(heads, rows), _repeated_table(results), _bytes_table(results, base, pictures)
    return "\n".join(tables)


def _repeated_table(results: dict[Trial, Result]) -> str:
    rows = []
    for name, seeds in REPEATED.items():
        row = [name]
        for data in DATA:
            pair = [[replace(trial, data=data, seed=seed) for seed in range(seeds[data])] for trial in variants()[name]]
            value = ratio(results, *pair)
            fine, coarse = (ratio(results, *pair, pixels) for pixels in (32, 16))
            row += [f"{value}, {value.seeds} seeds", f"{fine}; {coarse}"] if value else ["", ""]
        rows.append(row)
    heads = (head for data in DATA for head in (data, f"{data} at 32; at 16 pixels"))
    return plots.markdown(["partial over float", *heads], rows)


def _bytes_table(results: dict[Trial, Result], base: list[Trial], pictures: Path) -> str:
    rows: list[list[str]] = []
    curves: dict[str, list[tuple[float, float]]] = {"float": [], "partial": []}
    for trial in sizes():
        found = ratio(results, [trial], base)
        if found:
            size, kind = _bytes(trial), "partial" if trial.layers else "float"
            rows.append([trial.network, kind, f"{size:,}", str(found)])
            curves[kind].append((size, found.mean))
    if all(curves.values()):
        plots.lines(curves, "bytes of the packed file", "SWD over that of float base", pictures / "bytes.png")
    return plots.markdown(["network", "weights", "bytes", "SWD over that of float base"], rows)


def _bytes(trial: Trial) -> int:
    generator = networks.generator(trial.network)
    if trial.layers:
        pbgen.binarize(generator, trial.layers)
    with TemporaryDirectory() as folder:
        return pbgen.pack(generator.eval(), example_input(generator), Path(folder) / "g.safetensors").packed_bytes
