"""Random graphs of docs/format.md, any operator and free sizes among them, that hold at several sizes.

They are well conditioned: what jumps (floor, comparisons, indices) reads numbers that are exact, so that two right
implementations differ by rounding alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pbgen.packing.graph import Count, Graph, Input, Node, Size

CASES = 3  # sets of free sizes that a graph holds at
MAX_NUMBERS = 3000  # in a value
TOKENS = 5  # an integer input's numbers are 0 .. TOKENS - 1


@dataclass(frozen=True)
class Dim:
    """A size, and what it is in each case."""

    name: Count
    at: tuple[int, ...]

    @property
    def fixed(self) -> bool:
        return isinstance(self.name, int)

    @property
    def is_one(self) -> bool:
        return self.name == 1


@dataclass(frozen=True)
class Value:
    """`exact`: moved and compared, never rounded; `token`: an integer input."""

    number: int
    shape: tuple[Dim, ...]
    exact: bool
    token: bool = False


class ImpossibleError(Exception):
    """The operator does not fit the value at hand."""


@dataclass(frozen=True)
class RandomGraph:
    """`cases` are sets of free sizes."""

    graph: Graph
    tensors: dict[str, np.ndarray]
    cases: list[dict[str, int]]

    def inputs(self, case: int, batch: int, seed: int = 0) -> list[np.ndarray]:
        """One array for each input, noise too: float32 (batch, ...)."""
        rng, sizes = np.random.default_rng(seed), self.graph.sizes_at(self.cases[case])
        arrays = []
        for source in self.graph.inputs:
            shape = (batch, *(sizes[size] if isinstance(size, str) else size for size in source.shape[1:]))
            drawn = rng.integers(0, TOKENS, shape) if source.integer else rng.standard_normal(shape)
            arrays.append(drawn.astype(np.float32))
        return arrays

    @property
    def ops(self) -> set[str]:
        return {node.op for node in self.graph.nodes}


def random_graph(seed: int, op: str | None = None, nodes: int = 10) -> RandomGraph:
    """A graph of about so many nodes, the operator `op` among them; the same for the same arguments."""
    builder = _Builder(seed)
    if op is not None:
        while not builder.attempt(op):
            builder.attempt(builder.choose(list(OPERATORS)))
    while len(builder.nodes) < nodes:
        builder.attempt(builder.choose(list(OPERATORS)))
    return builder.finish()


@dataclass
class _Builder:
    seed: int
    inputs: list[Input] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.free = {
            name: tuple(int(n) for n in self.rng.choice([1, 2, 3, 4, 5, 7, 8], CASES)) for name in ("H", "W", "L")
        }
        if self.rng.random() < 0.25:  # a fixed network
            self.free = {name: (at[0],) * CASES for name, at in self.free.items()}
            spatial = [self.of(at[0]) for at in self.free.values()]
        else:
            spatial = [Dim(name, at) for name, at in self.free.items()]
        height, width, length = spatial
        shapes = [(height, width), (height, height), (self.of(3), width), (length,), (), (width, length, height)]
        kinds: list[dict[str, Any]] = [{}, {}, {"integer": True}, {"noise": "normal"}, {"noise": "uniform"}]
        told: set[Count] = set()
        for number in range(1 + int(self.rng.integers(3))):
            kind = self.choose(kinds) if number else {}
            rest = shapes[int(self.rng.integers(len(shapes)))]
            if "noise" in kind and any(not dim.fixed and dim.name not in told for dim in rest):
                kind = {}
            if not kind.get("noise"):
                told |= {dim.name for dim in rest}
            shape = (self.of(1), self.of(int(self.rng.integers(1, 5))), *rest)
            self.inputs.append(Input(f"in{number}", tuple(dim.name for dim in shape), **kind))
            self.values.append(Value(number, shape, True, kind.get("integer", False)))

    # What is drawn

    def choose(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def number(self, low: float = -2, high: float = 2) -> float:
        return float(np.float32(self.rng.uniform(low, high)))

    def some(self, count: int) -> list[int]:
        """One or more of range(count), ascending."""
        return sorted(int(i) for i in self.rng.choice(count, int(self.rng.integers(1, count + 1)), replace=False))

    def value(self, fits: Callable[[Value], bool] = lambda value: True) -> Value:
        """One that fits, rather a late one."""
        fitting = [value for value in self.values if fits(value)]
        if not fitting:
            raise ImpossibleError
        return fitting[max(int(self.rng.integers(len(fitting))), int(self.rng.integers(len(fitting))))]

    # What is made

    def of(self, n: int) -> Dim:
        return Dim(n, (n,) * CASES)

    def size(self, op: str, a: Dim | int, b: Dim | float) -> Dim:
        a = self.of(a) if isinstance(a, int) else a
        b = b if isinstance(b, Dim) else Dim(b, (b,) * CASES)  # type: ignore[arg-type]
        graph = Graph((), (Size("made", op, "a", "b" if op != "scaled" else b.at[0]),), (), ())
        at = tuple(graph.sizes_at({"a": x, "b": y})["made"] for x, y in zip(a.at, b.at, strict=True))
        if a.fixed and not isinstance(b.name, str):
            return Dim(at[0], at)
        for size in self.sizes:
            if (size.op, size.a, size.b) == (op, a.name, b.name):
                return Dim(size.name, at)
        self.sizes.append(Size(f"s{len(self.sizes)}", op, a.name, b.name))
        return Dim(self.sizes[-1].name, at)

    def tensor(self, numbers: np.ndarray) -> str:
        name = f"t{len(self.tensors)}"
        self.tensors[name] = np.ascontiguousarray(numbers)
        return name

    def floats(self, *shape: int, scale: float = 1) -> str:
        numbers = self.rng.standard_normal(shape) * scale
        return self.tensor(numbers.astype(self.choose([np.float32, np.float32, np.float16])))

    def add(self, op: str, inputs: list[Value], shape: Sequence[Dim], exact: bool = False, **attributes: Any) -> Value:
        right = 1 <= len(shape) <= 8 and all(min(dim.at) >= 1 for dim in shape)
        if not right or any(math.prod(dim.at[i] for dim in shape) > MAX_NUMBERS for i in range(CASES)):
            raise ImpossibleError
        numbers, names = tuple(value.number for value in inputs), tuple(dim.name for dim in shape)
        self.nodes.append(Node(op, f"{op} {len(self.nodes)}", numbers, names, attributes))
        self.values.append(Value(len(self.values), tuple(shape), exact))
        return self.values[-1]

    def attempt(self, op: str) -> bool:
        """Whether the operator fitted; if not, nothing was added."""
        before = len(self.sizes), len(self.nodes), len(self.values), dict(self.tensors)
        try:
            OPERATORS[op](self)
        except ImpossibleError:
            for kept, made in zip(before, (self.sizes, self.nodes, self.values), strict=False):
                del made[kept:]
            self.tensors = before[3]
            return False
        return True

    def finish(self) -> RandomGraph:
        read = {number for node in self.nodes for number in node.inputs}
        for value in [value for value in self.values[len(self.inputs) :] if value.number not in read]:
            if not value.shape[0].is_one and len(value.shape) < 8:
                self.add("reshape", [value], (self.of(1), *value.shape), value.exact)
                read.add(value.number)
        ends = [v for v in self.values[len(self.inputs) :] if v.number not in read and v.shape[0].is_one]
        graph = Graph(
            tuple(self.inputs),
            tuple(self.sizes),
            tuple(self.nodes),
            tuple((f"out{value.number}", value.number) for value in ends),
        )
        cases = [{name: self.free[name][case] for name in graph.free} for case in range(CASES)]
        return RandomGraph(graph, self.tensors, cases)


# Programs


class _Program:
    """Instructions about operands, of which each is known to be exact or not."""

    def __init__(self, builder: _Builder, inputs: Sequence[bool]) -> None:
        self.builder = builder
        self.exact = list(inputs)
        self.numbers: list[Count | float] = [builder.number() for _ in range(int(builder.rng.integers(1, 4)))]
        self.numbers += [0.5, 2.0, 1.0]
        if builder.sizes and builder.rng.random() < 0.3:
            self.numbers[0] = builder.sizes[-1].name
        self.half, self.two, self.one = (len(inputs) + len(self.numbers) - 3 + i for i in range(3))
        self.first = range(len(inputs) + len(self.numbers) - 3) if inputs else range(len(self.numbers) - 3)
        self.exact += [True] * len(self.numbers)
        self.program: list[list[Any]] = []

    def emit(self, name: str, *operands: int) -> int:
        self.program.append([name, *operands])
        moved = name in ("neg", "abs", "relu", "max", "min", "where", *JUMPS, *COMPARISONS)
        self.exact.append(moved and all(self.exact[i] for i in operands))
        return len(self.exact) - 1

    def soft(self, operand: int) -> int:
        """Away from 0."""
        return self.emit("add", self.emit("abs", operand), self.half)

    def any(self) -> int:
        results = range(len(self.exact) - len(self.program), len(self.exact))
        return int(self.builder.choose([*self.first, *results, *results]))

    def exactly(self) -> int:
        return int(self.builder.choose([i for i in (*self.first, self.two, self.half) if self.exact[i]]))

    def extend(self) -> None:
        name = self.builder.choose(INSTRUCTIONS)
        x = self.any()
        if name in JUMPS:
            self.emit(name, self.exactly())
        elif name in COMPARISONS or name == "mod":
            self.emit(name, self.exactly(), self.two if name == "mod" else self.exactly())
        elif name == "where":
            self.emit(name, self.exactly(), x, self.any())
        elif name in ("sqrt", "rsqrt", "log"):
            self.emit(name, self.soft(x))
        elif name == "log1p":
            self.emit(name, self.emit("abs", x))
        elif name in ("exp", "expm1"):
            self.emit(name, self.emit("min", x, self.one))
        elif name in ("sin", "cos"):
            self.emit(name, self.emit("mul", self.emit("tanh", x), self.two))
        elif name == "pow":
            self.emit(name, self.soft(self.emit("tanh", x)), self.emit("tanh", self.any()))
        elif name == "div":
            self.emit(name, x, self.soft(self.any()))
        elif name in ("mul", "leaky"):
            self.emit(name, x, self.emit("tanh", self.any()))
        elif name in ("add", "sub", "max", "min"):
            self.emit(name, x, self.any())
        else:
            self.emit(name, x)


JUMPS = ("sign", "floor", "ceil", "round")
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
INSTRUCTIONS = (
    *("neg", "abs", "sqrt", "rsqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sigmoid", "erf", "relu"),
    *("add", "sub", "mul", "div", "pow", "max", "min", "mod", "leaky", "where"),
    *JUMPS,
    *COMPARISONS,
)


def _program(builder: _Builder, inputs: Sequence[bool]) -> tuple[dict[str, Any], bool]:
    """The attributes, and whether what they make is exact."""
    program = _Program(builder, inputs)
    for _ in range(int(builder.rng.integers(1, 6))):
        program.extend()
    return {"program": program.program, "numbers": program.numbers}, program.exact[-1]


def _broadcasting(builder: _Builder, shape: Sequence[Dim], most: int) -> list[Value]:
    """Values that broadcast to the shape, perhaps none."""

    def fits(value: Value) -> bool:
        pairs = zip(reversed(value.shape), reversed(shape), strict=False)
        return len(value.shape) <= len(shape) and all(a.is_one or a == b for a, b in pairs)

    fitting = [value for value in builder.values if fits(value)]
    return [builder.choose(fitting) for _ in range(int(builder.rng.integers(0, most + 1))) if fitting]


# Layers


def _epilogue(
    builder: _Builder, shape: Sequence[Dim], channels: int, fan_in: int
) -> tuple[dict[str, Any], list[Value]]:
    attributes: dict[str, Any] = {}
    if builder.rng.random() < 0.8:
        attributes["scale"] = builder.floats(channels, scale=fan_in**-0.5)
    if builder.rng.random() < 0.5:
        attributes["shift"] = builder.floats(channels)
    others: list[Value] = []
    if builder.rng.random() < 0.6:
        others = _broadcasting(builder, shape, 2)
        attributes |= _program(builder, [False, *(value.exact for value in others)])[0]
    return attributes, others


def _weight(builder: _Builder, *shape: int) -> str:
    if builder.rng.random() < 0.5:
        planes = int(builder.rng.integers(1, 5))
        rows = np.packbits(builder.rng.random((planes, math.prod(shape))) < 0.5, axis=1, bitorder="little")
        return builder.tensor(rows if planes > 1 else rows[0])
    return builder.floats(*shape)


def _convolution(builder: _Builder, op: str) -> None:
    x = builder.value(lambda v: len(v.shape) in (3, 4) and v.shape[0].is_one and v.shape[1].fixed)
    channels, dims = x.shape[1].at[0], len(x.shape) - 2
    groups = builder.choose([g for g in range(1, channels + 1) if channels % g == 0])
    outputs = groups * int(builder.rng.integers(1, 4))
    draw = lambda low, high: [int(n) for n in builder.rng.integers(low, high + 1, dims)]  # noqa: E731
    kernel, stride, dilation = draw(1, 4), draw(1, 3), draw(1, 2)
    edge = _conv_edge if op == "conv" else _conv_transpose_edge
    edges = [edge(builder, *size) for size in zip(x.shape[2:], kernel, stride, dilation, strict=True)]
    shape = (builder.of(1), builder.of(outputs), *(n for _, n in edges))
    attributes: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": [p for p, _ in edges]}
    attributes |= {"dilation": dilation, "groups": groups}
    weight_shape = (outputs, channels // groups, *kernel)
    weights: list[Value] = []
    if builder.rng.random() < 0.2:
        weights = [_computed_weights(builder, x, weight_shape)]
    else:
        attributes["weight"] = _weight(builder, *weight_shape)
    epilogue, others = _epilogue(builder, shape, outputs, math.prod(weight_shape[1:]))
    builder.add(op, [x, *weights, *others], shape, **attributes, **epilogue)


def _conv_edge(builder: _Builder, size: Dim, kernel: int, stride: int, dilation: int) -> tuple[int, Dim]:
    reach = dilation * (kernel - 1)
    padding = int(builder.rng.integers(0, reach + 2))
    windows = builder.size("//", builder.size("+", size, 2 * padding - reach - 1), stride)
    n = builder.size("+", windows, int(builder.choose([1, 1, 1, 0, 2])))
    _check(all((o - 1) * stride - padding <= i + padding for o, i in zip(n.at, size.at, strict=True)))
    return padding, n


def _conv_transpose_edge(builder: _Builder, size: Dim, kernel: int, stride: int, dilation: int) -> tuple[int, Dim]:
    reach = dilation * (kernel - 1)
    padding = int(builder.rng.integers(0, reach + 1))
    extra = int(builder.choose([0, 0, -1, 1, 2]))
    n = builder.size("+", builder.size("*", size, stride), reach + 1 - stride - 2 * padding + extra)
    _check(extra <= padding + max(stride, dilation))
    return padding, n


def _check(condition: bool) -> None:
    if not condition:
        raise ImpossibleError


def _computed_weights(builder: _Builder, x: Value, shape: tuple[int, ...]) -> Value:
    """Weights that hang on the input: fixed ones times the input's mean."""
    one = tuple(builder.of(1) for _ in x.shape)
    mean = builder.add("reduce", [x], one, kind="mean", axes=list(range(len(x.shape))))
    dims = [builder.of(n) for n in shape]
    fixed = builder.add("constant", [], dims, True, tensor=builder.floats(*shape))
    program = [["tanh", 1], ["mul", 0, 2]]
    return builder.add("map", [fixed, mean], dims, program=program, numbers=[])


def _linear(builder: _Builder) -> None:
    x = builder.value(lambda v: v.shape[-1].fixed)
    outputs, inputs = int(builder.rng.integers(1, 9)), x.shape[-1].at[0]
    shape = (*x.shape[:-1], builder.of(outputs))
    weight = _weight(builder, outputs, inputs)
    epilogue, others = _epilogue(builder, shape, outputs, inputs)
    builder.add("linear", [x, *others], shape, weight=weight, **epilogue)


# Element by element


def _map(builder: _Builder) -> None:
    if builder.rng.random() < 0.1:
        attributes, exact = _program(builder, [])
        builder.add("map", [], [builder.of(int(n)) for n in builder.rng.integers(1, 4, 2)], exact, **attributes)
        return
    x = builder.value()
    inputs = [x, *_broadcasting(builder, x.shape, 2)]
    shape = x.shape
    for other in builder.values:  # sometimes both are broadcast
        if builder.rng.random() < 0.3 and len(other.shape) == len(shape):
            both = [(a, b) for a, b in zip(shape, other.shape, strict=True)]
            if all(a == b or a.is_one or b.is_one for a, b in both):
                shape = tuple(b if a.is_one else a for a, b in both)
                inputs.append(other)
    attributes, exact = _program(builder, [value.exact for value in inputs])
    builder.add("map", inputs, shape, exact, **attributes)


def _reduce(builder: _Builder) -> None:
    x = builder.value()
    inputs, kind, exact = [x], builder.choose(["sum", "mean", "max", "min"]), x.exact
    attributes: dict[str, Any] = {"kind": kind, "axes": builder.some(len(x.shape))}
    if builder.rng.random() < 0.5:
        inputs += _broadcasting(builder, x.shape, 2)
        program, exact = _program(builder, [value.exact for value in inputs])
        attributes |= program
    shape = [builder.of(1) if i in attributes["axes"] else dim for i, dim in enumerate(x.shape)]
    builder.add("reduce", inputs, shape, exact and kind in ("max", "min"), **attributes)


# Where numbers stand


def _constant(builder: _Builder) -> None:
    x = builder.value()
    shape = [dim if dim.fixed and builder.rng.random() < 0.7 else builder.of(1) for dim in x.shape]
    builder.add("constant", [], shape, True, tensor=builder.floats(*(dim.at[0] for dim in shape)))


def _range(builder: _Builder) -> None:
    n = builder.choose(builder.value().shape)
    start: Count | float = builder.choose([0, builder.number(), n.name])
    builder.add("range", [], [n], start=start, step=builder.choose([1, -1, 0.5, builder.number()]))


def _reshape(builder: _Builder) -> None:
    x = builder.value()
    shape, axis = list(x.shape), int(builder.rng.integers(len(x.shape)))
    way = builder.choose(["merge", "split", "insert", "flatten"])
    if way == "merge" and axis + 1 < len(shape):
        shape[axis : axis + 2] = [builder.size("*", shape[axis], shape[axis + 1])]
    elif way == "split" and shape[axis].fixed:
        n = shape[axis].at[0]
        part = builder.choose([p for p in range(1, n + 1) if n % p == 0])
        shape[axis : axis + 1] = [builder.of(n // part), builder.of(part)]
    elif way == "insert":
        shape.insert(axis, builder.of(1))
    else:
        product = shape[0]
        for dim in shape[1:]:
            product = builder.size("*", product, dim)
        shape = [builder.of(1), product]
    builder.add("reshape", [x], shape, x.exact)


def _permute(builder: _Builder) -> None:
    x = builder.value(lambda v: len(v.shape) > 1)
    axes = [int(axis) for axis in builder.rng.permutation(len(x.shape))]
    if builder.rng.random() < 0.5:
        axes = [0, *(axis for axis in axes if axis)]
    builder.add("permute", [x], [x.shape[axis] for axis in axes], x.exact, axes=axes)


def _expand(builder: _Builder) -> None:
    x = builder.value(lambda v: any(dim.is_one for dim in v.shape))
    to = [builder.of(2), builder.of(3), *builder.value().shape]
    shape = [builder.choose(to) if dim.is_one and builder.rng.random() < 0.5 else dim for dim in x.shape]
    builder.add("expand", [x], shape, x.exact)


def _slice(builder: _Builder, x: Value | None = None) -> Value:
    x = x or builder.value()
    axis = int(builder.rng.integers(len(x.shape)))
    size, step, skipped = x.shape[axis], int(builder.choose([1, 1, 2, 3, -1, -2])), int(builder.rng.integers(0, 3))
    rest = builder.size("-", size, skipped + 1)
    _check(min(rest.at) >= 0)
    start: Dim = builder.of(skipped) if step > 0 else rest
    n = builder.size("+", builder.size("//", rest, abs(step)), 1)
    if builder.rng.random() < 0.3:
        n = builder.size("min", n, 2)
    shape = [*x.shape[:axis], n, *x.shape[axis + 1 :]]
    return builder.add("slice", [x], shape, x.exact, axis=axis, start=start.name, step=step)


def _concat(builder: _Builder) -> None:
    x = builder.value()
    axis = int(builder.rng.integers(len(x.shape)))

    def fits(value: Value) -> bool:
        others = [(a, b) for i, (a, b) in enumerate(zip(value.shape, x.shape, strict=False)) if i != axis]
        return len(value.shape) == len(x.shape) and all(a == b for a, b in others)

    parts = [x, *(builder.value(fits) for _ in range(int(builder.rng.integers(1, 3))))]
    total = parts[0].shape[axis]
    for part in parts[1:]:
        total = builder.size("+", total, part.shape[axis])
    shape = [*x.shape[:axis], total, *x.shape[axis + 1 :]]
    builder.add("concat", parts, shape, all(part.exact for part in parts), axis=axis)


def _pad(builder: _Builder) -> None:
    x, mode = builder.value(), builder.choose(["constant", "reflect", "replicate", "circular"])
    before: list[Count] = []
    shape = []
    for axis, size in enumerate(x.shape):
        low, high = (builder.of(int(n)) for n in builder.rng.integers(0, 3, 2))
        way = builder.choose(["leave", "pad", "to a multiple", "to at least"]) if axis else "leave"
        if way == "leave":
            low = high = builder.of(0)
        elif way == "to a multiple":
            low, high = high, builder.size("%", builder.size("-", 0, size), 4)
        elif way == "to at least":
            low = builder.size("-", builder.size("max", size, 4), size)
        most = {"reflect": min(size.at) - 1, "circular": min(size.at)}.get(mode, 99)
        if max(*low.at, *high.at) > most:
            low = high = builder.of(0)
        before.append(low.name)
        shape.append(builder.size("+", builder.size("+", size, low), high))
    value = {"value": builder.choose([0, builder.number()])} if mode == "constant" else {}
    builder.add("pad", [x], shape, x.exact, before=before, mode=mode, **value)


def _take(builder: _Builder) -> None:
    tokens = [value for value in builder.values if value.token]
    if tokens and builder.rng.random() < 0.5:
        indices, features = builder.choose(tokens), int(builder.rng.integers(1, 5))
        shape = [builder.of(TOKENS), builder.of(features)]
        table = builder.add("constant", [], shape, True, tensor=builder.floats(TOKENS, features))
        builder.add("take", [table, indices], [*indices.shape, shape[1]], True, axis=0)
        return
    x = builder.value()
    axis = int(builder.rng.integers(len(x.shape)))
    size = x.shape[axis]
    if builder.rng.random() < 0.5:  # backwards
        last = builder.size("-", size, 1)
        indices = builder.add("range", [], [size], True, start=last.name, step=-1)
    else:
        picked = builder.rng.integers(0, min(size.at), builder.choose([(3,), (2, 2), (1, 4)]))
        dims = [builder.of(n) for n in picked.shape]
        indices = builder.add("constant", [], dims, True, tensor=builder.tensor(picked.astype(np.float32)))
    shape = [*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]]
    builder.add("take", [x, indices], shape, x.exact, axis=axis)


def _resample(builder: _Builder) -> None:
    x, mode = builder.value(), builder.choose(["nearest", "nearest-exact", "linear", "cubic"])
    spatial = list(range(2, len(x.shape)))
    axes = spatial if spatial and builder.rng.random() < 0.7 else builder.some(len(x.shape))
    attributes: dict[str, Any] = {"mode": mode, "axes": axes}
    if mode in ("linear", "cubic"):
        attributes["align_corners"] = bool(builder.rng.random() < 0.5)
    shape, steps = list(x.shape), []
    for axis in axes:
        factor = builder.choose([2, 3, 1, 1.7, 0.5, 0.75])
        whole = isinstance(factor, int)
        shape[axis] = builder.size("*" if whole else "scaled", x.shape[axis], factor)
        steps.append(builder.choose([None, 1 / factor]))
    builder.add("resample", [x], shape, x.exact and mode.startswith("nearest"), **attributes, step=steps)


def _pool(builder: _Builder) -> None:
    x, kind = builder.value(), builder.choose(["max", "mean"])
    dims = int(builder.rng.integers(1, min(3, len(x.shape)) + 1))
    windows, shape = [], list(x.shape)
    for axis in range(len(shape) - dims, len(shape)):
        kernel, stride, dilation = (int(builder.rng.integers(1, most + 1)) for most in (4, 3, 2))
        padding = int(builder.rng.integers(0, kernel // 2 + 1))
        size, reach = shape[axis], dilation * (kernel - 1)
        count = builder.size("//", builder.size("+", size, 2 * padding - reach - 1), stride)
        shape[axis] = builder.size("+", count, int(builder.choose([1, 1, 2])))
        for n, pixels in zip(shape[axis].at, size.at, strict=True):
            taps = [[o * stride - padding + k * dilation for k in range(kernel)] for o in range(max(n, 0))]
            _check(all(any(0 <= tap < pixels for tap in window) for window in taps))
        windows.append((kernel, stride, padding, dilation))
    names = ("kernel", "stride", "padding", "dilation")
    attributes = {name: [window[i] for window in windows] for i, name in enumerate(names)}
    if kind == "mean":
        attributes["padded"] = bool(builder.rng.random() < 0.5)
    builder.add("pool", [x], shape, x.exact and kind == "max", kind=kind, **attributes)


def _adaptive_pool(builder: _Builder) -> None:
    x, kind = builder.value(), builder.choose(["max", "mean"])
    first = int(builder.rng.integers(len(x.shape)))
    axes = list(range(first, int(builder.rng.integers(first + 1, len(x.shape) + 1))))
    shape = list(x.shape)
    for axis in axes:
        shape[axis] = builder.choose([builder.of(1), builder.of(3), builder.choose(x.shape)])
    builder.add("adaptive_pool", [x], shape, x.exact and kind == "max", kind=kind, axes=axes)


def _matmul(builder: _Builder) -> None:
    x = builder.value(lambda v: len(v.shape) > 1)
    rows, columns = x.shape[-2:]
    if columns.fixed and builder.rng.random() < 0.5:
        n = int(builder.rng.integers(1, 6))
        dims = [columns, builder.of(n)]
        other = builder.add("constant", [], dims, True, tensor=builder.floats(columns.at[0], n))
        builder.add("matmul", [x, other], [*x.shape[:-1], dims[1]])
        return
    axes = [*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2]
    turned = builder.add("permute", [x], [x.shape[axis] for axis in axes], x.exact, axes=axes)
    builder.add("matmul", [x, turned], [*x.shape[:-1], rows])


OPERATORS: dict[str, Callable[[_Builder], Any]] = {
    "conv_transpose": lambda builder: _convolution(builder, "conv_transpose"),
    "conv": lambda builder: _convolution(builder, "conv"),
    "linear": _linear,
    "map": _map,
    "reduce": _reduce,
    "constant": _constant,
    "range": _range,
    "reshape": _reshape,
    "permute": _permute,
    "expand": _expand,
    "slice": _slice,
    "concat": _concat,
    "pad": _pad,
    "take": _take,
    "resample": _resample,
    "pool": _pool,
    "adaptive_pool": _adaptive_pool,
    "matmul": _matmul,
}


def graphs(count: int) -> list[tuple[str, int]]:
    """Operators and seeds: each operator `count` times."""
    return [(op, seed) for op in OPERATORS for seed in range(count)]
