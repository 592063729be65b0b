"""Does the metric tell the truth: the damage that one binary layer does, against what each formula predicts of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pbgen.redundancy import LayerPlan

from . import networks, plots
from .statistics import fit, ratio, spearman
from .trial import Result, Trial

DATA = ("faces", "cells")
SEEDS = range(2)
NETWORKS = ("base", "kernel2", "late_bottleneck", "early_bottleneck", "widening", "narrow_latent", "wide_latent",
            "resize", "kernel3", "grey", "half", "kernel9")  # fmt: skip
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


METHODS = ("bwn", "learned-scale")
"""Of the layer that makes the image, whose scale counts, as no normalization follows; the others have the first."""


def trials() -> list[Trial]:
    """Those of this question."""
    floats = [
        Trial(network, data, seed=seed)
        for seed in SEEDS
        for network in (*networks.SUPERVISED, *NETWORKS)
        for data in DATA
    ]
    return [trial for float_one in floats for trial in (float_one, *_alone(float_one))]


def _alone(float_one: Trial) -> list[Trial]:
    *others, last = (replace(float_one, layers=(name,)) for name in networks.layers(float_one.network))
    return [*others, *(replace(last, method=method) for method in METHODS)]


def measured(results: dict[Trial, Result], method: str) -> list[Layer]:
    """Every layer that was trained binary, alone, the one that makes the image by `method`."""
    layers = []
    for float_one in (trial for trial in trials() if not trial.layers and trial in results):
        *others, last = networks.plan(float_one.network).layers
        for row in (*others, last):
            binary = replace(float_one, layers=(row.name,), method=method if row is last else METHODS[0])
            damage = ratio(results, [binary], [float_one])
            if damage:
                error = results[float_one].measured["quantization_error"][row.name]
                layers.append(
                    Layer(float_one.network, float_one.data, float_one.seed, row, row is last, error, damage.mean)
                )
    return layers


@dataclass(frozen=True)
class Predictor:
    """What speaks for a layer's being binary: the larger `of`, the less damage is predicted.

    `apart`: the layer that makes the image is a kind of its own, the worst.
    """

    of: Callable[[Layer], float]
    apart: bool = False

    def rank(self, layer: Layer) -> float:
        """By which layers are ordered."""
        return -math.inf if self.apart and layer.last else self.of(layer)


PREDICTORS = {
    "R = F x F(reader)": Predictor(lambda layer: layer.plan.degree_of_redundancy),
    "F": Predictor(lambda layer: layer.plan.fan_in),
    "F, the last layer apart": Predictor(lambda layer: layer.plan.fan_in, apart=True),
    "the last layer apart, nothing else": Predictor(lambda layer: 1, apart=True),
    "output / input dimension": Predictor(
        lambda layer: math.prod(layer.plan.output_shape) / math.prod(layer.plan.input_shape)
    ),
    "C_out k^2 / C_in": Predictor(lambda layer: layer.channels[1] * layer.kernel_area / layer.channels[0]),
    "C_in / k^2": Predictor(lambda layer: layer.channels[0] / layer.kernel_area),
    "weights": Predictor(lambda layer: layer.plan.weights),
    "1 / quantization error": Predictor(lambda layer: 1 / layer.quantization_error),
}


def report(results: dict[Trial, Result], pictures: Path) -> str:
    """What each layer cost; a table of predictors for each method of the last layer; pictures of the first method."""
    found = {method: measured(results, method) for method in METHODS}
    _draw(found[METHODS[0]], pictures / "metric.png")
    tables = [_costs(*found.values())]
    for method, layers in found.items():
        if layers:
            seeds = (
                f"between seeds: {noise(layers):.2f}; they rank the other layers alike by {agreement(layers):+.2f}\n"
            )
            tables.append(f"### {method}\n\n{_table(layers)}\n{seeds}\n{_calibration(layers)}")
    return "\n".join(tables)


def _costs(layers: list[Layer], otherwise: list[Layer]) -> str:
    """A row for each network: its layers, the last one last, also as it is by the other method; means over seeds."""
    costs, last = _means(layers), _means([layer for layer in otherwise if layer.last])
    rows = []
    for network in dict.fromkeys(layer.network for layer in layers):
        mine = {layer.plan.name: layer for layer in layers if layer.network == network}
        columns = (
            ["{} → {}".format(*layer.channels) for layer in mine.values()],
            [f"{layer.plan.fan_in:,.0f}" for layer in mine.values()],
            [f"{layer.plan.degree_of_redundancy:,.0f}" for layer in mine.values()],
            *([_shown(costs.get((network, data, name))) for name in mine] for data in DATA),
        )
        others = "; ".join(_shown(last.get((network, data, list(mine)[-1]))) for data in DATA)
        rows.append([network, *map("; ".join, columns), others])
    return plots.markdown(["network", "layers", "F", "R", *DATA, f"the last by {METHODS[1]}"], rows)


def _means(layers: list[Layer]) -> dict[tuple[str, str, str], float]:
    """The geometric mean, over seeds, of what each layer of each network and data costs."""
    damages: dict[tuple[str, str, str], list[float]] = {}
    for layer in layers:
        damages.setdefault((layer.network, layer.data, layer.plan.name), []).append(layer.damage)
    return {key: math.exp(sum(values) / len(values)) for key, values in damages.items()}


def _shown(ratio: float | None) -> str:
    return f"{ratio:.2f}" if ratio else "-"


def noise(layers: list[Layer]) -> float:
    """How far the logarithm of a layer's cost is off by chance, root mean square: what no formula can explain."""
    means = _means(layers)
    squares = [
        (layer.damage - math.log(means[layer.network, layer.data, layer.plan.name])) ** 2
        for layer in layers
        if sum(_same(layer, other) for other in layers) > 1
    ]
    return math.sqrt(2 * sum(squares) / len(squares)) if squares else math.nan  # of two, one is free


def _same(layer: Layer, other: Layer) -> bool:
    return (layer.network, layer.data, layer.plan.name) == (other.network, other.data, other.plan.name)


def agreement(layers: list[Layer]) -> float:
    """Rank correlation between one seed's costs and the other's, of layers that do not make the image.

    What a formula can reach there is little more.
    """
    pairs = [
        (layer.damage, other.damage)
        for layer in layers
        for other in layers
        if not layer.last and _same(layer, other) and layer.seed < other.seed
    ]
    return spearman(*zip(*pairs, strict=True)) if len(pairs) > 1 else math.nan


def _draw(layers: list[Layer], path: Path) -> None:
    drawn = {name: [p.of(layer) for layer in layers] for name, p in PREDICTORS.items() if not p.apart}
    if layers:
        plots.damage(drawn, [layer.ratio for layer in layers], [layer.last for layer in layers], path)


def _table(layers: list[Layer]) -> str:
    damages = [layer.damage for layer in layers]
    rows = []
    for name, predictor in PREDICTORS.items():
        values = [predictor.rank(layer) for layer in layers]
        order = -spearman(values, damages), _within(layers, values), _of_others(layers, values)
        correlations = ("-" if math.isnan(value) else f"{value:+.2f}" for value in order)
        rows.append([name, *correlations, f"{left_out_error(layers, predictor):.2f}"])
    rows.sort(key=lambda row: float(row[-1]))
    return plots.markdown(
        [
            "predictor",
            f"all {len(layers)} layers",
            "within a network",
            "without the last",
            "error of a left-out network",
        ],
        rows,
    )


def _calibration(layers: list[Layer]) -> str:
    """From which R on a binary layer is predicted to cost at most so many times the distance."""
    law = fit([layer.plan.degree_of_redundancy for layer in layers], [layer.damage for layer in layers])
    rows = [[f"{most:.1f}", f"{law.inverse(math.log(most)):,.0f}"] for most in (1.1, 1.2, 1.5, 2.0, 3.0)]
    return f"ln(ratio) = {law.a:.2f} / R^{law.p:.2f}\n\n" + plots.markdown(["ratio at most", "R at least"], rows)


def left_out_error(layers: list[Layer], predictor: Predictor) -> float:
    """How far the predicted logarithm of the ratio is off, root mean square, for networks that it was not fitted on."""
    errors = []
    for network in {layer.network for layer in layers}:
        others = [layer for layer in layers if layer.network != network]
        for layer in layers:
            if layer.network == network:
                peers = [other for other in others if not predictor.apart or other.last == layer.last]
                law = fit([predictor.of(peer) for peer in peers], [peer.damage for peer in peers])
                errors.append(law.at(predictor.of(layer)) - layer.damage)
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else math.nan


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


def _of_others(layers: list[Layer], values: list[float]) -> float:
    """The rank correlation over the layers that do not make the image; nan where `values` tell none from another."""
    found = [(value, layer.damage) for value, layer in zip(values, layers, strict=True) if not layer.last]
    tell = len({value for value, _ in found}) > 1
    return -spearman(*zip(*found, strict=True)) if tell else math.nan
