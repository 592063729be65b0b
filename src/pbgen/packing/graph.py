"""The graph of a packed file, as docs/format.md gives it, and its JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pbgen.errors import PBGenError

VERSION = 1


@dataclass(frozen=True)
class Node:
    """One operation; `inputs` are numbers of values, `attributes` those of its operator."""

    op: str
    name: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """Value 0 is the input, node `i` makes value `i + 1`, `output` is the number of the image."""

    input: tuple[int, ...]
    nodes: tuple[Node, ...]
    output: int

    def shape(self, value: int) -> tuple[int, ...]:
        """The shape of a value for one image."""
        return self.nodes[value - 1].shape if value else self.input

    def to_json(self) -> str:
        nodes = [
            {"op": node.op, "name": node.name, "inputs": node.inputs, "shape": node.shape, **node.attributes}
            for node in self.nodes
        ]
        fields = {"version": VERSION, "input": self.input, "nodes": nodes, "output": self.output}
        return json.dumps(fields, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Graph:
        """Raises PBGenError where the text is not a graph; `check` says whether the graph makes sense."""
        try:
            fields = json.loads(text)
            if fields["version"] != VERSION:
                raise PBGenError(f"the graph has version {fields['version']!r}; this pbgen reads version {VERSION}")
            nodes = tuple(_node(dict(node)) for node in fields["nodes"])
            return Graph(_integers(fields["input"]), nodes, *_integers([fields["output"]]))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise PBGenError(f"the graph is not as docs/format.md has it: {error!r}") from None


def _node(fields: dict[str, Any]) -> Node:
    op, name = fields.pop("op"), fields.pop("name")
    if not isinstance(op, str) or not isinstance(name, str):
        raise TypeError("op and name are strings")
    return Node(op, name, _integers(fields.pop("inputs")), _integers(fields.pop("shape")), fields)


def _integers(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(type(value) is int and value >= 0 for value in values):
        raise TypeError(f"{values!r} is not a list of whole numbers")
    return tuple(values)


def weight_shape(graph: Graph, node: Node) -> tuple[int, ...]:
    """(C_out, C_in / groups, kernel...) of a layer: the canonical order of its weights."""
    channels = graph.shape(node.inputs[0])[0] // node.attributes.get("groups", 1)
    return (node.shape[0], channels, *node.attributes.get("kernel", ()))
