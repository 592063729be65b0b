"""int8 activations: the integers are those that the definition gives, of float weights, too; their sums are exact."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_files import Layer, Tensors, assert_close, write
from test_layers import LARGE, LAYERS, random_layers

from pbgen import Engine

SIGNS = {"signed": lambda x: x, "not negative": np.abs, "zero": np.zeros_like}


def quantized(x: np.ndarray) -> np.ndarray:
    """Each image (an item of the first axis) rounded as docs/precision.md defines it, and scaled back."""
    result = np.empty_like(x)
    for image, out in zip(x, result, strict=True):
        levels, largest = np.float32(127 if image.min() < 0 else 255), np.abs(image).max()
        if largest > 0:
            out[...] = np.rint(image * (levels / largest)) * (largest / levels)
        else:
            out[...] = 0
    return result


def tables(layer: Layer, x: np.ndarray) -> tuple[Layer, np.ndarray]:
    """The 16 entries of each four inputs, rounded as docs/precision.md defines it, and a layer that picks among them.

    The entries are its input's channels, and its weights are 2^p for each plane p whose bits are the entry's index.
    """
    groups, inputs, fours = layer.groups, layer.inputs // layer.groups, -(-layer.inputs // layer.groups // 4)
    four = np.zeros((len(x), groups, 4 * fours, *x.shape[2:]), np.float32)
    four[:, :, :inputs] = x.reshape(len(x), groups, inputs, *x.shape[2:])
    four = four.reshape(len(x), groups * fours, 4, -1)
    signs = 2 * (np.arange(16)[:, None] >> np.arange(4) & 1) - 1
    entries = np.zeros((len(x), groups * fours, 16, four.shape[-1]))
    for image, out in zip(four, entries, strict=True):
        magnitudes = np.abs(image)
        largest = ((magnitudes[:, 0] + magnitudes[:, 1]) + (magnitudes[:, 2] + magnitudes[:, 3])).max()
        if largest > 0:
            sums = signs @ np.rint(image * (np.float32(127 * 128) / largest))
            out[...] = np.floor((sums + 64) / 128) * (largest / np.float32(127))
    kernel = layer.weights().shape[2:]
    digits = np.zeros((layer.outputs, 4 * fours, *kernel), int)
    digits[:, :inputs] = (layer.weights() + 2**layer.planes - 1) // 2
    digits = digits.reshape(layer.outputs, fours, 1, 4, *kernel)
    weights = np.zeros((layer.outputs, 16 * fours, *kernel))
    for plane in range(layer.planes):
        indices = sum((digits[:, :, :, i] >> plane & 1) << i for i in range(4))
        picked = indices == np.arange(16).reshape(16, *(1 for _ in kernel))
        weights += picked.reshape(weights.shape) * 2.0**plane
    wide = replace(layer, inputs=16 * fours * groups)
    return with_weights(wide, weights, layer.vectors()), entries.reshape(len(x), -1, *x.shape[2:])


def quantized_weights(weights: np.ndarray, kernel: str) -> np.ndarray:
    """The same for float weights: each output channel, and tap where taps are channels, has a scale of its own."""
    weights = weights.astype(np.float32)
    axes = 1 if "taps as channels" in kernel else tuple(range(1, weights.ndim))
    levels = np.float32(127)
    if "int16" in kernel:
        levels = np.float32(min(2**15 - 1, (2**31 - 1) // (255 * weights[0].size)))
    largest = np.abs(weights).max(axis=axes, keepdims=True)
    inverse = np.divide(levels, largest, out=np.zeros_like(largest), where=largest > 0)
    return np.rint(weights * inverse) * (largest / levels)


def with_weights(layer: Layer, weights: np.ndarray, vectors: Tensors | None = None) -> Layer:
    vectors = layer.vectors() if vectors is None else vectors
    return type("Given", (Layer,), {"weights": lambda self: weights, "vectors": lambda self: vectors})(**vars(layer))


def rounds(arch: str, one_bit: bool) -> bool:
    """Whether an instruction set is faster with tables of integers, of one-bit weights, than with those of float32."""
    return arch != "avx512" or not one_bit


def check(layer: Layer, path: Path, x: np.ndarray) -> str:
    engine = Engine(layer.write(path, behind=True), threads=2, activations="int8")
    (kernel,) = engine.kernels.values()
    found = engine(x)
    if "tables" in kernel and "int8" in kernel:
        layer, x = tables(layer, x)
    elif "int8" in kernel:
        x = quantized(x)
        layer = layer if layer.one_bit else with_weights(layer, quantized_weights(layer.weights(), kernel))
    assert_close(found, layer.reference(x))
    return kernel


@pytest.mark.parametrize("one_bit", [True, False], ids=["one-bit", "float"])
@pytest.mark.parametrize("signs", SIGNS)
@pytest.mark.parametrize("name", LAYERS)
def test_layer_of_rounded_inputs(name: str, signs: str, one_bit: bool, arch: str, tmp_path: Path) -> None:
    layer = replace(LAYERS[name], one_bit=one_bit)
    kernel = check(layer, tmp_path / "g.safetensors", SIGNS[signs](layer.input(2)))
    if layer.groups == 1 and layer.inputs >= 16 and layer.outputs >= 16:
        assert ("int8" in kernel) == rounds(arch, one_bit)


def test_an_image_larger_than_caches(arch: str, tmp_path: Path) -> None:
    check(LARGE, tmp_path / "g.safetensors", LARGE.input(1))


@pytest.mark.parametrize("name", LAYERS)
def test_planes_of_rounded_inputs(name: str, arch: str, tmp_path: Path) -> None:
    layer = replace(LAYERS[name], planes=3)
    kernel = check(layer, tmp_path / "g.safetensors", layer.input(2))
    if layer.groups == 1 and layer.inputs >= 16 and layer.outputs >= 16:
        assert ("int8" in kernel) == rounds(arch, True)


@pytest.mark.parametrize("outputs", [16, 17, 22, 33, 49, 65, 81])
@pytest.mark.parametrize("planes", [2, 3, 4])
def test_every_rest_of_the_lanes_in_planes(outputs: int, planes: int, arch: str, tmp_path: Path) -> None:
    layer = Layer(40, outputs, (4, 4), (2, 2), (2, 2), transposed=False, planes=planes)
    check(layer, tmp_path / "g.safetensors", layer.input(1))


@pytest.mark.parametrize("inputs", range(1, 36))
@pytest.mark.parametrize("one_bit", [True, False], ids=["one-bit", "float"])
def test_every_rest_of_the_inputs(inputs: int, one_bit: bool, arch: str, tmp_path: Path) -> None:
    layer = Layer(inputs, 64, (2, 2), (2, 2), one_bit=one_bit)
    check(layer, tmp_path / "g.safetensors", layer.input(1))


@pytest.mark.parametrize("outputs", [15, 16, 17, 48, 49, 95, 96, 97, 200])
def test_every_rest_of_the_lanes(outputs: int, arch: str, tmp_path: Path) -> None:
    layer = Layer(40, outputs, (4, 4), (2, 2), (2, 2), transposed=False, one_bit=False)
    assert "int8" in check(layer, tmp_path / "g.safetensors", layer.input(1))


@pytest.mark.parametrize("outputs", [32, 64])
@pytest.mark.parametrize("taps", [2, 3, 5])
def test_neighbouring_taps(outputs: int, taps: int, arch: str, tmp_path: Path) -> None:
    """See test_layers.py."""
    for columns in (14, 16, 17):
        layer = Layer(37, outputs, (3, columns), (2, taps), (1, 1 + taps % 2), (1, taps // 2))
        check(layer, tmp_path / "g.safetensors", layer.input(1))


@pytest.mark.parametrize("size", [(4, 4), (1, 1)])
@pytest.mark.parametrize("outputs", [3, 20])
def test_weights_of_channels_of_any_size(outputs: int, size: tuple[int, int], arch: str, tmp_path: Path) -> None:
    strided = {"stride": (2, 2), "padding": (2, 2), "output_padding": (1, 1)} if size == (4, 4) else {}
    layer = Layer(40, outputs, size, (5, 5), **strided, one_bit=False)
    weights = layer.weights()
    weights[0], weights[1] = 0, weights[1] * 1000
    weights[2, :, 1, 1] = 0
    kernel = check(with_weights(layer, weights), tmp_path / "g.safetensors", layer.input(2))
    assert "int8" in kernel
    assert ("taps as channels" in kernel) == (size == (1, 1))


@pytest.mark.parametrize("batch", [1, 2, 5, 33])
@pytest.mark.parametrize("name", ["dcgan first", "dcgan last", "linear", "kernel 1", "groups"])
def test_images_of_both_signs(name: str, batch: int, arch: str, tmp_path: Path) -> None:
    """Images with negative inputs and such without share tiles."""
    layer = replace(LAYERS[name], one_bit=False)
    x = layer.input(batch)
    x[::2] = np.abs(x[::2])
    assert "int8" in check(layer, tmp_path / "g.safetensors", x)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(random_layers(), st.sampled_from(sorted(SIGNS)))
def test_random_layer(tmp_path_factory: pytest.TempPathFactory, case: tuple[Layer, int], signs: str) -> None:
    layer, batch = case
    check(layer, tmp_path_factory.getbasetemp() / "random.safetensors", SIGNS[signs](layer.input(batch)))


@pytest.mark.parametrize("planes", [1, 4])
@pytest.mark.parametrize(("inputs", "outputs", "size"), [(4096, 32, 5), (2640, 3, 5), (300, 64, 12)])
def test_largest_sums(inputs: int, outputs: int, size: int, planes: int, arch: str, tmp_path: Path) -> None:
    """All weights and all inputs at the highest level, so all entries are 127: the first to overflow, if any do."""
    layer = replace(Layer(inputs, outputs, (size, size), (5, 5)), epilogue=(), planes=planes)
    layer = with_weights(layer, np.full((outputs, inputs, 5, 5), 2.0**planes - 1))
    check(layer, tmp_path / "g.safetensors", np.full((1, inputs, size, size), 3, np.float32))


def test_sums_that_may_not_fit_are_not_rounded(arch: str, tmp_path: Path) -> None:
    """The terms' levels are 8 million at most."""
    for inputs, fits in (533_333, True), (533_334, False):
        layer = with_weights(Layer(inputs, 16, (), planes=4), np.full((16, inputs), 15.0))
        (kernel,) = Engine(layer.write(tmp_path / "g.safetensors", behind=True), activations="int8").kernels.values()
        assert ("int8" in kernel) == (fits and rounds(arch, True))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("inputs", [66000, 66001])
def test_largest_sums_of_float_weights(inputs: int, sign: int, arch: str, tmp_path: Path) -> None:
    """As many terms as surely fit 32 bits, and one more; all inputs at the highest level, or but one at the lowest."""
    layer = with_weights(Layer(inputs, 16, (), one_bit=False, epilogue=()), np.ones((16, inputs), np.float32))
    x = np.full((2, inputs), 3, np.float32)
    x[1, :-1] *= sign
    assert ("int8" in check(layer, tmp_path / "g.safetensors", x)) == (inputs == 66000)


@pytest.mark.parametrize("one_bit", [True, False], ids=["one-bit", "float"])
@pytest.mark.parametrize(
    ("channels", "first_groups", "groups"), [(64, 1, 1), (64, 2, 4), (60, 2, 1), (30, 1, 1), (66, 3, 1), (90, 1, 5)]
)
def test_ranges_found_by_the_layer_before(
    channels: int, first_groups: int, groups: int, one_bit: bool, arch: str, tmp_path: Path
) -> None:
    """A layer that is told the range of its inputs does what it does when it finds it."""
    same = {"size": (6, 6), "kernel": (3, 3), "padding": (1, 1), "transposed": False}
    first = Layer(12, channels, **same, groups=first_groups, activation="relu")
    second = Layer(channels, 120, **same, groups=groups, one_bit=one_bit, seed=3)
    nodes, tensors = [], {}
    for i, layer in enumerate((first, second)):
        names = {name: f"{name} {i}" for name in layer.tensors()}
        made = layer.node((layer.outputs, 6, 6), i)
        renamed = {key: names.get(value, value) for key, value in made.attributes.items() if isinstance(value, str)}
        nodes.append(replace(made, attributes=made.attributes | renamed))
        tensors |= {names[name]: tensor for name, tensor in layer.tensors().items()}
    x = first.input(3)
    both = Engine(write(tmp_path / "both.safetensors", (12, 6, 6), nodes, tensors), activations="int8")
    between = Engine(first.write(tmp_path / "first.safetensors"))(x)
    alone = Engine(second.write(tmp_path / "second.safetensors", behind=True), activations="int8")
    assert ("int8" in str(alone.kernels)) == rounds(arch, one_bit)
    np.testing.assert_array_equal(both(x), alone(between))


@pytest.mark.parametrize(
    ("name", "planes"),
    [
        (name, planes)
        for name in ["dcgan middle", "dcgan last", "linear", "groups", "conv, stride 2", "kernel 9", "stride mixed"]
        for planes in range(5)
        if planes or LAYERS[name].inputs >= 16
    ],
)
def test_instruction_sets_agree_to_the_bit(
    name: str, planes: int, arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_bit = planes > 0
    layer = replace(LAYERS[name], epilogue=(), one_bit=one_bit, planes=planes or 1, activation="none")
    path, x = layer.write(tmp_path / "g.safetensors", behind=True), layer.input(3)
    this = Engine(path, activations="int8")
    monkeypatch.setenv("PBGEN_ARCH", "portable")
    portable = Engine(path, activations="int8")
    assert "int8" in str(portable.kernels)
    if "int8" in str(this.kernels) or rounds(arch, one_bit):
        np.testing.assert_array_equal(this(x), portable(x))


@pytest.mark.parametrize("size", [(), (4, 4)])
def test_what_is_given_is_not_rounded(size: tuple[int, ...], arch: str, tmp_path: Path) -> None:
    layer = Layer(64, 64, size, size and (3, 3))
    path, x = layer.write(tmp_path / "g.safetensors"), layer.input(2)
    np.testing.assert_array_equal(Engine(path, activations="int8")(x), Engine(path)(x))
    assert ("int8" in str(Engine(layer.write(path, behind=True), activations="int8").kernels)) == rounds(arch, True)


def test_no_run_changes_the_next(tmp_path: Path) -> None:
    """An image's scale is its own: neither its neighbours nor earlier calls matter."""
    layer = LAYERS["dcgan middle"]
    engine = Engine(layer.write(tmp_path / "g.safetensors", behind=True), activations="int8")
    x = layer.input(3) * np.float32([1, 100, 0.01]).reshape(3, 1, 1, 1)
    np.testing.assert_array_equal(engine(x), np.concatenate([engine(image[None]) for image in x]))
