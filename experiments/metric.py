"""Does the metric tell the truth: the damage that one binary layer does, against what each formula predicts of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pbgen.redundancy import LayerPlan

from . import networks, plots
from .statistics import spearman
from .trial import Result, Trial

DATA = ("faces", "cells")
SEEDS = range(1)
NETWORKS = ("base", "kernel2", "late_bottleneck", "early_bottleneck", "widening", "narrow_latent", "wide_latent",
            "kernel3", "kernel9", "resize", "grey", "half")  # fmt: skip
"""First those that PAPER.md's first look could not settle."""


@dataclass(frozen=True)
class Layer:
    """A layer and what binarizing it alone did: the ratio of scores, binary over float."""

    network: str
    data: str
    seed: int
    plan: LayerPlan
    last: bool
    quantization_error: float
    ratio: float

    @property
    def channels(self) -> tuple[int, int]:
        """Of input and output."""
        return self.plan.input_shape[0], self.plan.output_shape[0]

    @property
    def kernel_area(self) -> float:
        """k^2."""
        return self.plan.weights / math.prod(self.channels)

    @property
    def damage(self) -> float:
        """On a scale on which halving and doubling are as far from nothing."""
        return math.log(self.ratio)


def trials() -> list[Trial]:
    """Those of this question."""
    found = []
    for seed in SEEDS:
        for network in (*networks.SUPERVISED, *NETWORKS):
            for data in DATA if network == "base" else DATA[:1]:
                for layers in [(), *((name,) for name in networks.layers(network))]:
                    found.append(Trial(network, data, layers, seed))
    return found


def measured(results: dict[Trial, Result]) -> list[Layer]:
    """Every layer that was trained binary, alone."""
    layers = []
    for trial, result in results.items():
        reference = results.get(Trial(trial.network, trial.data, (), trial.seed))
        if trial not in _wanted() or len(trial.layers) != 1 or not reference or result.failure or reference.failure:
            continue
        plan = networks.plan(trial.network)
        (row,) = (layer for layer in plan.layers if layer.name == trial.layers[0])
        ratio = result.score / reference.score
        error = reference.measured["quantization_error"][row.name]
        layers.append(Layer(trial.network, trial.data, trial.seed, row, row is plan.layers[-1], error, ratio))
    return layers


def _wanted() -> set[Trial]:
    return set(trials())


PREDICTORS: dict[str, Callable[[Layer], float]] = {
    "R = F x F(reader)": lambda layer: layer.plan.degree_of_redundancy,
    "F": lambda layer: layer.plan.fan_in,
    "F, the last layer set apart": lambda layer: 1 if layer.last else layer.plan.fan_in,
    "output / input dimension": lambda layer: math.prod(layer.plan.output_shape) / math.prod(layer.plan.input_shape),
    "C_out k^2 / C_in": lambda layer: layer.channels[1] * layer.kernel_area / layer.channels[0],
    "C_in / k^2": lambda layer: layer.channels[0] / layer.kernel_area,
    "weights": lambda layer: layer.plan.weights,
    "quantization error": lambda layer: -layer.quantization_error,
}
"""What speaks for a layer's being binary: the larger, the less damage is predicted."""


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """A table, and the pictures beside it."""
    layers = measured(results)
    if not layers:
        return ""
    predictions = {name: [abs(predictor(layer)) for layer in layers] for name, predictor in PREDICTORS.items()}
    plots.damage(
        predictions, [layer.ratio for layer in layers], [layer.last for layer in layers], pictures / "metric.png"
    )
    damages = [layer.damage for layer in layers]
    rows = []
    for name, predictor in PREDICTORS.items():
        values = [predictor(layer) for layer in layers]
        rows.append([name, f"{-spearman(values, damages):+.2f}", f"{_within(layers, values):+.2f}"])
    rows.sort(key=lambda row: -float(row[1]))
    return plots.markdown(["predictor", f"all {len(layers)} layers", "within a network"], rows)


def _within(layers: list[Layer], values: list[float]) -> float:
    """The mean rank correlation over the layers of one network, data set and seed."""
    groups: dict[tuple[str, str, int], list[int]] = {}
    for i, layer in enumerate(layers):
        groups.setdefault((layer.network, layer.data, layer.seed), []).append(i)
    found = [
        -spearman([values[i] for i in members], [layers[i].damage for i in members])
        for members in groups.values()
        if len(members) > 2 and len({values[i] for i in members}) > 1
    ]
    return sum(found) / len(found) if found else math.nan
