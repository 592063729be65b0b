"""The graph of a packed file, as docs/format.md gives it, and its JSON."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pbgen.errors import PBGenError

VERSION = 2
MAX_SIZE = 2**53

Count = int | str  # an integer, or the name of a size
Shape = tuple[Count, ...]

_GEOMETRY = {"stride": 1, "padding": 0, "dilation": 1}
"""What these are in each dimension of a node that does not say."""
_WINDOWED = ("conv", "conv_transpose", "pool")
_OWN = {"weight": ".weight", "scale": ".scale", "shift": ".shift", "tensor": ""}
"""What follows the node's name in those of its own tensors."""

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "min": min,
    "max": max,
    "scaled": lambda a, b: math.floor(a * b),
}


@dataclass(frozen=True)
class Input:
    """What goes in; `noise` is "normal" or "uniform" where the engine draws it unless it is given."""

    name: str
    shape: Shape
    integer: bool = False
    noise: str | None = None


@dataclass(frozen=True)
class Size:
    """A size made of two others: `op` is one of + - * // % min max scaled."""

    name: str
    op: str
    a: Count
    b: Count | float


@dataclass(frozen=True)
class Node:
    """One operation; `inputs` are numbers of values, `attributes` those of its operator."""

    op: str
    name: str
    inputs: tuple[int, ...]
    shape: Shape
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """Values are the inputs', then the nodes', in order; an output is a name and the number of a value."""

    inputs: tuple[Input, ...]
    sizes: tuple[Size, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[tuple[str, int], ...]

    def shape(self, value: int) -> Shape:
        """The shape of a value for a batch of one."""
        inputs = len(self.inputs)
        return self.inputs[value].shape if value < inputs else self.nodes[value - inputs].shape

    @property
    def free(self) -> list[str]:
        """The names of the free sizes, in the order in which inputs have them."""
        made = {size.name for size in self.sizes}
        names = [size for source in self.inputs for size in source.shape if isinstance(size, str)]
        return [name for name in dict.fromkeys(names) if name not in made]

    def sizes_at(self, free: Mapping[str, int]) -> dict[str, int]:
        """Every size by its name, for free sizes of these values, which may be torch's symbols.

        Raises PBGenError where one divides by 0 or is beyond 2^53.
        """
        values = dict(free)
        for size in self.sizes:
            a = values[size.a] if isinstance(size.a, str) else size.a
            b = values[size.b] if isinstance(size.b, str) else size.b
            values[size.name] = _made(size, a, b)
        return values

    def to_json(self) -> str:
        fields = {
            "version": VERSION,
            "inputs": [_without_defaults(source) for source in self.inputs],
            "sizes": [(size.name, size.op, size.a, size.b) for size in self.sizes],
            "nodes": [
                {"op": node.op, "name": node.name, "inputs": node.inputs, "shape": node.shape, **_written(node)}
                for node in self.nodes
            ],
            "outputs": self.outputs,
        }
        return json.dumps(fields, separators=(",", ":"), allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Graph:
        """Raises PBGenError where the text is not a graph. Whether it makes sense is the engine's to say."""
        try:
            fields = json.loads(text)
            if fields["version"] != VERSION:
                raise PBGenError(f"the graph has version {fields['version']!r}; this pbgen reads version {VERSION}")
            return Graph(
                tuple(_input(source) for source in fields["inputs"]),
                tuple(_size(*size) for size in fields["sizes"]),
                tuple(_node(dict(node)) for node in fields["nodes"]),
                tuple(_output(*output) for output in fields["outputs"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise PBGenError(f"the graph is not as docs/format.md has it: {error!r}") from None


def _made(size: Size, a: int, b: Any) -> int:
    if size.op in ("//", "%") and isinstance(b, int) and b == 0:
        raise PBGenError(f"the size {size.name} divides by 0")
    made: int = _ARITHMETIC[size.op](a, b)
    if isinstance(made, int) and abs(made) > MAX_SIZE:
        raise PBGenError(f"the size {size.name} is {made}, beyond 2^53")
    return made


def _without_defaults(source: Input) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": source.name, "shape": source.shape}
    if source.integer:
        fields["integer"] = True
    if source.noise:
        fields["noise"] = source.noise
    return fields


def _input(fields: dict[str, Any]) -> Input:
    noise = fields.get("noise")
    if noise not in (None, "normal", "uniform"):
        raise TypeError(f"{noise!r} is no kind of noise")
    return Input(_text(fields["name"]), _shape(fields["shape"]), bool(fields.get("integer", False)), noise)


def _size(name: Any, op: Any, a: Any, b: Any) -> Size:
    if _text(op) not in _ARITHMETIC:
        raise TypeError(f"{op!r} makes no size")
    return Size(_text(name), op, _count(a), float(b) if op == "scaled" else _count(b))


def _node(fields: dict[str, Any]) -> Node:
    op, name = _text(fields.pop("op")), _text(fields.pop("name"))
    inputs, shape = _integers(fields.pop("inputs")), _shape(fields.pop("shape"))
    return Node(op, name, inputs, shape, _attributes(op, name, fields))


def _written(node: Node) -> dict[str, Any]:
    """The attributes as the file has them: those that must be said, and `true` for the name of an own tensor."""
    return {
        key: True if key in _OWN and value == node.name + _OWN[key] else value
        for key, value in node.attributes.items()
        if not (key == "groups" and value == 1)
        and not (key in _GEOMETRY and node.op in _WINDOWED and all(one == _GEOMETRY[key] for one in value))
    }


def _attributes(op: str, name: str, written: dict[str, Any]) -> dict[str, Any]:
    """All of them, from those that the file has."""
    given = {key: name + _OWN[key] if key in _OWN and value is True else value for key, value in written.items()}
    if op not in _WINDOWED:
        return given
    defaults: dict[str, Any] = {key: [value] * len(given["kernel"]) for key, value in _GEOMETRY.items()}
    if op != "pool":
        defaults["groups"] = 1
    return given | {key: value for key, value in defaults.items() if key not in given}


def _output(name: Any, value: Any) -> tuple[str, int]:
    return _text(name), _integers([value])[0]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: Any) -> Count:
    if not isinstance(value, str) and type(value) is not int:
        raise TypeError(f"{value!r} is neither an integer nor the name of a size")
    return value


def _shape(values: Any) -> Shape:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is no shape")
    return tuple(map(_count, values))


def _integers(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(type(value) is int and value >= 0 for value in values):
        raise TypeError(f"{values!r} is not a list of whole numbers")
    return tuple(values)


def weight_shape(graph: Graph, node: Node) -> tuple[int, ...]:
    """(C_out, C_in / groups, kernel...) of a layer: the canonical order of its weights."""
    read, made = graph.shape(node.inputs[0]), node.shape
    inputs, outputs = (read[-1], made[-1]) if node.op == "linear" else (read[1], made[1])
    return (int(outputs), int(inputs) // node.attributes.get("groups", 1), *node.attributes.get("kernel", ()))
