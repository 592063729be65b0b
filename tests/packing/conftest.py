"""What the packing tests share: a module is packed, run, and compared with itself in float64."""

import copy
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn

from pbgen.errors import PBGenWarning
from pbgen.packing import PackInfo, pack, rebuild
from pbgen.packing.file import read
from pbgen.packing.graph import Graph


def settle(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every batch norm numbers that leave a mark, as training would."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._NormBase):
            for tensor, low, high in (
                (layer.running_mean, -0.5, 0.5),
                (layer.running_var, 0.3, 3.0),
                (layer.weight, -1.5, 1.5),
                (layer.bias, -0.5, 0.5),
            ):
                if tensor is not None:
                    tensor.data.uniform_(low, high, generator=generator)
    return module


def difference(result: Tensor, expected: Tensor) -> float:
    """The largest error, as a part of the largest value."""
    assert result.shape == expected.shape
    return float((result.double() - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


class Packed:
    """A packed module: the file, what pack() said of it, and its graph."""

    def __init__(self, path: Path, info: PackInfo) -> None:
        self.path = path
        self.info = info
        self.tensors: dict[str, np.ndarray]
        self.graph: Graph
        self.graph, self.tensors = read(path)

    @property
    def ops(self) -> list[str]:
        return [node.op for node in self.graph.nodes]

    @property
    def programs(self) -> list[str]:
        """Each node's operator, and the instructions of its program, "conv relu"; constants left out."""
        found = []
        for node in (node for node in self.graph.nodes if node.op != "constant"):
            found.append(" ".join([node.op, *(step[0] for step in node.attributes.get("program", []))]))
        return found

    @property
    def free(self) -> list[str]:
        return self.graph.free


Shape = tuple[int, ...]


def random_inputs(shapes: Sequence[Shape], batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    return tuple(torch.randn(batch, *shape, generator=generator) for shape in shapes)


def pack_and_compare(
    module: nn.Module, shapes: Sequence[Shape], folder: Path, batches: Sequence[int], others: Sequence[Sequence[Shape]]
) -> Packed:
    """Pack a module that takes inputs (N, *shape); engine and rebuilt module must make what it makes in float64, at
    these shapes and at `others`."""
    path = folder / "packed.safetensors"
    generator = torch.Generator().manual_seed(1)
    example = random_inputs(shapes, 1, generator)
    packed = Packed(path, pack(module, example if len(example) > 1 else example[0], path))
    reference = copy.deepcopy(module).double().eval()
    runners: list[Callable[..., object]] = [rebuild(path)]
    if find_spec("pbgen._core"):
        from pbgen.engine import Engine

        engine = Engine(path, threads=2)
        runners.append(lambda *inputs: pytree.tree_map(torch.from_numpy, engine(*(x.numpy() for x in inputs))))
    for some, batch in [(shapes, batch) for batch in batches] + [(other, 1) for other in others]:
        inputs = random_inputs(some, batch, generator)
        with torch.no_grad():
            expected = pytree.tree_leaves(reference(*(x.double() for x in inputs)))
            for runner in runners:
                results = pytree.tree_leaves(runner(*inputs))
                assert len(results) == len(expected)
                for result, right in zip(results, expected, strict=True):
                    assert difference(result, right.double()) < 1e-4
    return packed


@pytest.fixture(autouse=True)
def seeded() -> None:
    """What packing finds hangs on weights and inputs: a difference may be too small to be told."""
    torch.manual_seed(0)


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., Packed]:
    """pack_and_compare in a folder of its own, of a module with one input or, where `shape` is a list, several.
    `others` are further shapes to compare at; a warning that sizes are fixed is an error."""

    def run(module: nn.Module, shape, batches=(1, 3), others=()) -> Packed:
        shapes = shape if isinstance(shape, list) else [shape]
        others = [other if isinstance(other, list) else [other] for other in others]
        with warnings.catch_warnings():
            warnings.simplefilter("error", PBGenWarning)
            return pack_and_compare(settle(module), shapes, tmp_path, batches, others)

    return run
