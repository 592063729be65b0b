"""aten operators -> steps: walks what torch.export saw and asks the table of operators for each."""

import operator
from collections import Counter
from dataclasses import replace
from typing import Any, cast

import sympy
import torch
from torch import Tensor, fx

from pbgen.errors import PBGenError
from pbgen.operators import name_of
from pbgen.packing import sizes
from pbgen.packing.call import Call, RefusedError, arguments, dtypes, place, step_name
from pbgen.packing.export import Constant, Exported
from pbgen.packing.noise import drawn
from pbgen.packing.operators import OPERATORS, REFUSALS
from pbgen.packing.operators.norms import BATCH_NORMS, by_batch
from pbgen.packing.picked import REFUSED, Picked
from pbgen.packing.sizes import Counts
from pbgen.packing.step import Flow, Step
from pbgen.packing.targets import overload_of
from pbgen.packing.weights import Weights


class DerivedError(PBGenError):
    """The module computes with what is derived from binary weights, and no longer binary; `layers`: whose these are."""

    def __init__(self, layers: frozenset[str]) -> None:
        super().__init__(
            f"layer '{min(layers)}': its binary weights are not what the module computes with, which is derived "
            "from them, and no longer signs times a scale for each output channel; undo that, or leave the layer "
            "in float"
        )
        self.layers = layers


def translate(exported: Exported) -> Flow:
    """The steps of an exported module.

    Raises PBGenError for what cannot be packed: all such operators at once, with their places in the module; and with
    the layer's name where the weights of a binary layer would not be stored as bits.
    """
    return _Translation(exported).flow()


def batch_norms(exported: Exported) -> list[str]:
    """The places where the module normalizes by the batch at hand, that of one image or, perhaps, of several."""
    found = [node for node in exported.nodes if node.op == "call_function" and name_of(node.target) in BATCH_NORMS]
    return [place(node) for node in found if by_batch(arguments(node, {one: one for one in node.all_input_nodes}))]


class _Translation:
    """Values by the operators that make them: steps, constants, plain numbers and sizes, and lists of these."""

    def __init__(self, exported: Exported) -> None:
        self.exported = exported
        self.values: dict[fx.Node, Any] = {}
        self.weights = Weights()
        self.inputs: list[Step] = []
        self.read: dict[sympy.Symbol, float] = {}  # numbers that Python reads from constants
        self.refused: list[RefusedError] = []

    def flow(self) -> Flow:
        for node in self.exported.nodes:
            if node.op == "placeholder":
                self.values[node] = self._placeholder(node)
            elif node.op == "call_function" and (node.users or _draws(node)):
                self.values[node] = self._value(node)
        if self.refused:
            raise _all_in_one(self.refused)
        by_name = {node.name: value for node, value in self.values.items()}
        outputs = [(name, self._output(name, by_name[node])) for name, node in self.exported.outputs]
        flow = Flow(self.inputs, outputs)
        if not any(step in self.inputs for _, output in outputs for step in _ancestors(output)):
            raise PBGenError("the module's output does not depend on its input; there is nothing to pack")
        self._check_binary()
        return flow

    def _check_binary(self) -> None:
        lost = frozenset().union(*(constant.binary for constant in self.exported.read)) - self.weights.binary
        if lost:
            raise DerivedError(lost)

    def _placeholder(self, node: fx.Node) -> Any:
        if node.name in self.exported.constants:
            return self.exported.constants[node.name]
        value = node.meta["val"]
        if not isinstance(value, Tensor):
            return value
        integer = not value.dtype.is_floating_point
        step = Step("input", node.name, sizes.counts(value.shape), attributes={"integer": integer})
        self.inputs.append(step)
        return step

    def _value(self, node: fx.Node) -> Any:
        """What the operator makes; None for one that is refused, and for what only that one leads to."""
        result = node.meta.get("val")
        if isinstance(result, torch.SymInt | torch.SymFloat | torch.SymBool):
            if isinstance(node.target, torch._ops.OpOverload) and self._is_fixed(node):
                self.read[result.node.expr] = _computed_now(node, self.values)
            return _number(result, self.read)
        if isinstance(result, int | float | bool):
            return result
        try:
            if any(isinstance(self.values.get(source), _Lost) for source in node.all_input_nodes):
                if node.target is not operator.getitem:
                    _check_known(node)
                return _Lost()
            return self._called(node)
        except RefusedError as refusal:
            self.refused.append(refusal)
            return _Lost()

    def _is_fixed(self, node: fx.Node) -> bool:
        return all(isinstance(self.values.get(source), Constant) for source in node.all_input_nodes)

    def _called(self, node: fx.Node) -> Any:
        if node.target is operator.getitem:
            source, index = cast(tuple[fx.Node, int], node.args)
            value = self.values[source]
            if index >= len(value) or value[index] is None:
                raise RefusedError(name_of(source.target), place(node), f"its result {index} cannot be packed")
            return value[index]
        if _draws(node):
            return self._noise(node)
        if not isinstance(node.target, torch._ops.OpOverload):  # of a program of its own, as torch.cond is
            _check_known(node)
        given = arguments(node, self.values)
        if not _depends(given):
            made = _computed_now(node, self.values)
            if not _is_spread(node, made, self.values):
                return made
        _check_known(node)
        call = self._call(node, given)
        if name_of(node.target) != "index_put" and any(isinstance(value, Picked) for value in given.values()):
            return _of_picked(node, call)
        made = _find(node)(call)
        return (
            [_reshaped(call, one, shape) for one, shape in zip(made, call.results, strict=False)]
            if isinstance(made, list)
            else _reshaped(call, made, call.shape)
        )

    def _call(self, node: fx.Node, given: dict[str, Any]) -> Call:
        result = node.meta["val"]
        several = isinstance(result, tuple | list)
        results = tuple(self._shape(one) if isinstance(one, Tensor) else () for one in result) if several else ()
        first = result[0] if several else result
        return Call(
            name_of(node.target),
            place(node),
            step_name(node, self.exported.leaves),
            self._shape(first),
            given,
            self.weights,
            self.exported.hints,
            first.dtype,
            dtypes(node),
            results,
        )

    def _shape(self, value: Tensor) -> Counts:
        """Where images were cut into parts and are whole again, torch may not know that it is one; other sizes tell."""
        shape = sizes.counts(value.shape)
        one = shape[:1] and not isinstance(shape[0], sympy.Symbol) and sizes.at(shape[0], self.exported.hints) == 1
        return (1, *shape[1:]) if one else shape

    def _noise(self, node: fx.Node) -> Step:
        """Numbers that the module draws go in by an input with the name of its place."""
        call = self._call(node, arguments(node, self.values))
        draws = drawn(call.operator, {name: value for name, value in call.arguments.items() if value is not None})
        assert draws is not None
        name = _unused(step_name(node, self.exported.leaves), {step.name for step in self.inputs})
        shape = call.shape
        noise = Step("input", name, shape or (1,), attributes={"noise": draws.kind})
        if not shape or shape[0] != 1:
            noise.shape = (1, *noise.shape)
        self.inputs.append(noise)
        return call.map(lambda x, scale, shift: x * scale + shift, call.reshape(noise, shape), draws.scale, draws.shift)

    def _output(self, name: str, value: Any) -> Step:
        if isinstance(value, Constant):
            value = self.weights.as_step(value)
        if not isinstance(value, Step):
            raise PBGenError(f'the module\'s output "{name}" is no tensor that depends on its input')
        if value.shape[0] != 1:
            shape = ", ".join(str(sizes.at(size, self.exported.hints)) for size in value.shape)
            raise PBGenError(
                f'the module\'s output "{name}" has shape [{shape}] for one image; '
                "its first dimension must be the batch"
            )
        return value


class _Lost:
    """The value of an operator that is refused, or of one that reads such a value."""


def _draws(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and drawn(name_of(node.target), {}) is not None


def _find(node: fx.Node) -> Any:
    return OPERATORS.get(overload_of(node.target)) or OPERATORS[name_of(node.target)]


def _check_known(node: fx.Node) -> None:
    """Raises RefusedError where no operator of ours makes it."""
    name = name_of(node.target)
    results = node.meta["val"] if isinstance(node.meta["val"], tuple | list) else [node.meta["val"]]
    if any(isinstance(result, Tensor) and result.is_complex() for result in results):
        raise RefusedError(
            name, place(node), "complex numbers cannot be packed; leave Fourier transforms out of the module"
        )
    if name in REFUSALS:
        raise RefusedError(name, place(node), REFUSALS[name])
    if not {name, overload_of(node.target)} & set(OPERATORS) and not _draws(node):
        raise RefusedError(name, place(node), "cannot be packed")


def _of_picked(node: fx.Node, call: Call) -> Picked:
    """What an operator makes, element by element, of what masks pick."""
    assert isinstance(node.target, torch._ops.OpOverload)
    first = next(value for value in call.arguments.values() if isinstance(value, Picked))
    beside = all(map(first.beside, call.arguments.values()))
    if torch.Tag.pointwise not in node.target.tags or not beside:
        raise call.refuse(REFUSED)
    whole = {name: value.whole if isinstance(value, Picked) else value for name, value in call.arguments.items()}
    made = _find(node)(replace(call, arguments=whole, shape=first.whole.shape))
    return Picked(made, first.mask, first.axis)


def _depends(value: Any) -> bool:
    """Whether an argument holds a value or a free size."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return any(map(_depends, value))
    return isinstance(value, Step | Picked | sympy.Basic)


def _computed_now(node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    """The value of an operator that depends on no input and no free size, such as a normalization of weights."""
    assert isinstance(node.target, torch._ops.OpOverload)
    if torch.Tag.nondeterministic_seeded in node.target.tags:
        raise RefusedError(name_of(node.target), place(node), "draws random numbers in another way than randn and rand")
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda source: _plain(values[source]))
    kwargs = {key: "cpu" if key == "device" else value for key, value in kwargs.items()}
    result = node.target(*args, **kwargs)
    sources = [values[source] for source in node.all_input_nodes]
    binary = frozenset().union(*(source.binary for source in sources if isinstance(source, Constant)))
    if isinstance(result, tuple | list):
        return [_constant(node, value, binary) for value in result]
    return _constant(node, result, binary)


_TAKES = {"index", "index_select", "embedding"}
_VIEWS = {"view", "_unsafe_view", "reshape", "permute", "transpose", "unsqueeze", "squeeze", "clone", "contiguous"}
_MUCH = 2  # times the numbers that it is made of


def _is_spread(node: fx.Node, made: Any, values: dict[fx.Node, Any]) -> bool:
    """Whether it takes many numbers of a small table, to add them, as windows of attention do with what belongs to
    each distance: table and indices, which all windows share, are stored instead."""
    if name_of(node.target) not in _TAKES or not isinstance(made, Constant) or made.binary:
        return False
    numbers = sum(values[source].tensor.numel() for source in node.all_input_nodes)
    return made.tensor.numel() > _MUCH * numbers and _is_added(node)


def _is_added(node: fx.Node) -> bool:
    """Whether nothing but sums read it, in whatever shape."""
    names = [(user, name_of(user.target)) for user in node.users]
    return bool(names) and all(name == "add" or (name in _VIEWS and _is_added(user)) for user, name in names)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.tensor if isinstance(value, Constant) else value


def _constant(node: fx.Node, value: Any, binary: frozenset[str]) -> Any:
    return Constant(node.name, value, binary) if isinstance(value, Tensor) else value


def _reshaped(call: Call, value: Any, shape: Counts) -> Any:
    """The value in torch's shape where its step has the same numbers in another."""
    if isinstance(value, Step) and value.shape != (shape or (1,)):
        return call.reshape(value, shape)
    return value


def _number(value: Any, read: dict[sympy.Symbol, float]) -> Any:
    expression = value.node.expr.subs(read)
    if isinstance(value, torch.SymInt):
        return sizes.count(expression)
    if expression in (sympy.true, sympy.false):
        return bool(expression)
    return float(expression) if expression.is_number else expression


def _ancestors(step: Step) -> set[Step]:
    found: set[Step] = set()
    waiting = [step]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting.extend(one.reads)
    return found


def _unused(name: str, used: set[str]) -> str:
    """`name`, numbered where it is used: "up", "up:2", "up:3"."""
    count, numbered = 1, name
    while numbered in used:
        count += 1
        numbered = f"{name}:{count}"
    return numbered


def _all_in_one(refused: list[RefusedError]) -> PBGenError:
    """One line for all: each operator and reason with its first place and count."""
    counts = Counter((refusal.operator, refusal.what) for refusal in refused)
    parts = []
    for (name, what), count in counts.items():
        places = [refusal.place for refusal in refused if (refusal.operator, refusal.what) == (name, what)]
        more = f" and {count - 1} more" if count > 1 else ""
        parts.append(
            f"{name} in {places[0]}{more}: {what}" if what != "cannot be packed" else f"{name} in {places[0]}{more}"
        )
    unknown = [part for part, (_, what) in zip(parts, counts, strict=True) if what == "cannot be packed"]
    others = [part for part in parts if part not in unknown]
    if unknown:
        others.insert(0, f"no packed file can hold {', '.join(unknown)}")
    return PBGenError("; ".join(others))
