"""Steps -> a graph with numbered values and the tensors that its nodes name, as they stand in the file."""

import hashlib
import re
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from pbgen.errors import PBGenError
from pbgen.packing.graph import Graph, Input, Node, Shape
from pbgen.packing.planes import pack_planes
from pbgen.packing.sizes import SizeTable
from pbgen.packing.step import Flow, Step, is_half
from pbgen.packing.term import program

Tensors = dict[str, NDArray[Any]]

_AXES = {3: (None, None, "length"), 4: (None, None, "h", "w")}  # names of free sizes, by the input's dimensions


def lower(flow: Flow) -> tuple[Graph, Tensors]:
    """Raises PBGenError where a number is not finite in float32, where no step is left to pack, and where a size is
    one that the file cannot say."""
    steps = flow.steps()
    if len(steps) == len(flow.inputs):
        raise PBGenError("the module hands on its input unchanged; there is nothing to pack")
    sizes = SizeTable(_free_names(flow.inputs))
    store, names = _Store(), _Names()
    inputs = [_input(step, sizes) for step in flow.inputs]
    checked = [
        (step, shape)
        for step, source in zip(flow.inputs, inputs, strict=True)
        if (shape := tuple(map(sizes, step.shape))) != source.shape
    ]
    nodes = [_check(flow.inputs.index(step), step, shape, names) for step, shape in checked]
    numbers = {step: number + (len(nodes) if step not in flow.inputs else 0) for number, step in enumerate(steps)}
    numbers |= {step: len(inputs) + index for index, (step, _) in enumerate(checked)}
    for step in steps[len(inputs) :]:
        step.name = names.unused(step.name)
        attributes = {
            **_weight(step, store),
            **_attributes(step, sizes),
            **_epilogue(step, store),
            **_program(step, sizes),
        }
        if step.op == "constant":
            attributes["tensor"] = store.name_of(_smallest(_float32(step, step.numbers)), step.name)
        reads = tuple(numbers[value] for value in step.reads)
        nodes.append(Node(step.op, step.name, reads, tuple(map(sizes, step.shape)), attributes))
    outputs = tuple((name, numbers[step]) for name, step in flow.outputs)
    return Graph(tuple(inputs), tuple(sizes.sizes), tuple(nodes), outputs), store.tensors


def _free_names(inputs: list[Step]) -> dict[sympy.Symbol, str]:
    """Free sizes by their places: h and w of an image, the length of a sound, else the input and its dimension."""
    found: dict[sympy.Symbol, str] = {}
    for step in inputs:
        for axis, size in enumerate(step.shape):
            if isinstance(size, sympy.Symbol) and size not in found:
                plain = _AXES.get(len(step.shape), (None,) * (axis + 1))[axis]
                used = found.values()
                found[size] = plain if plain is not None and plain not in used else _own_name(step, axis)
    return found


def _own_name(step: Step, axis: int) -> str:
    name = re.sub(r"\W", "_", f"{step.name}_{axis}", flags=re.ASCII).lstrip("_")
    return name if name[:1].isalpha() else f"x_{name}"


def _input(step: Step, sizes: SizeTable) -> Input:
    shape = tuple(map(sizes, step.shape))
    if "noise" not in step.attributes:  # a size that hangs on others is given, too, and checked
        free = [isinstance(size, int | sympy.Symbol) for size in step.shape]
        shape = tuple(
            size if known else _own_name(step, axis) for axis, (size, known) in enumerate(zip(shape, free, strict=True))
        )
    return Input(step.name, shape, bool(step.attributes.get("integer")), step.attributes.get("noise"))


def _check(number: int, step: Step, shape: Shape, names: "_Names") -> Node:
    """What an input is read by whose size hangs on those of others: it must be so large, or the engine refuses it."""
    return Node("reshape", names.unused(f"{step.name} beside the other inputs"), (number,), shape)


class _Names:
    """Names of steps: numbered where a layer is called again, "up", "up:2", "up:3"."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def unused(self, name: str) -> str:
        self._counts[name] = self._counts.get(name, 0) + 1
        return name if self._counts[name] == 1 else f"{name}:{self._counts[name]}"


class _Store:
    """Tensors by name; one that is there already, to the last bit and for the same purpose, is not stored again."""

    def __init__(self) -> None:
        self.tensors: Tensors = {}
        self._names: dict[tuple[Any, ...], str] = {}

    def name_of(self, tensor: NDArray[Any], name: str, *purpose: object) -> str:
        key = (purpose, tensor.dtype.str, tensor.shape, hashlib.sha256(tensor.tobytes()).digest())
        if key not in self._names:
            self._names[key] = name
            self.tensors[name] = tensor
        return self._names[key]


def _weight(step: Step, store: _Store) -> dict[str, str]:
    if step.weight is None:
        return {}
    values = step.weight.values
    if 0 in values.shape:
        raise PBGenError(
            f'layer "{step.name}": has 0 channels, its weight {values.shape}; give it one, or leave it out'
        )
    stored = pack_planes(values, step.weight.bits) if step.weight.binary else _smallest(_float32(step, values))
    # The engine prepares a shared weight once, for layers of one kind and geometry.
    return {
        "weight": store.name_of(stored, f"{step.name}.weight", step.op, values.shape, step.attributes.get("groups"))
    }


def _epilogue(step: Step, store: _Store) -> dict[str, Any]:
    """Scale and shift, without those that would change nothing."""
    attributes: dict[str, Any] = {}
    for key, numbers, neutral in (("scale", step.scale, 1), ("shift", step.shift, 0)):
        if numbers is not None and np.any((stored := _float32(step, numbers)) != neutral):
            attributes[key] = store.name_of(_smallest(stored), f"{step.name}.{key}")
    return attributes


def _program(step: Step, sizes: SizeTable) -> dict[str, Any]:
    if step.term is None or (step.op == "reduce" and step.term.op == "input"):
        return {}
    steps, numbers = program(step.term, len(step.operands) + step.is_layer)
    given = [sizes(value) if isinstance(value, sympy.Basic) else value for value in numbers]
    return {"program": steps} | ({"numbers": given} if given else {})


def _attributes(step: Step, sizes: SizeTable) -> dict[str, Any]:
    return {key: _lowered(value, sizes) for key, value in step.attributes.items()}


def _lowered(value: Any, sizes: SizeTable) -> Any:
    if isinstance(value, list | tuple):
        return [_lowered(one, sizes) for one in value]
    return sizes(value) if isinstance(value, sympy.Basic) else value


def _float32(step: Step, numbers: Any) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        stored: NDArray[np.float32] = np.ascontiguousarray(numbers, dtype="<f4")
    if not np.all(np.isfinite(stored)):
        raise PBGenError(f'layer "{step.name}": its weights, or those of the batch norm after it, are not finite')
    return stored


def _smallest(numbers: NDArray[np.float32]) -> NDArray[Any]:
    """In float16 where that is exact, as it is of a module in half precision."""
    return numbers.astype("<f2") if is_half(numbers) else numbers
