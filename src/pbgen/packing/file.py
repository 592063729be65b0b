"""The packed file: a graph and its tensors as one safetensors file."""

import os
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from pbgen.deflated import deflated, graph_text
from pbgen.errors import PBGenError
from pbgen.files import write_atomically
from pbgen.packing.check import check
from pbgen.packing.graph import Graph

KEY = "pbgen"  # of the graph in the file's __metadata__


def to_bytes(graph: Graph, tensors: dict[str, NDArray[Any]]) -> bytes:
    """The file's bytes, the same for the same graph by one version of zlib.

    Raises PBGenError where docs/format.md forbids the graph.
    """
    check(graph, tensors)
    return safetensors.numpy.save(tensors, {KEY: deflated(graph.to_json())})


def write(path: str | os.PathLike[str], graph: Graph, tensors: dict[str, NDArray[Any]]) -> None:
    """Write the file, or leave what was at `path`. Raises PBGenError where the graph or the path is wrong."""
    contents = to_bytes(graph, tensors)
    write_atomically(path, lambda file: file.write(contents))


def read(path: str | os.PathLike[str]) -> tuple[Graph, dict[str, NDArray[Any]]]:
    """The graph and the tensors by name: one-bit weights as packed bytes (uint8), the rest float32 or float16.

    Raises PBGenError where the file is missing, damaged or not a packed generator.
    """
    path = Path(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except (OSError, safetensors.SafetensorError) as error:
        raise PBGenError(f"{path}: cannot be read as a packed generator: {error}") from None
    if KEY not in metadata:
        raise PBGenError(f'{path}: a safetensors file without a "{KEY}" graph; make packed generators with pbgen pack')
    try:
        graph = Graph.from_json(graph_text(metadata[KEY]))
        check(graph, tensors)
    except (PBGenError, ValueError) as error:
        raise PBGenError(f"{path}: {error}") from None
    return graph, tensors
