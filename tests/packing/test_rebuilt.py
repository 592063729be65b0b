"""The rebuilt module: every operator of docs/format.md by itself, against NumPy in float64 or torch; whole graphs."""

import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.export import Dim, export

from pbgen.errors import PBGenError
from pbgen.latents import noise
from pbgen.packing import file, rebuild
from pbgen.packing.check import check
from pbgen.packing.graph import Graph, Input, Node, Size
from pbgen.packing.rebuilt import Rebuilt

sys.path.insert(0, str(Path(__file__).parent.parent / "core"))
from random_graphs import CASES, graphs, random_graph

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def graph_of(nodes, *arrays, sizes=(), outputs=None):
    """A graph whose inputs have the arrays' shapes; its output is the last value."""
    inputs = tuple(Input(f"x{i}", array if isinstance(array, tuple) else array.shape) for i, array in enumerate(arrays))
    return Graph(inputs, tuple(sizes), tuple(nodes), outputs or (("y", len(inputs) + len(nodes) - 1),))


def one(op, arrays, shape, tensors=None, **attributes):
    """What one node makes of the arrays, in float64 so that formulas can be told apart from rounding."""
    arrays = [np.array(array, np.float64) for array in arrays]
    ends = arrays or [np.zeros(1)]  # a graph has an input; one that nothing reads does no harm
    nodes = [Node("reshape", "r", (i,), array.shape) for i, array in enumerate(arrays)]
    inputs = tuple(range(len(ends), len(ends) + len(arrays)))
    graph = graph_of([*nodes, Node(op, "n", inputs, tuple(shape), attributes)], *((1, *x.shape) for x in ends))
    return Rebuilt(graph, tensors or {}).double()(*(torch.from_numpy(array[None]) for array in ends)).numpy()


def assert_close(made, expected, atol=1e-9):
    assert made.shape == expected.shape
    np.testing.assert_allclose(made, expected, rtol=1e-6, atol=atol)


# Layers

GEOMETRIES = [
    # op, size, output, kernel, stride, padding, dilation: edges that torch can and cannot ask for
    ("conv_transpose", 4, 8, 4, 2, 1, 1),
    ("conv_transpose", 4, 9, 4, 2, 1, 1),
    ("conv_transpose", 4, 5, 4, 2, 1, 1),
    ("conv_transpose", 4, 11, 4, 2, 0, 1),
    ("conv_transpose", 4, 11, 4, 2, 1, 1),
    ("conv_transpose", 3, 2, 3, 4, 2, 2),
    ("conv_transpose", 1, 1, 1, 3, 0, 1),
    ("conv", 7, 7, 3, 1, 1, 1),
    ("conv", 8, 4, 3, 2, 1, 1),
    ("conv", 7, 4, 3, 1, 0, 1),
    ("conv", 7, 9, 3, 1, 1, 1),
    ("conv", 7, 2, 3, 2, 5, 2),
    ("conv", 3, 6, 1, 1, 2, 1),
]


def by_formula(op, x, weight, output, stride, padding, dilation):
    """docs/format.md word for word: x (C_in, L), weight (C_out, C_in, K)."""
    result = np.zeros((len(weight), output))
    for i in range(x.shape[1] if op == "conv_transpose" else output):
        for k in range(weight.shape[2]):
            at = i * stride - padding + k * dilation
            if op == "conv_transpose" and 0 <= at < output:
                result[:, at] += weight[:, :, k] @ x[:, i]
            if op == "conv" and 0 <= at < x.shape[1]:
                result[:, i] += weight[:, :, k] @ x[:, at]
    return result


@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize(("op", "size", "output", "kernel", "stride", "padding", "dilation"), GEOMETRIES)
def test_any_edge(op, size, output, kernel, stride, padding, dilation, computed) -> None:
    x, weight, scale, shift = normal(1, 6, size), normal(4, 3, kernel), normal(4), normal(4)
    geometry = {"kernel": [kernel], "stride": [stride], "padding": [padding], "dilation": [dilation], "groups": 2}
    tensors = {"s": scale, "b": shift} | ({} if computed else {"w": weight})
    if not computed:
        geometry["weight"] = "w"
    made = one(op, [x, weight] if computed else [x], (1, 4, output), tensors, **geometry, scale="s", shift="b")
    parts = [
        by_formula(
            op, x[0, 3 * g : 3 * g + 3].astype(float), weight[2 * g : 2 * g + 2], output, stride, padding, dilation
        )
        for g in range(2)
    ]
    assert_close(made[0], np.concatenate(parts) * scale[:, None] + shift[:, None], 1e-6)


def test_one_bit_weights_in_two_dimensions() -> None:
    signs = np.sign(normal(5, 3, 2, 3))
    x = normal(1, 3, 4, 5)
    geometry = {"kernel": [2, 3], "stride": [1, 2], "padding": [1, 0], "dilation": [1, 1], "groups": 1}
    bits = {"w": np.packbits(signs.ravel() > 0, bitorder="little")}
    expected = F.conv2d(torch.from_numpy(x), torch.from_numpy(signs), None, (1, 2), (1, 0)).numpy()
    assert_close(one("conv", [x], (1, 5, 5, 2), bits, weight="w", **geometry), expected, 1e-5)
    expected = F.conv_transpose2d(torch.from_numpy(x), torch.from_numpy(signs).transpose(0, 1), None, (1, 2), (1, 0))
    assert_close(one("conv_transpose", [x], (1, 5, 3, 11), bits, weight="w", **geometry), expected.numpy(), 1e-5)


def test_linear_with_an_epilogue_that_reads_another_value() -> None:
    x, other, weight = normal(1, 2, 3), normal(1, 1, 4), normal(4, 3).astype(np.float16)
    program = [["mul", 0, 1], ["add", 3, 2]]
    made = one("linear", [x, other], (1, 2, 4), {"w": weight}, weight="w", program=program, numbers=[0.5])
    assert_close(made, x.astype(float) @ weight.T.astype(float) * other + 0.5, 1e-6)


# Element by element

ERF = np.vectorize(math.erf)
UNARY = {
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": ERF,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "relu": lambda x: np.maximum(x, 0),
}
BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "max": np.maximum,
    "min": np.minimum,
    "mod": lambda a, b: a - np.floor(a / b) * b,
    "leaky": lambda a, b: np.where(a >= 0, a, a * b),
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
SPECIAL = np.array([[-2.5, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2.5, 3, np.inf, -np.inf, np.nan]])


@pytest.mark.parametrize("name", UNARY)
def test_instructions_of_one_operand(name) -> None:
    x = np.abs(SPECIAL) + 0.25 if name in ("sqrt", "rsqrt", "log", "log1p") else SPECIAL
    if name == "sign":
        x = x[:, :-1]
    with np.errstate(all="ignore"):
        assert_close(one("map", [x], x.shape, program=[[name, 0]], numbers=[]), UNARY[name](x))
        number = one("map", [], (1, 1), program=[[name, 0]], numbers=[1.75])
        assert_close(number, UNARY[name](np.array([[1.75]])))


@pytest.mark.parametrize("name", BINARY)
def test_instructions_of_two_operands(name) -> None:
    """Each a value or a number, on either side."""
    a, b = SPECIAL, SPECIAL.T
    if name in ("mod", "div", "pow"):
        a, b = a[:, :10], np.array([[0.5], [2.0], [-1.5]])
    if name == "pow":
        a = np.abs(a) + 0.5
    shape = np.broadcast_shapes(a.shape, b.shape)
    with np.errstate(all="ignore"):
        assert_close(one("map", [a, b], shape, program=[[name, 0, 1]], numbers=[]), BINARY[name](a, b) * 1.0)
        assert_close(one("map", [a], a.shape, program=[[name, 0, 1]], numbers=[1.5]), BINARY[name](a, 1.5) * 1.0)
        assert_close(one("map", [b], b.shape, program=[[name, 1, 0]], numbers=[1.5]), BINARY[name](1.5, b) * 1.0)
        number = one("map", [], (2, 1), program=[[name, 0, 1]], numbers=[2.5, -0.5 if name != "pow" else 2])
        assert_close(number, np.full((2, 1), BINARY[name](2.5, -0.5 if name != "pow" else 2.0) * 1.0))


def test_where_takes_all_but_zero_for_true() -> None:
    condition, a = np.array([[0.0, -0.0, 0.5, np.nan, -3]]), np.arange(5.0)[None]
    for operands, numbers, expected in (
        ([0, 1, 2], [7], [7, 7, 2, 3, 4]),
        ([0, 2, 1], [7], [0, 1, 7, 7, 7]),
        ([0, 2, 3], [7, 8], [8, 8, 7, 7, 7]),
        ([2, 0, 1], [0], [0, 1, 2, 3, 4]),
    ):
        made = one("map", [condition, a], (1, 5), program=[["where", *operands]], numbers=numbers)
        assert_close(made, np.array([expected], float))


def test_arithmetic_of_numbers_is_float32() -> None:
    graph = graph_of([Node("map", "n", (), (1, 1), {"program": [["add", 0, 1]], "numbers": [16777216, 1]})], (1, 1))
    assert Rebuilt(graph, {})(torch.zeros(1, 1)).item() == 16777216


REDUCTIONS = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min}


@pytest.mark.parametrize(("kind", "axes"), list(itertools.product(REDUCTIONS, [[2], [0, 3], [1, 2, 3], [0, 1, 2, 3]])))
def test_reductions(kind, axes) -> None:
    x, other = normal(1, 3, 4, 5), normal(3, 1, 1)
    expected = REDUCTIONS[kind](x.astype(float), axis=tuple(axes), keepdims=True)
    assert_close(one("reduce", [x], expected.shape, kind=kind, axes=axes), expected)
    expected = REDUCTIONS[kind](np.broadcast_to(np.tanh(other.astype(float)), x.shape), tuple(axes), keepdims=True)
    attributes = {"program": [["tanh", 1]], "numbers": []}
    assert_close(one("reduce", [x, other], expected.shape, kind=kind, axes=axes, **attributes), expected)


# Where numbers stand

X = normal(1, 3, 4, 5)


def padded(x, before, shape, mode, **value):
    edges = [(low, n - low - size) for low, n, size in zip(before, shape, x.shape, strict=True)]
    names = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return np.pad(x, edges, names[mode], **({"constant_values": value["value"]} if value else {}))


MOVES = [
    # op, arrays, shape, attributes, what it should make
    ("range", [], (5,), {"start": 3, "step": -2}, 3 - 2.0 * np.arange(5)),
    ("range", [], (1,), {"start": 0.5, "step": 9}, np.array([0.5])),
    ("reshape", [X], (1, 12, 5), {}, X.reshape(1, 12, 5)),
    ("reshape", [X], (3, 1, 20), {}, X.reshape(3, 1, 20)),
    ("permute", [X], (5, 1, 4, 3), {"axes": [3, 0, 2, 1]}, X.transpose(3, 0, 2, 1)),
    ("expand", [X[:, :, :1]], (1, 3, 6, 5), {}, np.broadcast_to(X[:, :, :1], (1, 3, 6, 5))),
    ("slice", [X], (1, 3, 4, 2), {"axis": 3, "start": 1, "step": 3}, X[..., 1::3]),
    ("slice", [X], (1, 3, 4, 3), {"axis": 3, "start": 2, "step": 1}, X[..., 2:]),
    ("slice", [X], (1, 3, 4, 5), {"axis": 3, "start": 4, "step": -1}, X[..., ::-1]),
    ("slice", [X], (1, 3, 2, 5), {"axis": 2, "start": 3, "step": -2}, X[:, :, 3::-2]),
    ("slice", [X], (1, 1, 4, 5), {"axis": 1, "start": 2, "step": -7}, X[:, 2:]),
    ("concat", [X, X[:, :1]], (1, 4, 4, 5), {"axis": 1}, np.concatenate([X, X[:, :1]], 1)),
    ("concat", [X, X, X], (1, 3, 4, 15), {"axis": 3}, np.concatenate([X, X, X], 3)),
    ("matmul", [X, normal(5, 2)], (1, 3, 4, 2), {}, None),
    ("matmul", [normal(4, 6), normal(1, 2, 1, 6, 3)], (1, 2, 1, 4, 3), {}, None),
    ("take", [X, np.array([[2, 0], [1, 1]])], (1, 2, 2, 4, 5), {"axis": 1}, X[:, [[2, 0], [1, 1]]]),
    ("take", [X, np.array([3])], (1, 3, 1, 5), {"axis": 2}, X[:, :, [3]]),
    ("adaptive_pool", [X], (1, 3, 4, 5), {"kind": "max", "axes": [3]}, X),
]
PADS = [
    ([0, 0, 1, 2], (1, 3, 6, 8), "constant", {"value": 1.5}),
    ([0, 2, 0, 0], (2, 6, 4, 5), "constant", {"value": 0}),
    ([0, 0, 1, 2], (1, 3, 6, 8), "reflect", {}),
    ([0, 0, 3, 4], (1, 3, 10, 13), "reflect", {}),
    ([0, 2, 0, 1], (1, 5, 4, 6), "reflect", {}),
    ([0, 0, 0, 9], (1, 3, 9, 20), "replicate", {}),
    ([2, 1, 0, 0], (4, 5, 4, 5), "replicate", {}),
    ([0, 0, 4, 1], (1, 3, 12, 6), "circular", {}),
    ([0, 3, 0, 0], (1, 8, 4, 5), "circular", {}),
]
MOVES += [("pad", [X], s, {"before": b, "mode": m, **v}, padded(X, b, s, m, **v)) for b, s, m, v in PADS]


@pytest.mark.parametrize(("op", "arrays", "shape", "attributes", "expected"), MOVES)
def test_moves(op, arrays, shape, attributes, expected) -> None:
    if expected is None:
        expected = arrays[0].astype(float) @ arrays[1]
    assert_close(one(op, arrays, shape, **attributes), np.asarray(expected, float))


def test_constants_are_float32_in_the_module() -> None:
    numbers = normal(2, 3).astype(np.float16)
    assert_close(one("constant", [], (2, 3), {"c": numbers}, tensor="c"), numbers.astype(float))


# Windows and neighbours


def pooled(x, n, kind, kernel, stride, padding, dilation, padded=False):
    """docs/format.md word for word, along the last axes."""
    made, first = np.zeros((*x.shape[: x.ndim - len(n)], *n)), x.ndim - len(n)
    for place in np.ndindex(*n):
        taps = []
        for axis, o in enumerate(place):
            taps.append([o * stride[axis] - padding[axis] + k * dilation[axis] for k in range(kernel[axis])])
        inside = [[t for t in along if 0 <= t < x.shape[first + i]] for i, along in enumerate(taps)]
        counted = [[t for t in along if t < x.shape[first + i] + padding[i]] for i, along in enumerate(taps)]
        window = np.stack([x[(..., *at)] for at in itertools.product(*inside)])
        divisor = math.prod(map(len, counted if padded else inside))
        made[(..., *place)] = window.max(0) if kind == "max" else window.sum(0) / divisor
    return made


POOLS = [
    # size, output, kernel, stride, padding, dilation: torch's, with a last window beyond the edge, and others
    ((7,), (3,), [3], [2], [0], [1]),
    ((7,), (4,), [3], [2], [1], [1]),
    ((8,), (4,), [3], [2], [0], [1]),
    ((7,), (2,), [3], [2], [0], [2]),
    ((5,), (5,), [2], [1], [1], [1]),
    ((5,), (2,), [2], [1], [0], [1]),
    ((5,), (4,), [3], [2], [2], [1]),
    ((6, 7), (3, 3), [2, 3], [2, 2], [0, 0], [1, 1]),
    ((6, 7), (4, 4), [3, 3], [2, 2], [1, 1], [1, 1]),
    ((6, 7), (4, 3), [3, 3], [2, 2], [1, 1], [1, 2]),
    ((3, 4, 5), (2, 2, 3), [2, 2, 2], [1, 2, 2], [0, 0, 0], [1, 1, 1]),
    ((2, 3, 4, 5), (1, 2, 3, 4), [2, 2, 2, 2], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]),
]


@pytest.mark.parametrize(("size", "n", "kernel", "stride", "padding", "dilation"), POOLS)
@pytest.mark.parametrize("kind", [{"kind": "max"}, {"kind": "mean", "padded": False}, {"kind": "mean", "padded": True}])
def test_pooling(size, n, kernel, stride, padding, dilation, kind) -> None:
    x = normal(1, 2, *size)
    windows = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    made = one("pool", [x], (1, 2, *n), **windows, **kind)
    assert_close(made, pooled(x.astype(float), n, **windows, **kind))


@pytest.mark.parametrize("kind", ["max", "mean"])
@pytest.mark.parametrize(
    ("shape", "axes", "n"),
    [
        ((1, 2, 7), [2], [3]),
        ((1, 2, 5, 6), [2, 3], [1, 1]),
        ((1, 2, 5, 6), [2, 3], [7, 4]),
        ((1, 5, 3), [0, 1], [2, 3]),
    ],
)
def test_adaptive_pooling(shape, axes, n, kind) -> None:
    x = normal(*shape)
    expected = x.astype(float)
    for axis, outputs in zip(axes, n, strict=True):
        size, parts = x.shape[axis], []
        for o in range(outputs):
            window = expected.take(range(o * size // outputs, -(-(o + 1) * size // outputs)), axis)
            parts.append(window.max(axis) if kind == "max" else window.mean(axis))
        expected = np.stack(parts, axis)
    assert_close(one("adaptive_pool", [x], expected.shape, kind=kind, axes=axes), expected)


def resampled(x, axis, n, mode, step, corners):
    """docs/format.md word for word: positions in float32, numbers in float64."""
    size, f = x.shape[axis], np.float32
    if step is None:
        step = f(size - 1) / f(max(n - 1, 1)) * (n > 1) if corners else f(size) / f(n)
    pick = lambda i: x.take(min(max(int(i), 0), size - 1), axis)  # noqa: E731
    made = []
    for o in range(n):
        if mode.startswith("nearest"):
            made.append(pick(math.floor((f(o) if mode == "nearest" else f(o) + f(0.5)) * f(step))))
            continue
        at = f(o) * f(step) if corners else (f(o) + f(0.5)) * f(step) - f(0.5)
        at = max(at, f(0)) if mode == "linear" else at
        low, t = math.floor(at), float(at - f(math.floor(at)))
        if mode == "linear":
            made.append((1 - t) * pick(low) + t * pick(low + 1))
        else:
            made.append(sum(keys(abs(t - tap)) * pick(low + tap) for tap in (-1, 0, 1, 2)))
    return np.stack(made, axis)


def keys(d, a=-0.75):
    return (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * (d**3 - 5 * d**2 + 8 * d - 4)


RESAMPLINGS = [
    # shape, axes, sizes, steps
    ((1, 2, 5), [2], [10], [None]),
    ((1, 2, 5), [2], [10], [0.5]),
    ((1, 2, 5), [2], [8], [1 / 1.7]),
    ((1, 2, 10), [2], [10], [0.99]),
    ((1, 2, 9), [2], [3], [3.0]),
    ((1, 2, 7), [2], [1], [None]),
    ((1, 2, 4), [2], [6], [0.0]),
    ((1, 2, 3, 4), [2, 3], [6, 12], [0.5, float(np.float32(1 / 3))]),
    ((1, 2, 3, 4), [2, 3], [7, 5], [None, None]),
    ((1, 2, 3, 4), [3], [9], [None]),
    ((1, 2, 3, 4), [1, 2], [5, 2], [None, 1.25]),
    ((1, 1, 2, 3, 4), [2, 3, 4], [3, 3, 5], [None, None, None]),
]


@pytest.mark.parametrize(("shape", "axes", "sizes", "steps"), RESAMPLINGS)
@pytest.mark.parametrize(
    ("mode", "corners"),
    [("nearest", None), ("nearest-exact", None), *itertools.product(["linear", "cubic"], [False, True])],
)
def test_resampling(shape, axes, sizes, steps, mode, corners) -> None:
    x = normal(*shape)
    expected = x.astype(float)
    for axis, n, step in zip(axes, sizes, steps, strict=True):
        expected = resampled(expected, axis, n, mode, step, corners)
    attributes = {"mode": mode, "axes": axes, "step": steps} | ({} if corners is None else {"align_corners": corners})
    graph = graph_of([Node("resample", "r", (0,), expected.shape, attributes)], x)
    made = Rebuilt(graph, {})(torch.from_numpy(x)).numpy()  # float32: which pixel is nearest hangs on it
    assert_close(made, expected, 2e-5)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
def test_resampling_picks_the_pixels_that_torch_picks(mode) -> None:
    """A step that is told, and cannot be the quotient of whole sizes: by our arithmetic, not by torch's."""
    name, corners = mode.removeprefix("bi"), False if mode.startswith("bi") else None
    for size, n in itertools.product(range(1, 30, 3), range(1, 40, 4)):
        x = torch.from_numpy(normal(1, 1, size, 1))
        steps = [float(np.float32(size) / np.float32(n)), 1.0]
        attributes = {"mode": name, "axes": [2, 3], "step": steps} | (
            {} if corners is None else {"align_corners": False}
        )
        made = Rebuilt(graph_of([Node("resample", "r", (0,), (1, 1, n, 1), attributes)], x.numpy()), {})(x)
        torch.testing.assert_close(made, F.interpolate(x, (n, 1), mode=mode, align_corners=corners), atol=2e-5, rtol=0)


# Whole graphs

RELU = {"program": [["relu", 0]], "numbers": []}


def two_ends():
    """Two inputs and noise at a size that is made, two outputs."""
    inputs = (Input("x", (1, 2, "L")), Input("n", (1, 1, "L2"), noise="normal"), Input("k", (1, 3), integer=True))
    inputs += (Input("u", (1, 4), noise="uniform"),)
    nodes = (
        Node("concat", "c", (0, 0), (1, 2, "L2"), {"axis": 2}),
        Node("map", "m", (4, 1), (1, 2, "L2"), {"program": [["add", 0, 1], ["mul", 3, 2]], "numbers": ["L"]}),
        Node("concat", "d", (2, 3), (1, 7), {"axis": 1}),
    )
    return Graph(inputs, (Size("L2", "*", "L", 2),), nodes, (("sound", 5), ("rest", 6)))


def test_several_inputs_and_outputs_and_noise(tmp_path) -> None:
    file.write(tmp_path / "g.safetensors", two_ends(), {})
    module = rebuild(tmp_path / "g.safetensors")
    assert module.input_shape == ((2, None), (3,)) and module.output_shape == ((2, None), (7,))
    for length, batch in ((5, 3), (1, 1), (8, 2)):
        x, k = torch.from_numpy(normal(batch, 2, length)), torch.arange(3 * batch).reshape(batch, 3)
        n, u = (
            torch.from_numpy(noise("normal", 7, 1, batch, (1, 2 * length))),
            torch.from_numpy(noise("uniform", 7, 3, batch, (4,))),
        )
        sound, rest = module(x, k, seed=7)
        torch.testing.assert_close(sound, (torch.cat([x, x], 2) + n) * length)
        torch.testing.assert_close(rest, torch.cat([k, u], 1))
        for given, drawn in zip(module(x, n, k, u), (sound, rest), strict=True):
            assert torch.equal(given, drawn)


def test_no_images_at_all() -> None:
    sound, rest = Rebuilt(two_ends(), {})(torch.zeros(0, 2, 5), torch.zeros(0, 3))
    assert sound.shape == (0, 2, 10) and rest.shape == (0, 7)


def test_images_of_a_batch_know_nothing_of_each_other() -> None:
    """Reductions and permutations of the batch's 1 are of one image."""
    nodes = [
        Node("reduce", "r", (0,), (1, 1), {"kind": "sum", "axes": [0, 1]}),
        Node("permute", "p", (0,), (3, 1), {"axes": [1, 0]}),
        Node("matmul", "m", (0, 2), (1, 1)),
    ]
    x = torch.from_numpy(normal(4, 3))
    total, square = Rebuilt(graph_of(nodes, (1, 3), outputs=(("a", 1), ("b", 3))), {})(x)
    torch.testing.assert_close(total, x.sum(1, keepdim=True))
    torch.testing.assert_close(square, x.square().sum(1, keepdim=True))


IMAGE = torch.zeros(1, 3, 4, 5)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (("slice", (1, 3, 4, 3), {"axis": 3, "start": 3, "step": 1}), "reads 3 .. 5 of 5 numbers"),
        (("slice", (1, 3, 4, "none"), {"axis": 3, "start": 3, "step": 1}), "sizes begin at 1"),
        (("pad", (1, 3, 4, 9), {"before": [0, 0, 0, 5], "mode": "constant", "value": 0}), "pads 5 numbers by 5 and -1"),
        (("pad", (1, 3, 8, 5), {"before": [0, 0, 4, 0], "mode": "reflect"}), "pads 4 numbers by 4 and 0"),
        (("reshape", (1, 3, 4, 4), {}), "shape '\\[1, 3, 4, 4\\]' is invalid"),
        (("map", (1, 3, 4, 4), RELU), "expand"),
        (("reduce", (1, 3, 1, 1), {"kind": "sum", "axes": [3]}), r"makes shape \[1, 3, 4, 1\], .* says \[1, 3, 1, 1\]"),
        (("permute", (5, 4, 3, 1), {"axes": [3, 2, 1, 1]}), "permute"),
        (("map", (1, 3, 4, 5), {"program": [["gelu", 0]], "numbers": []}), "lacks 'gelu'"),
    ],
)
def test_what_does_not_fit_names_its_node(node, message) -> None:
    op, shape, attributes = node
    graph = graph_of([Node(op, "the one", (0,), shape, attributes)], IMAGE, sizes=[Size("none", "-", 5, 5)])
    with pytest.raises(PBGenError, match=f'{op} "the one": .*{message}') as refusal:
        Rebuilt(graph, {})(IMAGE)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("index", [-1, 3, 0.5, math.nan])
def test_an_index_outside(index) -> None:
    with pytest.raises(PBGenError, match=r'take "n": an index of .*, none of 0 \.\. 2'):
        one("take", [X, np.array([index])], (1, 1, 4, 5), axis=1)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([torch.zeros(1, 2, 3)], "1 inputs given"),
        ([torch.zeros(1, 2, 3, 4), torch.zeros(1, 3)], 'input "x": has 4 dimensions, expected 3'),
        ([torch.zeros(1, 3, 3), torch.zeros(1, 3)], r'input "x": has shape \[1, 3, 3\], expected \[1, 2, 3\]'),
        ([torch.zeros(1, 2, 0), torch.zeros(1, 3)], r'input "x": .*; sizes are 1 to'),
        ([torch.zeros(2, 2, 3), torch.zeros(1, 3)], r'input "k": has shape \[1, 3\], expected \[2, 3\]'),
        (
            [torch.zeros(1, 2, 3), torch.zeros(1, 1, 5), torch.zeros(1, 3), torch.zeros(1, 4)],
            r'input "n": has shape \[1, 1, 5\], expected \[1, 1, 6\]',
        ),
    ],
)
def test_inputs_of_other_shapes(inputs, message) -> None:
    with pytest.raises(PBGenError, match=message):
        Rebuilt(two_ends(), {})(*inputs)


def test_sizes_that_cannot_be() -> None:
    for size, message in ((Size("s", "//", 3, "L"), "divides by 0"), (Size("s", "*", 2**52, "L"), "beyond 2\\^53")):
        graph = Graph((), (size,), (), ())
        with pytest.raises(PBGenError, match=f"the size s .*{message}"):
            graph.sizes_at({"L": 0 if size.op == "//" else 3})


@pytest.mark.parametrize(("op", "seed"), graphs(8))
def test_random_graphs(op, seed) -> None:
    """What is declared is made, at every size; images and precisions agree; nothing is computed that is not finite."""
    drawn = random_graph(seed, op)
    assert op in drawn.ops
    check(drawn.graph, drawn.tensors)
    assert Graph.from_json(drawn.graph.to_json()).to_json() == drawn.graph.to_json()
    module, exact = Rebuilt(drawn.graph, drawn.tensors), Rebuilt(drawn.graph, drawn.tensors).double()
    for case in range(CASES):
        inputs = [torch.from_numpy(array) for array in drawn.inputs(case, 2)]
        outputs, expected = module(*inputs), exact(*inputs)
        second = module(*(x[1:] for x in inputs))
        if isinstance(outputs, torch.Tensor):
            outputs, expected, second = (outputs,), (expected,), (second,)
        for made, right, alone in zip(outputs, expected, second, strict=True):
            assert torch.equal(made[1:], alone)
            scale = max(1.0, float(right.abs().max()))
            torch.testing.assert_close(made.double(), right, atol=1e-5 * scale, rtol=0)


def test_random_graphs_hold_everything() -> None:
    drawn = [random_graph(seed, op) for op, seed in graphs(8)]
    instructions = {step[0] for d in drawn for node in d.graph.nodes for step in node.attributes.get("program", [])}
    assert instructions == {*UNARY, *BINARY, "where"}
    assert {size.op for d in drawn for size in d.graph.sizes} == {"+", "-", "*", "//", "%", "min", "max", "scaled"}


# Other tools take it up


def network():
    """What most generators are made of, at any height and width."""
    square = {"kernel": [3, 3], "stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    halving = square | {"stride": [2, 2]}
    doubling = square | {"kernel": [4, 4], "stride": [2, 2]}
    sizes = [Size("H1", "+", "H", 1), Size("h", "//", "H1", 2), Size("W1", "+", "W", 1), Size("w", "//", "W1", 2)]
    sizes += [Size("H2", "*", "h", 2), Size("W2", "*", "w", 2)]
    norm = {"program": [["sub", 0, 1], ["mul", 2, 2]], "numbers": []}
    pool = {"kind": "max", "kernel": [2, 2], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]}
    nodes = [
        Node("pad", "pad", (0,), (1, 3, "H2p", "W2p"), {"before": [0, 0, 1, 1], "mode": "reflect"}),
        Node("conv", "a", (1,), (1, 4, "H", "W"), {"weight": "a", **square, "padding": [0, 0]} | RELU),
        Node("reduce", "mean", (2,), (1, 4, 1, 1), {"kind": "mean", "axes": [2, 3]}),
        Node("map", "norm", (2, 3), (1, 4, "H", "W"), norm),
        Node("conv", "b", (4,), (1, 8, "h", "w"), {"weight": "b", **halving, "shift": "s"}),
        Node("conv_transpose", "c", (5,), (1, 4, "H2", "W2"), {"weight": "c", **doubling}),
        Node("resample", "up", (5,), (1, 8, "H2", "W2"), {"mode": "nearest", "axes": [2, 3], "step": [0.5, 0.5]}),
        Node("concat", "cat", (6, 7), (1, 12, "H2", "W2"), {"axis": 1}),
        Node("pool", "pool", (8,), (1, 12, "Hp", "Wp"), pool),
        Node("slice", "crop", (9,), (1, 12, "Hp", 1), {"axis": 3, "start": 0, "step": 1}),
    ]
    sizes += [Size("H2p", "+", "H", 2), Size("W2p", "+", "W", 2), Size("Hp", "-", "H2", 1), Size("Wp", "-", "W2", 1)]
    tensors = {"a": normal(4, 3, 3, 3), "b": normal(8, 4, 3, 3), "s": normal(8), "c": normal(4, 8, 4, 4)}
    graph = Graph((Input("x", (1, 3, "H", "W")),), tuple(sizes), tuple(nodes), (("y", 9), ("z", 10)))
    check(graph, tensors)
    return Rebuilt(graph, tensors).eval()


def test_torch_export_takes_it_up_at_free_sizes() -> None:
    module = network()
    free = {0: Dim.STATIC, 1: Dim.STATIC, 2: Dim.AUTO, 3: Dim.AUTO}
    program = export(module, (torch.randn(1, 3, 9, 12),), dynamic_shapes=((free,),), strict=False)
    for height, width in ((9, 12), (4, 4), (17, 6)):
        x = torch.from_numpy(normal(1, 3, height, width))
        for made, expected in zip(program.module()(x), module(x), strict=True):
            torch.testing.assert_close(made, expected)
    operators = {str(node.target) for node in program.graph.nodes}
    assert {"aten.max_pool2d.default", "aten.conv_transpose2d.input"} <= operators
    assert not any("index" in operator or "gather" in operator for operator in operators)  # torch's own upsampling


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_torch_trace_takes_it_up() -> None:
    module, x = network(), torch.from_numpy(normal(1, 3, 6, 8))
    for made, expected in zip(torch.jit.trace(module, x)(x), module(x), strict=True):
        torch.testing.assert_close(made, expected)


def test_shapes_alone() -> None:
    module = network().to("meta")
    y, z = module(torch.empty(1, 3, 1000, 501, device="meta"))
    assert y.shape == (1, 12, 999, 501) and z.shape == (1, 12, 999, 1)


def test_torch_compile_takes_it_up_whole() -> None:
    module, x = network(), torch.from_numpy(normal(1, 3, 6, 8))
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    for made, expected in zip(compiled(x), module(x), strict=True):
        torch.testing.assert_close(made, expected)
