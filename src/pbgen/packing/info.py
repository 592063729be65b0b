"""What packing did to a generator, in bytes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from pbgen.packing.graph import Graph, weight_shape
from pbgen.packing.planes import planes
from pbgen.redundancy import MAX_BITS, becomes
from pbgen.visible import visible


@dataclass(frozen=True)
class LayerInfo:
    """A layer's weights alone, in bytes: as float32 and in the file. Both are 0 where an earlier layer holds them."""

    name: str
    kind: str  # "conv_transpose", "conv" or "linear"
    bits: int  # of a weight in the file: 1 to 4, 16 or 32
    float_bytes: int
    packed_bytes: int

    @property
    def binary(self) -> bool:
        """Whether it is planes of signs."""
        return self.bits <= MAX_BITS

    @property
    def weights(self) -> str:
        """What the weights are: "binary", "2 bits", "float16", "float"."""
        return "float16" if self.bits == 16 else becomes(self.bits)


@dataclass(frozen=True)
class PackInfo:
    """`float_bytes` is the float32 state that the module needs at inference: parameters and buffers, shared ones once,
    of binary layers the weights that they compute with. `packed_bytes` is the size of the file."""

    float_bytes: int
    packed_bytes: int
    layers: tuple[LayerInfo, ...]

    @property
    def ratio(self) -> float:
        """How many times smaller the file is."""
        return self.float_bytes / self.packed_bytes

    @property
    def comparison(self) -> str:
        """How much smaller the file is than float32, in words."""
        if self.ratio > 1.01:  # the graph takes some, too
            return f"{self.ratio:.2f} times smaller"
        return "no smaller"

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("layer", "kind", "weights", "float32 bytes", "packed bytes")]
        for layer in self.layers:
            weights = {1: "1 bit", 32: "float32"}.get(layer.bits, layer.weights)
            rows.append((visible(layer.name), layer.kind, weights, f"{layer.float_bytes:,}", f"{layer.packed_bytes:,}"))
        other_float = self.float_bytes - sum(layer.float_bytes for layer in self.layers)
        other_packed = self.packed_bytes - sum(layer.packed_bytes for layer in self.layers)
        rows.append(("everything else", "", "", f"{other_float:,}", f"{other_packed:,}"))
        rows.append(("total", "", "", f"{self.float_bytes:,}", f"{self.packed_bytes:,}"))
        binary = sum(layer.binary for layer in self.layers)
        verdict = f"{binary} of {len(self.layers)} layers binary, file {self.comparison} than float32"
        return "\n".join([*_aligned(rows), verdict])


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns of one width: words from the left, numbers from the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [f"{cell:{'<' if column < 3 else '>'}{widths[column]}}" for column, cell in enumerate(row)]
        lines.append("  ".join(cells))
    return lines


def layer_infos(graph: Graph, tensors: Mapping[str, NDArray[Any]]) -> tuple[LayerInfo, ...]:
    """The layers with weights, in the order in which they run. Constants, embeddings among them, are none."""
    counted: set[str] = set()
    infos = []
    for node in graph.nodes:
        if "weight" not in node.attributes:
            continue
        name = node.attributes["weight"]
        count = 0 if name in counted else 1
        counted.add(name)
        weights = math.prod(weight_shape(graph, node))
        bits = planes(tensors[name]) or 8 * tensors[name].itemsize
        infos.append(LayerInfo(node.name, node.op, bits, 4 * weights * count, tensors[name].nbytes * count))
    return tuple(infos)
