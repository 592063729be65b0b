"""What the packing tests share: a module is packed, run, and compared with itself in float64."""

import copy
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pbgen.packing import PackInfo, pack, rebuild
from pbgen.packing.file import read
from pbgen.packing.graph import Graph

torch.set_num_threads(1)


def settle(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every batch norm numbers that leave a mark, as training would."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
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


def pack_and_compare(module: nn.Module, shape: tuple[int, ...], folder: Path, batches: tuple[int, ...]) -> Packed:
    """Pack a module that takes (N, *shape); engine and rebuilt module must make what it makes in float64."""
    path = folder / "packed.safetensors"
    generator = torch.Generator().manual_seed(1)
    packed = Packed(path, pack(module, torch.randn(1, *shape, generator=generator), path))
    reference = copy.deepcopy(module).double().eval()
    runners: list[Callable[[Tensor], Tensor]] = [rebuild(path)]
    if find_spec("pbgen._core"):
        from pbgen.engine import Engine

        engine = Engine(path, threads=2)
        runners.append(lambda images: torch.from_numpy(engine(images.numpy())))
    for batch in batches:
        images = torch.randn(batch, *shape, generator=generator)
        with torch.no_grad():
            expected = reference(images.double())
            for runner in runners:
                assert difference(runner(images), expected) < 1e-4
    return packed


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., Packed]:
    """pack_and_compare in a folder of its own."""
    return lambda module, shape, batches=(1, 3): pack_and_compare(settle(module), shape, tmp_path, batches)
