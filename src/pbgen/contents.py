"""What a packed file holds, in bytes: told by `pack`, and read from a file, which needs NumPy alone."""

import json
import math
import os
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pbgen.deflated import graph_text
from pbgen.errors import PBGenError
from pbgen.opening import Input, Shape, opened
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


@dataclass(frozen=True)
class FileInfo(PackInfo):
    """What is in a packed file. `float_bytes` is what its numbers would take as float32: it is less than `pack` tells
    of the same file where packing folded numbers away, such as those of a batch norm.

    inputs: noise among them. outputs: their shapes by name. Shapes are without the batch; a free dimension is None.
    operators: how many nodes of the graph are of each kind. metadata: other text that stands in the file's header.
    """

    inputs: tuple[Input, ...]
    outputs: dict[str, Shape]
    operators: dict[str, int]
    metadata: dict[str, str]

    def to_json(self) -> str:
        """All of it, as a JSON object."""
        return json.dumps(asdict(self) | {"ratio": self.ratio}, indent=2)


def info(path: str | os.PathLike[str]) -> FileInfo:
    """What is in the packed file at `path`. The engine reads it first, and refuses what is damaged.

    Raises PBGenError where the file cannot be opened, is damaged, or is no packed generator.
    """
    engine, inputs = opened(path, threads=1)
    try:
        header, size = _header(Path(os.fsdecode(path)))
        metadata = dict(header.pop("__metadata__"))
        graph = json.loads(graph_text(metadata.pop("pbgen")))
        weights = _weights(graph)
        numbers = {name: math.prod(tensor["shape"]) for name, tensor in header.items()} | weights
        return FileInfo(
            4 * sum(numbers.values()),
            size,
            tuple(_layers(header, graph, weights)),
            tuple(inputs),
            dict(engine.outputs),
            dict(Counter(node["op"] for node in graph["nodes"]).most_common()),
            metadata,
        )
    except (OSError, struct.error, ValueError, LookupError, TypeError) as error:
        raise PBGenError(f"{os.fsdecode(path)}: changed while it was read: {error!r}") from None


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a file that the engine took, and the file's size in bytes."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(length)), os.fstat(file.fileno()).st_size


def _weights(graph: dict[str, Any]) -> dict[str, int]:
    """How many weights each layer's tensor holds: planes of bits end in unused ones, so their shape does not tell."""
    values = [one["shape"] for one in [*graph["inputs"], *graph["nodes"]]]
    counts = {}
    for node in graph["nodes"]:
        if "weight" in node:
            channels = -1 if node["op"] == "linear" else 1
            read, made = values[node["inputs"][0]][channels], node["shape"][channels]
            counts[_weight(node)] = made * read * math.prod(node.get("kernel", ())) // node.get("groups", 1)
    return counts


def _layers(header: dict[str, Any], graph: dict[str, Any], weights: dict[str, int]) -> Iterator[LayerInfo]:
    """Those with weights, in the order in which they run."""
    counted: set[str] = set()
    for node in graph["nodes"]:
        if "weight" in node:
            name = _weight(node)
            tensor, count = header[name], int(name not in counted)
            counted.add(name)
            begin, end = tensor["data_offsets"]
            sizes = 4 * weights[name] * count, (end - begin) * count
            yield LayerInfo(node["name"], node["op"], _bits(tensor), *sizes)


def _weight(node: dict[str, Any]) -> str:
    """The name of a layer's tensor."""
    return f"{node['name']}.weight" if node["weight"] is True else node["weight"]


def _bits(tensor: dict[str, Any]) -> int:
    if tensor["dtype"] != "U8":
        return {"F16": 16, "F32": 32}[tensor["dtype"]]
    return 1 if len(tensor["shape"]) == 1 else int(tensor["shape"][0])
