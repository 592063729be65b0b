"""What packing did to a generator's layers, in bytes."""

import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from pbgen.contents import LayerInfo
from pbgen.packing.graph import Graph, weight_shape
from pbgen.packing.planes import planes


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
