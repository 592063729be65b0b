"""Steps that do nothing, or the same as another, and views of views."""

import json
from typing import Any

import numpy as np

from pbgen.packing.step import Flow, Step, is_constant
from pbgen.packing.term import Term, in_order, number, program, replaced, source


def tidied(flow: Flow) -> Flow:
    instead: dict[Step, Step] = {}
    known: dict[Any, Step] = {}
    for step in flow.steps():
        rewire(step, instead)
        _simplify(step)
        result = step.reads[0] if _idle(step) else step
        if result is step and not step.is_layer and step.op != "input":
            result = known.setdefault(_key(step), step)
        if result is not step:
            instead[step] = result
    return replaced_outputs(flow, instead)


def rewire(step: Step, instead: dict[Step, Step]) -> None:
    """Let a step read what stands in the place of what it read; an operand that it has twice, once."""
    step.inputs = [instead.get(value, value) for value in step.inputs]
    if any(value in instead for value in step.operands):
        set_operands(step, [instead.get(value, value) for value in step.operands])


def set_operands(step: Step, values: list[Step]) -> None:
    """Replace the operands one by one; the same one twice becomes one."""
    first = 1 if step.is_layer else 0
    unique = list(dict.fromkeys(values))
    inputs = [source(0)] * first + [source(first + unique.index(value)) for value in values]
    if step.term is not None:
        step.term = replaced(step.term, inputs)
    step.operands = unique


def replaced_outputs(flow: Flow, instead: dict[Step, Step]) -> Flow:
    return Flow(flow.inputs, [(name, instead.get(step, step)) for name, step in flow.outputs])


def _simplify(step: Step) -> None:
    if step.op == "permute":
        _simplify_permute(step)
    if step.op == "reshape":
        while step.inputs[0].op == "reshape":
            step.inputs = step.inputs[0].inputs
    if step.op == "expand" and step.inputs[0].op == "expand":
        step.inputs = step.inputs[0].inputs
    if step.op in ("reshape", "permute") and is_constant(step.inputs[0]):
        _view_of_constant(step)
    if step.op == "map":
        _simplify_map(step)


def _simplify_permute(step: Step) -> None:
    before = step.inputs[0]
    if before.op == "permute":
        step.attributes = {"axes": [before.attributes["axes"][axis] for axis in step.attributes["axes"]]}
        step.inputs = before.inputs
    moved = [axis for axis in step.attributes["axes"] if step.inputs[0].shape[axis] != 1]
    if moved == sorted(moved):
        step.op, step.attributes = "reshape", {}


def _view_of_constant(step: Step) -> None:
    numbers = step.inputs[0].numbers
    assert numbers is not None
    shape = tuple(size for size in step.shape if isinstance(size, int))
    if len(shape) != len(step.shape):
        return
    step.numbers = numbers.transpose(step.attributes["axes"]) if step.op == "permute" else numbers.reshape(shape)
    step.op, step.inputs, step.attributes = "constant", [], {}


def _simplify_map(step: Step) -> None:
    """Operands that are one number, or only repeat themselves, are read as that."""
    assert step.term is not None
    values: list[Step] = []
    terms: list[Term] = []
    for value in step.operands:
        value = value.inputs[0] if value.op == "expand" else value
        same = _same_number(value)
        if same is None and value not in values:
            values.append(value)
        terms.append(number(same) if same is not None else source(values.index(value)))
    step.term = replaced(step.term, terms)
    used = sorted({part.value for part in _inputs(step.term)})
    step.term = replaced(step.term, [source(used.index(i)) if i in used else source(0) for i in range(len(values))])
    step.operands = [values[index] for index in used]
    if step.term.op == "input" and step.operands[0].shape != step.shape:
        _to_expand(step)


def _to_expand(step: Step) -> None:
    value = step.operands[0]
    missing = len(step.shape) - len(value.shape)
    if missing:
        value = Step("reshape", step.name, (1,) * missing + value.shape, [value])
    step.op, step.inputs, step.operands, step.term = "expand", [value], [], None


def _inputs(term: Term) -> list[Term]:
    return [part for part in in_order(term) if part.op == "input"]


def _same_number(value: Step) -> float | None:
    if is_constant(value):
        assert value.numbers is not None
        first = value.numbers.flat[0]
        return float(first) if np.all(value.numbers == first) else None
    if value.op == "map" and not value.operands and value.term is not None:
        return value.term.number
    return None


def _idle(step: Step) -> bool:
    """Whether it hands on the first thing that it reads."""
    if not step.reads or step.reads[0].shape != step.shape:
        return False
    match step.op:
        case "reshape" | "expand" | "slice" | "pad":
            return bool(step.attributes.get("step", 1) == 1)
        case "permute":
            return bool(step.attributes["axes"] == sorted(step.attributes["axes"]))
        case "concat":
            return len(step.inputs) == 1
        case "resample":
            return all(distance in (None, 1) for distance in step.attributes["step"])
        case "map":
            return step.term is not None and step.term.op == "input"
    return False


def _key(step: Step) -> Any:
    if is_constant(step):
        return id(step)
    arithmetic = str(program(step.term, len(step.operands))) if step.term is not None else ""
    attributes = json.dumps(step.attributes, default=str, sort_keys=True)
    return (step.op, step.shape, tuple(step.inputs), tuple(step.operands), arithmetic, attributes)
