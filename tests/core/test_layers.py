"""Every layer with weights, in every instruction set of this machine, against torch in float64."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_files import Layer, assert_close, node, write

from pbgen import Engine

LAYERS = {
    # strides, paddings, output paddings
    "dcgan first": Layer(100, 128, (1, 1), (4, 4)),
    "dcgan middle": Layer(64, 64, (4, 4), (5, 5), (2, 2), (2, 2), (1, 1)),
    "dcgan last": Layer(128, 3, (9, 8), (5, 5), (2, 2), (2, 2), (1, 1), activation="tanh"),
    "to colours, dilated": Layer(60, 3, (6, 5), (3, 4), (2, 3), (1, 2), dilation=(2, 3)),
    "wide image": Layer(40, 24, (40, 70), (4, 4), (2, 2), (1, 1)),
    "dcgan 4x4": Layer(48, 80, (5, 5), (4, 4), (2, 2), (1, 1)),
    "stride 1": Layer(33, 17, (6, 5), (3, 3), (1, 1), (1, 1)),
    "stride 3": Layer(20, 16, (5, 4), (5, 5), (3, 3), (1, 2), (2, 1)),
    "stride 4": Layer(20, 16, (3, 3), (6, 5), (4, 4), (1, 2), (3, 0)),
    "stride beyond kernel": Layer(20, 16, (3, 4), (2, 2), (4, 3), (0, 1), (3, 2)),
    "stride mixed": Layer(31, 40, (4, 7), (3, 4), (1, 3), (2, 0)),
    "padding to the last tap": Layer(16, 16, (7, 7), (3, 3), (1, 1), (2, 2)),
    "no tap inside the image": Layer(16, 16, (1, 1), (2, 2), (4, 4), (1, 1), dilation=(2, 2)),
    "no tap inside the rows": Layer(16, 16, (1, 3), (2, 2), (4, 1), (1, 0), dilation=(2, 1)),
    # dilation
    "dilation 2": Layer(32, 16, (5, 5), (3, 3), (1, 1), (1, 1), dilation=(2, 2)),
    "dilation with stride": Layer(32, 16, (5, 4), (3, 3), (2, 2), (1, 1), (1, 1), dilation=(3, 2)),
    "dilation shares a factor with stride": Layer(32, 16, (4, 4), (3, 3), (4, 2), (2, 1), (1, 1), dilation=(2, 4)),
    # groups
    "groups": Layer(64, 48, (4, 4), (3, 3), (2, 2), (1, 1), groups=2),
    "many groups": Layer(96, 64, (3, 3), (3, 3), (1, 1), (1, 1), groups=16),
    "depthwise": Layer(24, 24, (5, 5), (3, 3), (2, 2), (1, 1), groups=24),
    "groups of blocks": Layer(40, 240, (3, 3), (3, 3), groups=2),
    # shapes that are not square
    "not square": Layer(30, 64, (2, 9), (1, 7), (2, 1), (0, 3)),
    "kernel 9": Layer(10, 16, (6, 6), (9, 9), (2, 2), (4, 4), (1, 1)),
    "kernel 1": Layer(70, 65, (5, 3), (1, 1)),
    # channels
    "one channel": Layer(1, 1, (4, 4), (3, 3), (2, 2), (1, 1)),
    "few channels": Layer(3, 5, (4, 4), (3, 3)),
    "three to many": Layer(3, 64, (8, 8), (5, 5), (1, 1), (2, 2)),
    "five to many": Layer(5, 33, (4, 4), (3, 3)),
    "many to one": Layer(300, 1, (3, 3), (3, 3)),
    "more than a piece": Layer(600, 2, (2, 2), (2, 2)),
    # one dimension
    "one dimension": Layer(24, 32, (11,), (5,), (3,), (2,), (1,)),
    "one dimension, dilated": Layer(24, 20, (6,), (3,), (2,), (1,), dilation=(3,), groups=2),
    # layers whose taps share tables, float32 and int8
    "wide, many channels": Layer(29, 130, (5, 15), (5, 5), (2, 2), (2, 2), (1, 1)),
    "wide, more than a block": Layer(20, 300, (3, 15), (3, 3), (1, 1), (1, 1)),
    "wide, groups": Layer(30, 400, (2, 16), (3, 3), (1, 1), (1, 1), groups=2),
    "four columns": Layer(29, 130, (5, 4), (5, 5), (2, 2), (2, 2), (1, 1)),
    "four columns, more than a block": Layer(20, 300, (9, 4), (3, 3), (1, 1), (1, 1)),
    "four columns, a row, groups": Layer(30, 400, (1, 4), (3, 3), (1, 1), (1, 1), groups=2),
    "four columns, taps beyond them": Layer(16, 64, (4, 4), (9, 9), (1, 1), (4, 4)),
    "sound": Layer(29, 70, (100,), (7,), (1,), (3,)),
    "sound, dilated, more than a block": Layer(16, 520, (37,), (5,), (1,), (8,), dilation=(4,)),
    "sound, groups": Layer(40, 300, (64,), (6,), (1,), (0,), groups=2),
    # linear
    "linear": Layer(100, 257, ()),
    "linear, few": Layer(7, 3, ()),
    "linear, one": Layer(1, 1, ()),
}

CONVOLUTIONS = {
    "plain": Layer(33, 48, (7, 6), (3, 3), (1, 1), (1, 1)),
    "stride 2": Layer(32, 64, (9, 8), (4, 4), (2, 2), (1, 1)),
    "stride 4": Layer(16, 16, (13, 17), (5, 3), (4, 3), (2, 0)),
    "stride beyond kernel": Layer(16, 16, (9, 9), (1, 2), (3, 4)),
    "dilation": Layer(20, 16, (12, 9), (3, 3), (2, 1), (2, 3), dilation=(3, 2)),
    "padding beyond kernel": Layer(16, 16, (3, 3), (2, 2), (1, 1), (4, 5)),
    "groups": Layer(60, 36, (5, 5), (3, 3), (1, 2), (1, 1), groups=3),
    "to colours": Layer(64, 3, (9, 8), (9, 7), (1, 1), (4, 3), activation="tanh"),
    "to colours, dilated": Layer(50, 3, (9, 12), (3, 4), (1, 1), (2, 0), dilation=(2, 3)),
    "to colours, padding beyond kernel": Layer(16, 2, (3, 3), (2, 2), (1, 1), (4, 5)),
    "wide, many taps": Layer(90, 64, (9, 16), (5, 5), (1, 1), (2, 2)),
    "wide, high kernel": Layer(20, 150, (4, 16), (11, 2), (1, 1), (5, 0)),
    "one channel": Layer(1, 1, (4, 5), (2, 3)),
    "one dimension": Layer(40, 33, (19,), (7,), (2,), (3,), dilation=(2,)),
    "sound": Layer(60, 96, (131,), (11,), (1,), (15,), dilation=(3,)),
    "a column": Layer(24, 80, (50, 1), (7, 1), (1, 1), (3, 0)),
}
LAYERS |= {f"conv, {name}": replace(layer, transposed=False) for name, layer in CONVOLUTIONS.items()}


def check(layer: Layer, path: Path, batch: int) -> None:
    x = layer.input(batch)
    assert_close(Engine(layer.write(path), threads=2)(x), layer.reference(x))


@pytest.mark.parametrize("one_bit", [True, False], ids=["one-bit", "float"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer_equals_torch(name: str, one_bit: bool, arch: str, tmp_path: Path) -> None:
    check(replace(LAYERS[name], one_bit=one_bit), tmp_path / "g.safetensors", 2)


@pytest.mark.parametrize("planes", [2, 3, 4])
@pytest.mark.parametrize("name", LAYERS)
def test_planes_equal_torch(name: str, planes: int, arch: str, tmp_path: Path) -> None:
    check(replace(LAYERS[name], planes=planes), tmp_path / "g.safetensors", 2)


# 27 MB: more than a layer leaves in a third cache of 32.
LARGE = Layer(16, 48, (440, 240), (3, 3), (1, 1), (1, 1), transposed=False)


def test_an_image_larger_than_caches(arch: str, tmp_path: Path) -> None:
    check(LARGE, tmp_path / "g.safetensors", 1)


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 8, 17, 33])
@pytest.mark.parametrize("name", ["dcgan first", "dcgan middle", "dcgan last", "linear", "conv, stride 2"])
def test_any_batch(name: str, batch: int, arch: str, tmp_path: Path) -> None:
    check(LAYERS[name], tmp_path / "g.safetensors", batch)


@pytest.mark.parametrize("activation", ["none", "relu", "leaky_relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("epilogue", [(), ("scale",), ("shift",), ("scale", "shift")], ids=str)
def test_epilogue(activation: str, epilogue: tuple[str, ...], arch: str, tmp_path: Path) -> None:
    layer = Layer(24, 21, (3, 3), (3, 3), (2, 2), (1, 1), activation=activation, epilogue=epilogue)
    check(layer, tmp_path / "g.safetensors", 2)


@pytest.mark.parametrize("one_bit", [True, False], ids=["one-bit", "float"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_slope_for_each_channel(name: str, one_bit: bool, arch: str, tmp_path: Path) -> None:
    layer = replace(LAYERS[name], one_bit=one_bit, activation="none")
    check_slopes(layer, (layer.outputs, *(1 for _ in layer.size)), tmp_path / "g.safetensors")


@pytest.mark.parametrize("shape", [(1, 1, 6), (1, 6, 1), (6,), (6, 6, 1), (1, 1, 1)], ids=str)
def test_slopes_along_other_axes(shape: tuple[int, ...], arch: str, tmp_path: Path) -> None:
    """As many as there are channels, or one for all: where they lie tells whose they are."""
    layer = Layer(8, 6, (6, 6), (3, 3), (1, 1), (1, 1), transposed=False)
    check_slopes(layer, shape, tmp_path / "g.safetensors")


def check_slopes(layer: Layer, shape: tuple[int, ...], path: Path) -> None:
    x = layer.input(2)
    sums = layer.reference(x)
    slopes = np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)
    constant = node("constant", [], shape, tensor="slopes")
    bent = replace(
        layer.node(sums.shape[1:], 0, 1),
        attributes=layer.node(sums.shape[1:]).attributes | {"program": [["leaky", 0, 1]]},
    )
    write(path, x.shape[1:], [constant, bent], layer.tensors() | {"slopes": slopes})
    assert_close(Engine(path, threads=2)(x), np.where(sums < 0, sums * slopes.astype(np.float64), sums))


@pytest.mark.parametrize("one_bit", [True, False], ids=["one-bit", "float"])
def test_half_precision_tensors(one_bit: bool, arch: str, tmp_path: Path) -> None:
    layer = Layer(24, 33, (4, 4), (3, 3), (2, 2), (1, 1), one_bit=one_bit, dtype=np.float16)
    check(layer, tmp_path / "g.safetensors", 2)


@pytest.mark.parametrize("inputs", range(1, 36))
def test_every_rest_of_the_tables(inputs: int, arch: str, tmp_path: Path) -> None:
    """Tables take 5 inputs and words 6 tables: every way in which they may be incomplete."""
    check(Layer(inputs, 64, (2, 2), (2, 2)), tmp_path / "g.safetensors", 1)


@pytest.mark.parametrize("outputs", [1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 129])
@pytest.mark.parametrize("one_bit", [True, False], ids=["one-bit", "float"])
def test_every_rest_of_the_lanes(outputs: int, one_bit: bool, arch: str, tmp_path: Path) -> None:
    check(Layer(60, outputs, (3, 3), (2, 2), one_bit=one_bit), tmp_path / "g.safetensors", 1)


@pytest.mark.parametrize("outputs", [15, 16, 17, 21, 22, 31, 32, 33, 48, 49, 64, 65, 79, 81, 127, 129])
@pytest.mark.parametrize("planes", [2, 3, 4])
def test_every_rest_of_the_lanes_in_planes(outputs: int, planes: int, arch: str, tmp_path: Path) -> None:
    check(Layer(60, outputs, (3, 3), (2, 2), planes=planes), tmp_path / "g.safetensors", 1)


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_planes_stay_bits_in_memory(planes: int, arch: str, tmp_path: Path) -> None:
    """But for padding; where taps share tables, six in a byte; and where output channels are few, they are numbers."""
    (layer,) = Engine(Layer(120, 96, (4, 4), (3, 3), planes=planes).write(tmp_path / "g.safetensors")).layers
    assert layer.bits == planes
    in_a_byte = 6 if "shared" in layer.kernel else 8
    assert planes <= 8 * layer.weight_bytes / (120 * 96 * 9) <= 1.1 * planes * 8 / in_a_byte


def test_bits_are_told(tmp_path: Path) -> None:
    layer = Layer(8, 8, (4, 4), (3, 3), planes=3)
    for told, bits in (
        (layer, 3),
        (replace(layer, groups=8), 3),
        (replace(layer, outputs=70), 3),
        (replace(layer, one_bit=False), 32),
        (replace(layer, one_bit=False, dtype=np.float16), 16),
    ):
        (found,) = Engine(told.write(tmp_path / "g.safetensors")).layers
        assert found.bits == bits


@pytest.mark.parametrize("outputs", [16, 32])
@pytest.mark.parametrize("taps", [2, 3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("transposed", [True, False], ids=["transposed", "plain"])
def test_neighbouring_taps(
    outputs: int, taps: int, stride: int, dilation: int, transposed: bool, arch: str, tmp_path: Path
) -> None:
    """Rows of few and of many taps: they share what they load where they are neighbours."""
    for columns in (14, 16, 17):  # in tiles of 8 and fewer
        layer = Layer(37, outputs, (3, columns), (2, taps), (1, stride), (1, taps // 2), dilation=(1, dilation))
        check(replace(layer, transposed=transposed), tmp_path / "g.safetensors", 1)


def random_layers() -> st.SearchStrategy[tuple[Layer, int]]:
    small = st.integers(1, 4)

    @st.composite
    def layer(draw: st.DrawFn) -> tuple[Layer, int]:
        dimensions = draw(st.sampled_from([1, 2, 2, 2]))
        each = range(dimensions)
        transposed = draw(st.booleans())
        groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
        stride = tuple(draw(small) for _ in each)
        dilation = tuple(draw(st.integers(1, 3)) for _ in each)
        kernel = tuple(draw(st.integers(1, 5)) for _ in each)
        reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        size = tuple(draw(st.integers(r + 1 if not transposed else 1, r + 7)) for r in reach)
        padding = tuple(draw(st.integers(0, r)) for r in reach)
        # torch wants an image that is not empty, and less output padding than stride or dilation.
        output_padding = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
        if transposed:
            padding = tuple(
                min(p, ((n - 1) * s + r) // 2) for p, n, s, r in zip(padding, size, stride, reach, strict=True)
            )
        result = Layer(
            groups * draw(st.integers(1, 40)),
            groups * draw(st.integers(1, 70)),
            size,
            kernel,
            stride,
            padding,
            output_padding if transposed else (),
            dilation,
            groups,
            transposed,
            draw(st.booleans()),
            draw(st.integers(1, 4)),
            seed=draw(st.integers(0, 1000)),
        )
        return result, draw(st.integers(1, 4))

    return layer()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(random_layers())
def test_random_layer(tmp_path_factory: pytest.TempPathFactory, case: tuple[Layer, int]) -> None:
    layer, batch = case
    check(layer, tmp_path_factory.getbasetemp() / "random.safetensors", batch)
