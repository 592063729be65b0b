"""What random graphs leave to chance: numbers at their limits, and nodes that share inputs, weights and memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from packed_files import PROGRAMS, Layer, assert_close, node, nothing, pack_bits, write

from pbgen import Engine
from pbgen.packing import file
from pbgen.packing.graph import Graph, Input, Node, Size


def run(path: Path, input_shape: tuple[Any, ...], nodes: list[Node], x: np.ndarray, **tensors: Any) -> Any:
    return Engine(write(path, input_shape, nodes, tensors), threads=2)(x)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "g.safetensors"


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("inputs", range(1, 14))
def test_nearest_rounds_like_torch(inputs: int, mode: str, path: Path) -> None:
    x = numbers(1, 2, inputs)
    # Half a pixel times 2 / 41 is rounded in another way where a processor multiplies and adds at once, as torch's may.
    for outputs in (3, 7, 25) if mode == "nearest-exact" else (3, 7, 25, 41):
        for step in (None, inputs / outputs):
            nodes = [node("resample", [0], (2, outputs), mode=mode, axes=[2], step=[step])]
            expected = F.interpolate(torch.from_numpy(x), outputs, mode=mode).numpy()
            np.testing.assert_array_equal(run(path, (2, "L"), nodes, x), expected)


@pytest.mark.parametrize("scale", [1.7, 2.3, 0.6])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_resampling_by_a_given_factor(scale: float, mode: str, path: Path) -> None:
    x = numbers(1, 2, 7, 9)
    expected = F.interpolate(torch.from_numpy(x), scale_factor=scale, mode=mode).numpy()
    attributes = {} if mode == "nearest" else {"align_corners": False}
    name = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    nodes = [node("resample", [0], expected.shape[1:], mode=name, axes=[2, 3], step=[1 / scale] * 2, **attributes)]
    assert_close(run(path, (2, 7, 9), nodes, x), expected)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_activations_keep_their_digits(activation: str, path: Path) -> None:
    x = np.concatenate([np.geomspace(1e-30, 80, 4001), [0, 0.62499994, 0.625]]).astype(np.float32)
    x = np.concatenate([x, -x])[:, None]
    expected = {"tanh": torch.tanh, "sigmoid": torch.sigmoid}[activation](torch.from_numpy(x).double()).numpy()
    result = run(path, (1,), [node("map", [0], (1,), **PROGRAMS[activation])], x)
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-37)


SPECIAL = np.float32([0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, 1e-40, 3e38, -3e38, np.inf, -np.inf, np.nan])
ONE: dict[str, Any] = {
    "neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "exp": torch.exp,
    "expm1": torch.expm1, "log": torch.log, "log1p": torch.log1p, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "erf": torch.erf, "floor": torch.floor, "ceil": torch.ceil, "round": torch.round, "relu": torch.relu,
}  # fmt: skip
TWO: dict[str, Any] = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "max": torch.maximum, "min": torch.minimum,
    "lt": torch.lt, "le": torch.le, "gt": torch.gt, "ge": torch.ge, "eq": torch.eq, "ne": torch.ne, "pow": torch.pow,
    "mod": lambda a, b: remainder(a, b), "leaky": lambda a, b: torch.where(a >= 0, a, a * b),
}  # fmt: skip


def remainder(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """With the divisor's sign; exact, where torch.remainder's quotient may be too large for float32."""
    rest = torch.fmod(a.double(), b.double())
    return torch.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_instructions_at_their_limits(name: str, arch: str, path: Path) -> None:
    """Of zeros, infinities and what is no number: as torch has it, whatever the vectors' rest."""
    a, b = (part.ravel() for part in np.meshgrid(SPECIAL, SPECIAL))
    x = np.stack([a, b])
    program = [[name, 0]] if name in ONE else [[name, 0, 1]]
    nodes = [node("map", [0, 1][: len(program[0]) - 1], (len(a),), program=program)]
    inputs = (Input("a", (1, len(a))), Input("b", (1, len(a))))
    nodes = [Node(each.op, each.name, each.inputs, each.shape, each.attributes) for each in nodes]
    file.write(path, Graph(inputs, (), tuple(nodes), (("out", 2),)), {})
    operands = map(torch.from_numpy, x[: len(program[0]) - 1])
    expected = (ONE | TWO)[name](*operands).float().numpy()
    result = Engine(path)(a[None], b[None])
    np.testing.assert_allclose(result[0], expected, rtol=1e-5, atol=1e-37, equal_nan=True)


def test_where_picks_by_what_is_not_0(path: Path) -> None:
    x = SPECIAL[None]
    result = run(path, x.shape[1:], [node("map", [0], x.shape[1:], program=[["where", 0, 1, 2]], numbers=[5, 6])], x)
    np.testing.assert_array_equal(result, np.where(x != 0, 5, 6))


def test_an_earlier_value_may_be_the_image(path: Path) -> None:
    x = numbers(2, 4)
    nodes = [node("map", [0], (4,), **PROGRAMS["relu"]), node("map", [1], (4,), **PROGRAMS["sigmoid"])]
    engine = Engine(write(path, (4,), nodes, {}, output=1))
    np.testing.assert_array_equal(engine(x), np.maximum(x, 0))


def test_the_input_may_be_the_image(path: Path) -> None:
    x = numbers(2, 3, 4, 5)
    np.testing.assert_array_equal(run(path, (3, 4, 5), [], x), x)


def test_one_value_may_be_several_outputs(path: Path) -> None:
    """And so may the input, views of both, and what another node reads."""
    nodes = (
        nothing([0], (2, "H", "W")),
        node("permute", [1], ("W", 2, "H"), axes=[0, 3, 1, 2]),
        node("slice", [2], ("W", 2, 1), axis=3, start="last", step=-3),
        node("map", [1, 0], (2, "H", "W"), program=[["add", 0, 1]]),
    )
    outputs = (("a", 1), ("b", 1), ("z", 0), ("turned", 2), ("again", 2), ("last", 3), ("twice", 4))
    sizes = (Size("last", "-", "H", 1),)
    file.write(path, Graph((Input("z", (1, 2, "H", "W")),), sizes, nodes, outputs), {})
    engine = Engine(path, threads=2)
    for size in (4, 5), (1, 1), (3, 2):
        x = numbers(3, 2, *size)
        turned = x.transpose(0, 3, 1, 2)
        for found, expected in zip(engine(x), [x, x, x, turned, turned, turned[..., -1:], x + x], strict=True):
            np.testing.assert_array_equal(found, expected, strict=True)


def test_nodes_share_weights(path: Path) -> None:
    layer = Layer(32, 32, (5, 5), (3, 3), (1, 1), (1, 1))
    nodes = [layer.node((32, 5, 5)), layer.node((32, 5, 5), 1)]
    x = layer.input(2)
    engine = Engine(write(path, (32, 5, 5), nodes, layer.tensors()))
    assert_close(engine(x), layer.reference(layer.reference(x)))
    assert engine.resident_bytes < 100_000


@pytest.mark.parametrize("free", [False, True])
def test_residual_generator(free: bool, path: Path) -> None:
    """Values that live long, scratch memory between them, several threads, batches larger than fit at a time."""
    rng = np.random.default_rng(0)
    signs = [np.sign(rng.standard_normal((40, 40, 3, 3))) for _ in range(3)]
    scale = np.full(40, 1 / 19, np.float32)
    shape = (40, "H", "W") if free else (40, 16, 16)
    add = {"program": [["add", 0, 1], ["add", 3, 2]]}
    nodes = [node("conv", [0], shape, weight="w0", **CONV)]
    for i in (1, 2):
        nodes.append(node("conv", [2 * i - 1], shape, weight=f"w{i}", **CONV))
        nodes.append(node("map", [2 * i - 1, 2 * i, 0], shape, **add))
    x = numbers(40, 40, 16, 16)
    weights = {f"w{i}": pack_bits(w) for i, w in enumerate(signs)}
    result = run(path, shape, nodes, x, scale=scale, **weights)

    def convolve(value: torch.Tensor, w: np.ndarray) -> torch.Tensor:
        return F.relu(F.conv2d(value, torch.from_numpy(w), padding=1) / 19)

    start = torch.from_numpy(x).double()
    value = convolve(start, signs[0])
    for w in signs[1:]:
        value = value + convolve(value, w) + start
    assert_close(result, value.numpy())


@pytest.mark.parametrize("activations", ["float32", "int8"])
@pytest.mark.parametrize("kernel", [(1, 5), (5, 1), (3, 3), (3, 11), (7,), (5,)], ids=str)
def test_a_layer_of_any_size(kernel: tuple[int, ...], activations: str, arch: str, path: Path) -> None:
    """Its weights are arranged once, whatever images come: a row, a column, a few pixels."""
    layer = Layer(40, 128, kernel, kernel, transposed=False, padding=tuple(size // 2 for size in kernel))
    names = ("H", "W")[-len(kernel) :]
    nodes = [nothing([0], (40, *names)), layer.node((128, *names), 1)]  # what is given itself is never rounded
    engine = Engine(write(path, (40, *names), nodes, layer.tensors()), threads=2, activations=activations)
    for size in [(1, 1), (1, 40), (40, 1), (3, 4), (4, 3), (9, 17), (33, 16)]:
        x = numbers(2, 40, *size[-len(kernel) :])
        expected = layer.reference(x)
        tolerance = 1e-5 if activations == "float32" else 0.03
        assert abs(engine(x) - expected).max() <= tolerance * abs(expected).max()


CONV: dict[str, Any] = {
    "scale": "scale",
    "kernel": [3, 3],
    "stride": [1, 1],
    "padding": [1, 1],
    "dilation": [1, 1],
    "groups": 1,
    **PROGRAMS["relu"],
}
