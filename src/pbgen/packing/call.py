"""One use of an aten operator: where it stands in the module, what it reads, its steps, and how it is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from torch import fx
from torch._ops import OpOverload

from pbgen.errors import PBGenError
from pbgen.operators import name_of
from pbgen.packing import sizes, term
from pbgen.packing.export import Constant
from pbgen.packing.sizes import Count, Counts
from pbgen.packing.step import Numbers, Step
from pbgen.packing.term import Term
from pbgen.packing.weights import Weights

MAX_DIMENSIONS = 8


class RefusedError(PBGenError):
    """An operator that cannot be packed; `what` is said of it after its name."""

    def __init__(self, operator: str, place: str, what: str) -> None:
        super().__init__(f"{operator} in {place}: {what}")
        self.operator, self.place, self.what = operator, place, what


@dataclass(frozen=True, eq=False)
class Call:
    """`arguments` are the operator's by name, as its schema has them: steps, constants, plain numbers and sizes."""

    operator: str
    place: str  # for messages: layer "block.2" (Conv2d)
    name: str  # of the steps that it becomes
    shape: Counts  # of its value, as torch has it: [] for a number
    arguments: dict[str, Any]
    weights: Weights
    hints: dict[sympy.Symbol, int]
    dtype: torch.dtype  # of its value
    dtypes: dict[str, torch.dtype]  # of the tensors that it reads, by argument; of a list's last
    results: tuple[Counts, ...] = ()  # shapes, where it has several values

    def __getitem__(self, argument: str) -> Any:
        return self.arguments[argument]

    def get(self, argument: str, default: Any = None) -> Any:
        return self.arguments.get(argument, default)

    def value(self, argument: str = "") -> Step:
        """The step whose value the argument is, the first argument by default."""
        return self.as_value(self[argument or next(iter(self.arguments))])

    def as_value(self, argument: Any) -> Step:
        if isinstance(argument, Constant):
            return self.weights.as_step(argument)
        if not isinstance(argument, Step):
            raise self.refuse(f"{sizes.said(argument)} where a value is expected")
        return argument

    def at(self, value: Count) -> int:
        """A size as it is in the example."""
        return sizes.at(value, self.hints)

    @property
    def read_dtype(self) -> torch.dtype:
        """That of the first tensor that it reads."""
        return next(iter(self.dtypes.values()), self.dtype)

    def axis(self, argument: str = "dim") -> int:
        return int(self[argument]) % max(1, len(self.value().shape))

    def refuse(self, why: str) -> RefusedError:
        return RefusedError(self.operator, self.place, why)

    # Steps. Those that would do nothing are left out when steps are folded.

    def step(self, op: str, shape: Sequence[Count], inputs: list[Step], **attributes: Any) -> Step:
        if len(shape) > MAX_DIMENSIONS:
            raise self.refuse(f"makes {len(shape)} dimensions; a packed file has at most {MAX_DIMENSIONS}")
        return Step(op, self.name, tuple(shape) or (1,), inputs, attributes)

    def map(self, function: Callable[..., Term], *values: Any, shape: Sequence[Count] | None = None) -> Step:
        """What the function makes of values (steps, constants, numbers, sizes), element by element."""
        operands: list[Step] = []
        terms = [self.as_term(value, operands) for value in values]
        shape = self.shape if shape is None else shape
        return Step("map", self.name, tuple(shape) or (1,), operands=operands, term=function(*terms))

    def as_term(self, value: Any, operands: list[Step]) -> Any:
        """A value as an operand; what is none, such as an option, stays as it is."""
        if isinstance(value, Constant) and value.tensor.numel() == 1:
            return term.number(value.tensor.item())
        if isinstance(value, Constant | Step):
            step = self.as_value(value)
            if step not in operands:
                operands.append(step)
            return term.source(operands.index(step))
        if isinstance(value, int | float | sympy.Basic) and not isinstance(value, bool):
            return term.number(value)
        return value

    def reduce(self, kind: str, axes: Sequence[int], *values: Any, function: Callable[..., Term] = lambda x: x) -> Step:
        """Over `axes`, which have size 1 then."""
        operands: list[Step] = []
        terms = [self.as_term(value, operands) for value in values]
        shape = broadcast([step.shape for step in operands])
        if not axes:
            return self.map(function, *values, shape=shape)
        made = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
        return Step("reduce", self.name, made, [], {"kind": kind, "axes": sorted(axes)}, operands, function(*terms))

    def reshape(self, x: Step, shape: Sequence[Count]) -> Step:
        return self.step("reshape", shape, [x])

    def permute(self, x: Step, axes: Sequence[int]) -> Step:
        return self.step("permute", [x.shape[axis] for axis in axes], [x], axes=list(axes))

    def expand(self, x: Step, shape: Sequence[Count]) -> Step:
        shape = tuple(shape) or (1,)
        missing = len(shape) - len(x.shape)
        return self.step("expand", shape, [self.reshape(x, (1,) * missing + x.shape) if missing > 0 else x])

    def slice(self, x: Step, axis: int, start: Count, size: Count, step: int = 1) -> Step:
        shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        return self.step("slice", shape, [x], axis=axis, start=start, step=step)

    def concat(self, values: list[Step], axis: int) -> Step:
        size = sizes.count(sum((sympy.sympify(value.shape[axis]) for value in values), sympy.Integer(0)))
        return self.step("concat", (*values[0].shape[:axis], size, *values[0].shape[axis + 1 :]), values, axis=axis)

    def matmul(self, a: Step, b: Step) -> Step:
        batch = broadcast([a.shape[:-2], b.shape[:-2]])
        return self.step("matmul", (*batch, a.shape[-2], b.shape[-1]), [a, b])

    def range(self, size: Count, start: Any = 0, step: Any = 1) -> Step:
        return self.step("range", [size], [], start=start, step=step)

    def constant(self, numbers: Any) -> Step:
        array = np.asarray(numbers, dtype=np.float64)
        return Step("constant", self.name, array.shape or (1,), numbers=array.reshape(array.shape or (1,)))


def broadcast(shapes: Sequence[Sequence[Count]]) -> Counts:
    """The shape of values of these shapes together, where sizes that are not 1 agree."""
    dims = max(map(len, shapes))
    padded = [(1,) * (dims - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(next((size for size in column if size != 1), 1) for column in zip(*padded, strict=True))


def numbers_of(constant: Constant) -> Numbers:
    return constant.tensor.detach().cpu().double().numpy()


def arguments(node: fx.Node, values: dict[fx.Node, Any]) -> dict[str, Any]:
    """The operator's arguments by name, defaults filled in, other operators' results put in their places."""
    assert isinstance(node.target, OpOverload)
    schema = node.target._schema.arguments
    names = [argument.name for argument in schema]
    found: dict[str, Any] = {argument.name: argument.default_value for argument in schema}
    found.update(zip(names, node.args, strict=False))
    found.update(node.kwargs)
    return {name: fx.node.map_arg(argument, values.__getitem__) for name, argument in found.items()}


def dtypes(node: fx.Node) -> dict[str, torch.dtype]:
    assert isinstance(node.target, OpOverload)
    names = [argument.name for argument in node.target._schema.arguments]
    given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    tensors = {name: _last(one).meta.get("val") for name, one in given.items() if isinstance(_last(one), fx.Node)}
    return {name: one.dtype for name, one in tensors.items() if isinstance(one, torch.Tensor)}


def _last(given: Any) -> Any:
    return given[-1] if isinstance(given, list | tuple) and given else given


def place(node: fx.Node) -> str:
    """The innermost module that called the operator, for messages."""
    path, kind = layer(node)
    return f'layer "{path}" ({kind})' if path else f"the module's own forward ({kind})"


def layer(node: fx.Node) -> tuple[str, str]:
    """Path and class name of the innermost module that called the operator."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path, kind = stack[-1] if stack else ("", "")
    return path, str(kind).rpartition(".")[2]


def step_name(node: fx.Node, leaves: frozenset[str]) -> str:
    """The layer's name, or the operator's within a module that holds several layers."""
    path, _ = layer(node)
    if path in leaves and path:
        return path
    return f"{path}.{name_of(node.target)}" if path else name_of(node.target)
