"""The operators without weights against torch, and graphs whose nodes share inputs, weights and memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from packed_files import Layer, assert_close, node, pack_bits, write

from pbgen import Engine


def run(path: Path, input_shape: tuple[int, ...], nodes: list[dict[str, Any]], x: np.ndarray, **tensors: Any) -> Any:
    return Engine(write(path, input_shape, nodes, tensors), threads=2)(x)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "g.safetensors"


UPSAMPLED = [
    ((4, 5), (8, 10)),
    ((4, 5), (11, 7)),
    ((7, 3), (3, 2)),
    ((1, 1), (5, 4)),
    ((3, 6), (3, 6)),
    ((5, 5), (16, 1)),
]


@pytest.mark.parametrize(("size", "to"), UPSAMPLED, ids=str)
def test_nearest(size: tuple[int, int], to: tuple[int, int], path: Path) -> None:
    x = numbers(2, 3, *size)
    step = [a / b for a, b in zip(size, to, strict=True)]
    nodes = [node("upsample", [0], (3, *to), mode="nearest", step=step)]
    np.testing.assert_array_equal(run(path, (3, *size), nodes, x), F.interpolate(torch.from_numpy(x), to).numpy())


@pytest.mark.parametrize(("inputs", "outputs"), [(n, m) for n in range(1, 14) for m in (3, 7, 25, 41)], ids=str)
def test_nearest_rounds_like_torch(inputs: int, outputs: int, path: Path) -> None:
    x = numbers(1, 2, inputs)
    nodes = [node("upsample", [0], (2, outputs), mode="nearest", step=[inputs / outputs])]
    expected = F.interpolate(torch.from_numpy(x), outputs).numpy()
    np.testing.assert_array_equal(run(path, (2, inputs), nodes, x), expected)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("size", "to"), UPSAMPLED, ids=str)
def test_bilinear(size: tuple[int, int], to: tuple[int, int], align_corners: bool, path: Path) -> None:
    x = numbers(2, 3, *size)
    if align_corners:
        step = [(a - 1) / (b - 1) if b > 1 else 0 for a, b in zip(size, to, strict=True)]
    else:
        step = [a / b for a, b in zip(size, to, strict=True)]
    nodes = [node("upsample", [0], (3, *to), mode="bilinear", step=step, align_corners=align_corners)]
    expected = F.interpolate(torch.from_numpy(x).double(), to, mode="bilinear", align_corners=align_corners)
    assert_close(run(path, (3, *size), nodes, x), expected.numpy())


@pytest.mark.parametrize("scale", [1.7, 2.3, 0.6])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_upsampling_by_a_given_factor(scale: float, mode: str, path: Path) -> None:
    x = numbers(1, 2, 7, 9)
    expected = F.interpolate(torch.from_numpy(x), scale_factor=scale, mode=mode).numpy()
    attributes = {"align_corners": False} if mode == "bilinear" else {}
    nodes = [node("upsample", [0], expected.shape[1:], mode=mode, step=[1 / scale, 1 / scale], **attributes)]
    assert_close(run(path, (2, 7, 9), nodes, x), expected)


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_pixel_shuffle(factor: int, path: Path) -> None:
    x = numbers(3, 2 * factor * factor, 4, 3)
    nodes = [node("pixel_shuffle", [0], (2, 4 * factor, 3 * factor), factor=factor)]
    expected = F.pixel_shuffle(torch.from_numpy(x), factor).numpy()
    np.testing.assert_array_equal(run(path, x.shape[1:], nodes, x), expected)


SHAPES = [(24,), (24, 1), (4, 6), (4, 2, 3), (24, 1, 1), (1, 4, 6), (2, 12), (6, 4, 1)]


@pytest.mark.parametrize("after", SHAPES, ids=str)
@pytest.mark.parametrize("before", SHAPES, ids=str)
def test_reshape(before: tuple[int, ...], after: tuple[int, ...], path: Path) -> None:
    x = numbers(2, *before)
    result = run(path, before, [node("reshape", [0], after)], x)
    np.testing.assert_array_equal(result, x.reshape(2, *after))


@pytest.mark.parametrize(
    ("shape", "axis"), [((3,), 0), ((3, 4), 0), ((3, 4), 1), ((2, 3, 4), 0), ((2, 3, 4), 1), ((2, 3, 4), 2)]
)
def test_concat(shape: tuple[int, ...], axis: int, path: Path) -> None:
    """The input, its activation, and both together: three parts of two lengths along the axis."""
    x = numbers(2, *shape)
    twice = tuple(n * 2 if i == axis else n for i, n in enumerate(shape))
    four = tuple(n * 4 if i == axis else n for i, n in enumerate(shape))
    nodes = [
        node("affine", [0], shape, activation="relu"),
        node("concat", [0, 1], twice, axis=axis),
        node("concat", [1, 2, 0], four, axis=axis),
    ]
    part = np.maximum(x, 0)
    expected = np.concatenate([part, x, part, x], axis + 1)
    np.testing.assert_array_equal(run(path, shape, nodes, x), expected)


@pytest.mark.parametrize("shape", [(5,), (5, 6), (5, 6, 7)], ids=str)
def test_affine_and_add(shape: tuple[int, ...], path: Path) -> None:
    x, scale, shift = numbers(3, *shape), numbers(5, seed=1), numbers(5, seed=2)
    nodes = [
        node("affine", [0], shape, scale="scale", shift="shift", activation="tanh"),
        node("affine", [1], shape, scale="shift"),
        node("add", [0, 1, 2, 1], shape),
    ]
    along = (1, -1, *(1 for _ in shape[1:]))
    first = np.tanh(x.astype(np.float64) * scale.reshape(along) + shift.reshape(along))
    expected = x + 2 * first + first * shift.reshape(along)
    assert_close(run(path, shape, nodes, x, scale=scale, shift=shift), expected)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_activations_keep_their_digits(activation: str, path: Path) -> None:
    x = np.concatenate([np.geomspace(1e-30, 80, 4001), [0, 0.62499994, 0.625]]).astype(np.float32)
    x = np.concatenate([x, -x])[:, None]
    expected = {"tanh": torch.tanh, "sigmoid": torch.sigmoid}[activation](torch.from_numpy(x).double()).numpy()
    result = run(path, (1,), [node("affine", [0], (1,), activation=activation)], x)
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-37)


def test_an_earlier_value_may_be_the_image(path: Path) -> None:
    x = numbers(2, 4)
    nodes = [node("affine", [0], (4,), activation="relu"), node("affine", [1], (4,), activation="sigmoid")]
    engine = Engine(write(path, (4,), nodes, {}, output=1))
    np.testing.assert_array_equal(engine(x), np.maximum(x, 0))


def test_the_input_may_be_the_image(path: Path) -> None:
    x = numbers(2, 3, 4, 5)
    np.testing.assert_array_equal(run(path, (3, 4, 5), [], x), x)


def test_nodes_share_weights(path: Path) -> None:
    layer = Layer(32, 32, (5, 5), (3, 3), (1, 1), (1, 1))
    nodes = [layer.node((32, 5, 5)), layer.node((32, 5, 5)) | {"inputs": [1]}]
    x = layer.input(2)
    engine = Engine(write(path, (32, 5, 5), nodes, layer.tensors()))
    assert_close(engine(x), layer.reference(layer.reference(x)))
    assert engine.resident_bytes < 100_000


def test_residual_generator(path: Path) -> None:
    """Values that live long, scratch memory between them, several threads, batches larger than fit at a time."""
    rng = np.random.default_rng(0)
    signs = [np.sign(rng.standard_normal((40, 40, 3, 3))) for _ in range(3)]
    scale = np.full(40, 1 / 19, np.float32)
    nodes = [node("conv", [0], (40, 16, 16), weight="w0", **CONV)]
    for i in (1, 2):
        nodes.append(node("conv", [2 * i - 1], (40, 16, 16), weight=f"w{i}", **CONV))
        nodes.append(node("add", [2 * i - 1, 2 * i, 0], (40, 16, 16)))
    x = numbers(40, 40, 16, 16)
    weights = {f"w{i}": pack_bits(w) for i, w in enumerate(signs)}
    result = run(path, (40, 16, 16), nodes, x, scale=scale, **weights)

    def convolve(value: torch.Tensor, w: np.ndarray) -> torch.Tensor:
        return F.relu(F.conv2d(value, torch.from_numpy(w), padding=1) / 19)

    start = torch.from_numpy(x).double()
    value = convolve(start, signs[0])
    for w in signs[1:]:
        value = value + convolve(value, w) + start
    assert_close(result, value.numpy())


CONV: dict[str, Any] = {
    "scale": "scale",
    "kernel": [3, 3],
    "stride": [1, 1],
    "padding": [1, 1],
    "dilation": [1, 1],
    "groups": 1,
    "activation": "relu",
}
