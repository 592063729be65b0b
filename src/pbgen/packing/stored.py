"""A packed file as a torch module that keeps its numbers packed, for engines that take a module's graph up."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pbgen.packing.graph import weight_shape
from pbgen.packing.rebuilt import Rebuilt
from pbgen.packing.rebuilt_layers import input_first
from pbgen.packing.rebuilt_operators import OPERATORS, Shape


class Stored(Rebuilt):
    """Keeps its numbers as the file does, and unpacks them whenever it runs: who folds constants does so once."""

    operators = OPERATORS | {"adaptive_pool": lambda *node: _adaptive_pool(*node)}

    def _keep(self, tensors: dict[str, NDArray[Any]]) -> None:
        self._places = {name: f"stored_{number}" for number, name in enumerate(tensors)}
        for name, tensor in tensors.items():
            self.register_buffer(self._places[name], torch.from_numpy(np.array(tensor, order="C")))
        self.digits = nn.Buffer(2 ** torch.arange(8, dtype=torch.uint8))
        self.factors = nn.Buffer(torch.exp2(torch.arange(4)))

    def _kept(self, number: int) -> dict[str, Any]:
        node = self._nodes[number]
        kept = {
            name: self._floats(number, node.attributes[name]) if name in node.attributes else None
            for name in ("weight", "scale", "shift", "tensor")
        }
        weight, scale = kept["weight"], kept["scale"]
        if weight is not None and scale is not None:
            kept["weight"], kept["scale"] = weight * scale.reshape(-1, *[1] * (weight.dim() - 1)), None
        if weight is not None and node.op == "conv_transpose":
            kept["weight"] = input_first(kept["weight"], node.attributes["groups"])
        return kept

    def _floats(self, number: int, name: str) -> Tensor:
        stored: Tensor = getattr(self, self._places[name])
        if stored.dtype != torch.uint8:
            return stored.float()
        shape = weight_shape(self.graph, self.graph.nodes[number])
        packed = stored.reshape(-1, stored.shape[-1], 1)  # (planes, bytes, 1)
        factors = self.factors[: len(packed), None, None]
        levels = torch.where((packed & self.digits).bool(), factors, -factors).sum(0)
        return levels.reshape(-1)[: math.prod(shape)].reshape(shape)


def _adaptive_pool(inputs: list[Tensor], shape: Shape, attributes: dict[str, Any]) -> Tensor:
    """A slice for each output pixel along an axis: ONNX has nothing else for it."""
    (x,), mean = inputs, attributes["kind"] == "mean"
    for axis in attributes["axes"]:
        size, n = x.shape[axis], shape[axis]
        if not isinstance(n, int):
            raise ValueError("ONNX has no adaptive pooling to a free size")
        parts = [x.narrow(axis, i * size // n, -(-(i + 1) * size // n) - i * size // n) for i in range(n)]
        x = torch.cat([part.mean(axis, True) if mean else part.amax(axis, True) for part in parts], axis)
    return x
