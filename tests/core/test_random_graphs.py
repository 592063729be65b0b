"""The engine against the rebuilt torch module, on random graphs of every operator at several sizes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from random_graphs import CASES, RandomGraph, graphs, random_graph

from pbgen.engine import Engine
from pbgen.packing import file
from pbgen.packing.rebuilt import rebuild

BATCH = 3


@pytest.mark.parametrize(("op", "seed"), list(graphs(12)))
def test_engine_makes_what_torch_makes(op: str, seed: int, tmp_path: Path) -> None:
    made = random_graph(seed, op)
    path = tmp_path / "g.safetensors"
    file.write(path, made.graph, made.tensors)
    module = rebuild(path)
    for activations, tolerance in ("float32", 2e-5), ("int8", 0.3):
        for threads in 1, 2:
            engine = Engine(path, threads=threads, activations=activations)
            for case in range(CASES):
                compare(made, engine, module, case, tolerance)


def compare(made: RandomGraph, engine: Engine, module: torch.nn.Module, case: int, tolerance: float) -> None:
    arrays = made.inputs(case, BATCH)
    named = dict(zip((source.name for source in made.graph.inputs), arrays, strict=True))
    noise = {source.name: named[source.name] for source in engine.noise}
    found = engine(*(named[source.name] for source in engine.inputs), noise=noise)
    with torch.no_grad():
        expected = module(*map(torch.from_numpy, arrays))
    for one, other in zip(
        *(value if isinstance(value, tuple) else (value,) for value in (found, expected)), strict=True
    ):
        assert one.shape == tuple(other.shape)
        scale = float(other.abs().max()) or 1.0
        assert np.abs(one - other.numpy()).max() <= tolerance * scale, f"case {case}"
