"""Whether a graph and its tensors are put together as docs/format.md says. Whether what they say can be computed, the
engine says, and rebuilt.py while it runs."""

import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbgen.errors import PBGenError
from pbgen.packing.graph import Count, Graph, Node, Shape, weight_shape
from pbgen.redundancy import MAX_BITS

MAX_RANK = 8
MAX_ENDS = 64  # inputs, and outputs

_DTYPES = {"|u1": "U8", "<f4": "F32", "<f2": "F16"}
_CONVOLUTION = {"kernel", "stride", "padding", "dilation", "groups"}
_PROGRAM = {"program", "numbers"}
_EPILOGUE = {"weight", "scale", "shift"} | _PROGRAM

# How many values each operator reads (weights not counted), which attributes it has and which it may have.
_OPERATORS: dict[str, tuple[range, set[str], set[str]]] = {
    "conv_transpose": (range(1, 18), _CONVOLUTION, _EPILOGUE),
    "conv": (range(1, 18), _CONVOLUTION, _EPILOGUE),
    "linear": (range(1, 18), {"weight"}, _EPILOGUE),
    "map": (range(17), {"program"}, {"numbers"}),
    "reduce": (range(1, 17), {"kind", "axes"}, _PROGRAM),
    "constant": (range(1), {"tensor"}, set()),
    "range": (range(1), {"start", "step"}, set()),
    "reshape": (range(1, 2), set(), set()),
    "permute": (range(1, 2), {"axes"}, set()),
    "expand": (range(1, 2), set(), set()),
    "slice": (range(1, 2), {"axis", "start", "step"}, set()),
    "concat": (range(2, 2**17), {"axis"}, set()),
    "pad": (range(1, 2), {"before", "mode"}, {"value"}),
    "take": (range(2, 3), {"axis"}, set()),
    "resample": (range(1, 2), {"mode", "axes", "step"}, {"align_corners"}),
    "pool": (range(1, 2), {"kind", "kernel", "stride", "padding", "dilation"}, {"padded"}),
    "adaptive_pool": (range(1, 2), {"kind", "axes"}, set()),
    "matmul": (range(2, 3), set(), set()),
}
_UNARY = "neg abs sign sqrt rsqrt exp expm1 log log1p sin cos tanh sigmoid erf floor ceil round relu"
_BINARY = "add sub mul div pow max min mod leaky lt le gt ge eq ne"
_OPERANDS = dict.fromkeys(_UNARY.split(), 1) | dict.fromkeys(_BINARY.split(), 2) | {"where": 3}


def check(graph: Graph, tensors: dict[str, NDArray[Any]]) -> None:
    """Raises PBGenError naming the first input, size, node or tensor that is wrong, and what is."""
    names = _sizes(graph)
    _ends(graph, names)
    for number, node in enumerate(graph.nodes, start=len(graph.inputs)):
        where = f'{node.op} "{node.name}"'
        _require(where, node.op in _OPERATORS, "unknown operator")
        _require(where, all(value < number for value in node.inputs), "reads a value made after it, or none")
        try:
            _node(where, node, names)
            _tensors(where, graph, node, tensors)
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # an attribute of another kind
            raise PBGenError(f"{where}: is not as docs/format.md has it: {error!r}") from None
    _outputs(graph)
    named = {node.attributes.get(key) for node in graph.nodes for key in ("weight", "scale", "shift", "tensor")}
    for name in tensors:
        _require("the graph", name in named, f"no node uses tensor {name}")


def _require(where: str, condition: bool, wrong: str) -> None:
    if not condition:
        raise PBGenError(f"{where}: {wrong}")


def _sizes(graph: Graph) -> set[str]:
    """The names of all sizes."""
    told = [name for source in graph.inputs if source.noise is None for name in source.shape]
    names = set(graph.free)
    for name in names:
        _require(f"the size {name}", name in told, "only noise has it, so nothing tells what it is")
    for size in graph.sizes:
        where = f"the size {size.name}"
        _require(where, size.name not in names, "there are two of this name")
        _require(where, _known(size.a, names) and _known(size.b, names), "is made of sizes that do not stand before it")
        names.add(size.name)
    for name in names:
        right = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is not None
        _require(f"the size {name!r}", right, "its name should be letters, digits and _, a letter first")
    return names


def _known(size: Count | float, names: set[str]) -> bool:
    return not isinstance(size, str) or size in names


def _shape(where: str, shape: Shape, names: set[str]) -> None:
    right = 1 <= len(shape) <= MAX_RANK and all(size >= 1 for size in shape if isinstance(size, int))
    _require(where, right, f"has shape {list(shape)}; it needs one to eight dimensions of at least 1")
    _sizes_exist(where, shape, names)


def _sizes_exist(where: str, sizes: Iterable[Any], names: set[str]) -> None:
    for size in sizes:
        _require(where, _known(size, names), f"names the size {size}, which does not exist")


def _ends(graph: Graph, names: set[str]) -> None:
    _require("the graph", 1 <= len(graph.inputs) <= MAX_ENDS, f"needs 1 to {MAX_ENDS} inputs")
    _require("the graph", any(source.noise is None for source in graph.inputs), "all its inputs are noise")
    _differ("inputs", [source.name for source in graph.inputs])
    for source in graph.inputs:
        where = f'input "{source.name}"'
        _shape(where, source.shape, names)
        _require(where, source.shape[0] == 1, "its shape should begin with the batch's 1")


def _outputs(graph: Graph) -> None:
    _require("the graph", 1 <= len(graph.outputs) <= MAX_ENDS, f"needs 1 to {MAX_ENDS} outputs")
    _differ("outputs", [name for name, _ in graph.outputs])
    for name, value in graph.outputs:
        where = f'output "{name}"'
        _require(where, value < len(graph.inputs) + len(graph.nodes), f"is value {value}, which no node makes")
        _require(where, graph.shape(value)[0] == 1, "its shape should begin with the batch's 1")


def _differ(what: str, names: list[str]) -> None:
    _require("the graph", len(set(names)) == len(names), f"two of its {what} have the same name")


def _node(where: str, node: Node, names: set[str]) -> None:
    arity, required, optional = _OPERATORS[node.op]
    given = set(node.attributes)
    _require(where, required <= given, f"lacks {', '.join(sorted(required - given))}")
    unknown = given - required - optional
    _require(where, not unknown, f"has unknown attributes {', '.join(sorted(unknown))}")
    _require(where, "program" in given or "numbers" not in given, "has numbers, and no program")
    weights = int(node.op in ("conv", "conv_transpose") and "weight" not in given)  # read, not stored
    inputs = len(node.inputs) - weights
    right = inputs in arity and (inputs == 1 or "program" in given or "program" not in optional)
    _require(where, right, f"reads {len(node.inputs)} values")
    _shape(where, node.shape, names)
    for name in ("start", "before", "numbers", "step"):
        value = node.attributes.get(name, [])
        _sizes_exist(where, value if isinstance(value, list | tuple) else [value], names)
    if "program" in given:
        _program(where, node, inputs)


def _program(where: str, node: Node, inputs: int) -> None:
    program = node.attributes["program"]
    operands = inputs + len(node.attributes.get("numbers", []))
    _require(where, 1 <= len(program) <= 256, "its program needs 1 to 256 instructions")
    for number, (name, *indices) in enumerate(program, start=operands):
        _require(where, len(indices) == _OPERANDS.get(name), f"no instruction {name} of {len(indices)} operands")
        right = all(type(index) is int and 0 <= index < number for index in indices)
        _require(where, right, f"its instruction {name} reads an operand made after it, or none")


def _tensors(where: str, graph: Graph, node: Node, tensors: dict[str, NDArray[Any]]) -> None:
    for attribute in ("weight", "scale", "shift", "tensor"):
        if attribute not in node.attributes:
            continue
        name = node.attributes[attribute]
        _require(where, isinstance(name, str) and name in tensors, f"its {attribute} {name!r} is not in the file")
        tensor = tensors[name]
        dtypes = ("U8", "F32", "F16") if attribute == "weight" else ("F32", "F16")
        right = _DTYPES.get(tensor.dtype.str) in dtypes
        _require(where, right, f"tensor {name} holds {tensor.dtype}, expected {' or '.join(dtypes)}")
        shape = _tensor_shape(where, graph, node, attribute)
        if tensor.dtype == np.uint8:
            planes = tensor.shape[:-1]
            right = planes == () or (len(planes) == 1 and 2 <= planes[0] <= MAX_BITS)
            _require(
                where, right, f"tensor {name} has shape {list(tensor.shape)}; planes of bits are 2 to {MAX_BITS} rows"
            )
            shape = (*planes, -(-math.prod(map(int, shape)) // 8))
        _require(where, tensor.shape == shape, f"tensor {name} has shape {list(tensor.shape)}, expected {list(shape)}")


def _tensor_shape(where: str, graph: Graph, node: Node, attribute: str) -> Shape:
    if attribute == "tensor":
        return node.shape
    channels = -1 if node.op == "linear" else 1
    read = graph.shape(node.inputs[0])
    right = all(len(shape) > max(channels, 0) and type(shape[channels]) is int for shape in (read, node.shape))
    _require(where, right and len(read) == len(node.shape), f"makes {list(node.shape)} of {list(read)}")
    return weight_shape(graph, node) if attribute == "weight" else (node.shape[channels],)
