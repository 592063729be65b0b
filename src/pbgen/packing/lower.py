"""Steps -> a graph with numbered values and the tensors that its nodes name, as they stand in the file."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbgen.errors import PBGenError
from pbgen.packing.graph import Graph, Node
from pbgen.packing.step import Flow, Step

Tensors = dict[str, NDArray[Any]]


def lower(flow: Flow) -> tuple[Graph, Tensors]:
    """Raises PBGenError where a number is not finite in float32, or where no step is left to pack."""
    if len(flow.steps) == 1:
        raise PBGenError("the module hands on its input unchanged; there is nothing to pack")
    numbers = {step: number for number, step in enumerate(flow.steps)}
    store = _Store()
    nodes = [
        Node(
            step.op,
            step.name,
            tuple(numbers[value] for value in step.inputs),
            step.shape,
            {**_weight(step, store), **step.attributes, **_epilogue(step, store)},
        )
        for step in flow.steps[1:]
    ]
    return Graph(flow.input.shape, tuple(nodes), numbers[flow.output]), store.tensors


def pack_signs(signs: NDArray[Any]) -> NDArray[np.uint8]:
    """Weight i is bit i % 8, lowest first, of byte i / 8; 1 is +1 and 0 is -1."""
    return np.packbits(signs.reshape(-1) > 0, bitorder="little")


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
    stored = pack_signs(values) if step.weight.binary else _float32(step, values)
    # The engine prepares a shared weight once, for layers of one kind and geometry.
    return {
        "weight": store.name_of(stored, f"{step.name}.weight", step.op, values.shape, step.attributes.get("groups"))
    }


def _epilogue(step: Step, store: _Store) -> dict[str, Any]:
    """The epilogue's attributes, without those that would change nothing."""
    if step.epilogue is None:
        return {}
    epilogue = step.epilogue
    attributes: dict[str, Any] = {}
    scale, shift = _float32(step, epilogue.scale), _float32(step, epilogue.shift)
    if np.any(scale != 1):
        attributes["scale"] = store.name_of(scale, f"{step.name}.scale")
    if np.any(shift != 0):
        attributes["shift"] = store.name_of(shift, f"{step.name}.shift")
    if epilogue.activation != "none":
        attributes["activation"] = epilogue.activation
    if epilogue.slope is not None:
        attributes["slope"] = epilogue.slope
    return attributes


def _float32(step: Step, numbers: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(numbers, dtype="<f4")
    if not np.all(np.isfinite(numbers)):
        raise PBGenError(f'layer "{step.name}": its weights, or those of the batch norm after it, are not finite')
    return numbers
