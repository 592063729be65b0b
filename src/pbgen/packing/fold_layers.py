"""What follows a layer becomes part of it: a scale and a shift a channel exactly, the rest as its program."""

import math
from collections import Counter
from typing import Any

import numpy as np

from pbgen.packing.fold_programs import MAX_INPUTS, MAX_INSTRUCTIONS
from pbgen.packing.fold_views import replaced_outputs, rewire
from pbgen.packing.step import Flow, Numbers, Step, Weight, is_constant, is_half
from pbgen.packing.term import Term, in_order, instructions, replaced, source


def into_layers(flow: Flow) -> Flow:
    """Maps move into the layer whose value only they read; on the way past views, and into the parts of a concat."""
    readers = flow.readers()
    instead: dict[Step, Step] = {}
    for step in flow.steps():
        rewire(step, instead)
        if step.op == "map":
            result = _Folding(readers).folded(step)
            if result is not step:
                instead[step] = result
                readers[result] = readers[step]
    return replaced_outputs(flow, instead)


class _Folding:
    def __init__(self, readers: Counter[Step]) -> None:
        self.readers = readers

    def folded(self, step: Step) -> Step:
        """What makes the map's value in its place: a layer, a view of a layer, or the map itself."""
        layers = [value for value in step.operands if value.is_layer and self._alone(value, step)]
        if layers:
            layer = max(layers, key=lambda one: one.order)
            for one in layers:
                _peel(step, one)
            return layer if _take_over(layer, step) else step
        varying = [value for value in step.operands if not is_constant(value)]
        if len(varying) == 1 and self._alone(varying[0], step) and self._leads_to_layer(varying[0]):
            return self._moved(step, varying[0]) or step
        return step

    def _alone(self, value: Step, step: Step) -> bool:
        return self.readers[value] == 1 and value.shape == step.shape

    def _leads_to_layer(self, value: Step) -> bool:
        if self.readers[value] != 1:
            return False
        if value.op in ("reshape", "permute"):
            return self._leads_to_layer(value.inputs[0])
        if value.op == "concat":
            return any(self._leads_to_layer(part) for part in value.inputs)
        return value.is_layer

    def _moved(self, step: Step, view: Step) -> Step | None:
        """The view of the map in the place of the map of the view."""
        constants = [value for value in step.operands if value is not view]
        moved: list[Step] = []
        for number, part in enumerate(view.inputs):
            before = [_before(constant, view, part, number) for constant in constants]
            if any(constant is None for constant in before):
                return None
            others = dict(zip(constants, before, strict=True))
            operands = {view: part, **{key: value for key, value in others.items() if value is not None}}
            values = [operands[value] for value in step.operands]
            moved.append(Step("map", step.name, part.shape, operands=values, term=step.term))
        results = []
        for part, one in zip(view.inputs, moved, strict=True):
            self.readers[one] = 1
            results.append(self.folded(one) if self.readers[part] == 1 else one)
            self.readers[results[-1]] = 1
        return Step(view.op, view.name, view.shape, results, view.attributes)


def _before(constant: Step, view: Step, part: Step, number: int = 0) -> Step | None:
    """The constant as it stands beside what the view reads; None where it varies in another way than by channel."""
    numbers = constant.numbers
    if numbers is None:
        return None
    numbers = numbers.reshape((1,) * (len(view.shape) - numbers.ndim) + numbers.shape)
    made: Numbers | None
    if view.op == "permute":
        made = numbers.transpose(np.argsort(view.attributes["axes"]))
    elif view.op == "concat":
        made = _part_of(numbers, view, number)
    else:
        made = _unshaped(numbers, view, part)
    if made is None:
        return None
    return Step("constant", constant.name, made.shape, numbers=made, order=constant.order)


def _part_of(numbers: Numbers, view: Step, number: int) -> Numbers | None:
    axis = view.attributes["axis"]
    if numbers.shape[axis] == 1:
        return numbers
    sizes = [part.shape[axis] for part in view.inputs]
    if not all(isinstance(size, int) for size in sizes):
        return None
    start = sum(int(size) for size in sizes[:number])
    return numbers.take(range(start, start + int(sizes[number])), axis)


def _unshaped(numbers: Numbers, view: Step, part: Step) -> Numbers | None:
    """Where the axes 1 .. k - 1 of the view are the channels before it, and the constant is the same along the rest."""
    if len(part.shape) < 2 or view.shape[0] != part.shape[0] or not isinstance(part.shape[1], int):
        return None
    for k in range(2, len(view.shape) + 1):
        leading = [size for size in view.shape[1:k] if isinstance(size, int)]
        if len(leading) == k - 1 and math.prod(leading) == part.shape[1] and math.prod(numbers.shape[k:]) == 1:
            whole = np.broadcast_to(numbers.reshape(numbers.shape[:k]), (1, *leading))
            return whole.reshape(1, part.shape[1], *[1] * (len(part.shape) - 2))
    return None


def _peel(step: Step, layer: Step) -> None:
    """Move scales and shifts that the map begins with into the layer's own, as long as there are such."""
    if layer.term is not None:
        return
    assert step.term is not None
    index = step.operands.index(layer)
    while (around := _only_reader(step.term, index)) is not None:
        linear = _linear(around, index, step, layer)
        if linear is None:
            return
        scale, shift = linear
        assert layer.scale is not None and layer.shift is not None
        layer.scale, layer.shift = layer.scale * scale, layer.shift * scale + shift
        step.term = _swapped(step.term, around, source(index))


def _only_reader(term: Term, index: int) -> Term | None:
    around = [
        part for part in in_order(term) for operand in part.operands if operand.op == "input" and operand.value == index
    ]
    return around[0] if len(around) == 1 else None


def _linear(around: Term, index: int, step: Step, layer: Step) -> tuple[Numbers, Numbers] | None:
    """The instruction as scale and shift of its operand `index`."""
    first = around.operands[0].op == "input" and around.operands[0].value == index
    one, zero = np.ones(layer.channels), np.zeros(layer.channels)
    if around.op == "neg":
        return -one, zero
    if around.op not in ("add", "sub", "mul", "div"):
        return None
    other = _each_channel(around.operands[1 if first else 0], step, layer)
    if other is None:
        return None
    match around.op, first:
        case "add", _:
            return one, other + zero
        case "sub", True:
            return one, zero - other
        case "sub", False:
            return -one, other + zero
        case "mul", _:
            return one * other, zero
        case "div", True:
            return one / other, zero
    return None


def _each_channel(term: Term, step: Step, layer: Step) -> Numbers | None:
    """What a term of nothing but numbers and constants is for each channel, or for all."""
    if term.op == "number":
        return None if term.number is None else np.asarray(term.number)
    if term.op == "input":
        return _vector(step.operands[term.value], layer)
    parts = [_each_channel(operand, step, layer) for operand in term.operands]
    if any(part is None for part in parts) or term.op not in _ARITHMETIC:
        return None
    made: Numbers = _ARITHMETIC[term.op](*parts)
    return made


_ARITHMETIC: dict[str, Any] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
}


def _vector(value: Step, layer: Step) -> Numbers | None:
    if value.numbers is None or not is_constant(value):
        return None
    axis = len(layer.shape) - 1 if layer.op == "linear" else 1
    shape = (1,) * (len(layer.shape) - value.numbers.ndim) + value.numbers.shape
    others = shape[:axis] + shape[axis + 1 :]
    return value.numbers.reshape(-1) if all(size == 1 for size in others) else None


def _swapped(term: Term, old: Term, new: Term) -> Term:
    """The term with one part replaced."""
    known: dict[int, Term] = {}
    for part in in_order(term):
        if part is old:
            known[id(part)] = new
        elif any(known[id(operand)] is not operand for operand in part.operands):
            known[id(part)] = Term(part.op, tuple(known[id(operand)] for operand in part.operands))
        else:
            known[id(part)] = part
    return known[id(term)]


def _take_over(layer: Step, step: Step) -> bool:
    """Let the layer make the map's value by its program. False where the program would be too long."""
    assert step.term is not None
    used = {part.value for part in in_order(step.term) if part.op == "input"}
    others = [value for index, value in enumerate(step.operands) if value is not layer and index in used]
    operands = list(dict.fromkeys([*layer.operands, *others]))
    before = layer.term or source(0)
    if len(operands) > MAX_INPUTS or instructions(before) + instructions(step.term) > MAX_INSTRUCTIONS:
        return False
    places = [
        before if v is layer else source(1 + operands.index(v)) if v in operands else source(0) for v in step.operands
    ]
    term = replaced(step.term, places)
    layer.term, layer.operands = (None if term.op == "input" and term.value == 0 else term), operands
    return True


def scales_into_weights(flow: Flow) -> Flow:
    """Float weights take up their scale, unless several layers share them and need not have the same scale, or float16
    holds them as they are."""
    steps = flow.steps()
    readers = Counter(step.weight for step in steps)
    for step in steps:
        weight, scale = step.weight, step.scale
        if weight is not None and scale is not None and not weight.binary and readers[weight] == 1:
            if np.any(scale != 1):
                if is_half(weight.values):
                    continue
                along_channels = scale.reshape(-1, *[1] * (weight.values.ndim - 1))
                step.weight = Weight((weight.values * along_channels).astype(np.float32))
            step.scale = np.ones_like(scale)
    return flow
