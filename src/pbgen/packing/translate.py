"""aten operators -> steps: walks what torch.export saw and asks the table of operators for each."""

import operator
from typing import Any, cast

import torch
from torch import Tensor, fx

from pbgen.errors import PBGenError
from pbgen.packing.call import Call, arguments, layer, place
from pbgen.packing.export import BATCH, Constant, Exported
from pbgen.packing.operators import OPERATORS, SUPPORTED
from pbgen.packing.step import Flow, Step
from pbgen.packing.weights import Weights


def translate(exported: Exported) -> Flow:
    """The steps of an exported module.

    Raises PBGenError, with the operator's name and its place in the module, for what cannot be packed, and with the
    layer's name where the weights of a binary layer would not be stored as bits.
    """
    values: dict[fx.Node, Any] = {}
    steps: list[Step] = []
    weights = Weights()
    for node in exported.nodes:
        if not node.users:  # torch's own assertions, and state that forward writes but does not read
            continue
        if node.op == "placeholder":
            values[node] = exported.constants.get(node.name) or Step("input", "input", [], _image_shape(node))
        elif node.op == "call_function":
            values[node] = _call_function(node, values, weights, exported.leaves)
        if isinstance(step := values.get(node), Step) and step not in steps:
            step.name = _unused(step.name, {other.name for other in steps if other.op != "input"})
            steps.append(step)
    output = next(value for node, value in values.items() if node.name == exported.output)
    if not isinstance(output, Step):
        raise PBGenError("the module's output does not depend on its input; there is nothing to pack")
    lost = frozenset().union(*(constant.binary for constant in exported.read)) - weights.binary
    if lost:
        raise PBGenError(
            f"layer '{min(lost)}': its one-bit weights are not what the module computes with, which is derived from "
            "them, and no longer signs times a scale for each output channel; undo that, or leave the layer in float"
        )
    return Flow(steps, output)


def _call_function(node: fx.Node, values: dict[fx.Node, Any], weights: Weights, leaves: frozenset[str]) -> Any:
    if node.target is operator.getitem:
        source, index = node.args
        value = values[cast(fx.Node, source)]
        return value if isinstance(value, Step) else value[index]  # of batch norm's results, only the first is read
    if not any(isinstance(values[source], Step) for source in node.all_input_nodes):
        return _computed_now(node, values)
    target = str(node.target)
    if target not in OPERATORS:
        raise PBGenError(f"{place(node)} cannot be packed; supported are {SUPPORTED}")
    call = Call(place(node), _name(node, leaves), _image_shape(node), arguments(node, values), weights)
    return OPERATORS[target](call)


def _computed_now(node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    """The value of an operator that does not depend on the input, such as a normalization of weights."""
    assert isinstance(node.target, torch._ops.OpOverload)
    if torch.Tag.nondeterministic_seeded in node.target.tags:
        raise PBGenError(f"{place(node)} draws random numbers; a packed generator's only source of them is its input")
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda source: _plain(values[source]))
    result = node.target(*args, **kwargs)
    sources = [values[source] for source in node.all_input_nodes]
    binary = frozenset().union(*(source.binary for source in sources if isinstance(source, Constant)))
    if isinstance(result, tuple | list):
        return [_constant(node, value, binary) for value in result]
    return _constant(node, result, binary)


def _plain(value: Any) -> Any:
    return value.tensor if isinstance(value, Constant) else value


def _constant(node: fx.Node, value: Any, binary: frozenset[str]) -> Any:
    return Constant(node.name, value, binary) if isinstance(value, Tensor) else value


def _image_shape(node: fx.Node) -> tuple[int, ...]:
    """The shape of a value for one image. Raises PBGenError where dimension 0 is not the batch."""
    value = node.meta["val"]
    value = value[0] if isinstance(value, tuple | list) else value
    where = "the input" if node.op == "placeholder" else place(node)
    if value.dtype != torch.float32:
        raise PBGenError(f"{where} gives {value.dtype}; a generator is packed in float32 throughout")
    batch, *shape = value.shape or (0,)
    if batch != BATCH:
        raise PBGenError(
            f"{where} mixes the images of a batch; keep dimension 0 for the batch, as in view(x.size(0), ...)"
        )
    return tuple(shape)


def _name(node: fx.Node, leaves: frozenset[str]) -> str:
    """The layer's name, or the operator's within a module that holds several layers."""
    path, _ = layer(node)
    if path in leaves and path:
        return path
    operator_name = str(node.target).removeprefix("aten.").partition(".")[0]
    return f"{path}.{operator_name}" if path else operator_name


def _unused(name: str, used: set[str]) -> str:
    """`name`, numbered where a layer is called again: "up", "up:2", "up:3"."""
    count = 1
    numbered = name
    while numbered in used:
        count += 1
        numbered = f"{name}:{count}"
    return numbered
