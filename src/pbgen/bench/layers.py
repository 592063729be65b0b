"""Where our engine's time goes: the layers of a packed generator one by one."""

import os
import time
from dataclasses import dataclass

import numpy as np

from pbgen.bench.engines import Arrays, Floats
from pbgen.engine import Engine

WARM_UP = 5


@dataclass(frozen=True)
class LayerTime:
    """A layer with weights. operations: multiply-adds a run that land inside the output. weight_bytes: what its weights
    take in memory. bits: of a weight in the file. Seconds a run: median, 10th and 90th percentile."""

    name: str
    kernel: str
    operations: int
    weight_bytes: int
    bits: int
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class LayerTimes:
    """All layers with weights, in the order in which they run. rest: median seconds a run outside of them."""

    activations: str
    batch: int
    runs: int
    layers: tuple[LayerTime, ...]
    rest: float

    @property
    def operations(self) -> int:
        return sum(layer.operations for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def seconds(self) -> float:
        """Of a run: the sum of the medians."""
        return sum(layer.median for layer in self.layers) + self.rest


def time_layers(path: str | os.PathLike[str], activations: str, threads: int, inputs: Arrays, runs: int) -> LayerTimes:
    """Run the packed file `runs` times on all its inputs, in this process. Raises PBGenError as Engine does."""
    engine = Engine(path, threads=threads, activations=activations)
    given = [inputs[source.name] for source in engine.inputs]
    batch = len(given[0])
    for _ in range(WARM_UP):
        engine.time_layers(*given)
    operations = list(engine.operations(*(array.shape[1:] for array in given)).values())
    seconds = np.array([_run(engine, given) for _ in range(runs)])
    *each, rest = np.percentile(seconds, [50, 10, 90], axis=0).T.tolist()
    times = tuple(
        LayerTime(layer.name, layer.kernel, count * batch, layer.weight_bytes, layer.bits, *spread)
        for layer, count, spread in zip(engine.layers, operations, each, strict=True)
    )
    return LayerTimes(activations, batch, runs, times, rest=rest[0])


def _run(engine: Engine, given: list[Floats]) -> list[float]:
    """Seconds of each layer, and of the rest."""
    start = time.perf_counter()
    _, layers = engine.time_layers(*given)
    whole = time.perf_counter() - start
    seconds = [layers[layer.name] for layer in engine.layers]
    return [*seconds, whole - sum(seconds)]
