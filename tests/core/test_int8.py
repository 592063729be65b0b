"""int8 activations: the integers are those that the definition gives, and sums of them are exact."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_files import Layer, assert_close
from test_layers import LAYERS, random_layers

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


def check(layer: Layer, path: Path, x: np.ndarray) -> str:
    engine = Engine(layer.write(path), threads=2, activations="int8")
    (kernel,) = engine.kernels.values()
    assert_close(engine(x), layer.reference(quantized(x) if "int8" in kernel else x))
    return kernel


@pytest.mark.parametrize("signs", SIGNS)
@pytest.mark.parametrize("name", LAYERS)
def test_layer_of_rounded_inputs(name: str, signs: str, arch: str, tmp_path: Path) -> None:
    layer = LAYERS[name]
    kernel = check(layer, tmp_path / "g.safetensors", SIGNS[signs](layer.input(2)))
    if layer.groups == 1 and layer.inputs >= 16 and layer.outputs >= 16:
        assert "int8" in kernel


@pytest.mark.parametrize("inputs", range(1, 36))
def test_every_rest_of_the_tables(inputs: int, arch: str, tmp_path: Path) -> None:
    layer = Layer(inputs, 64, (2, 2), (2, 2))
    check(layer, tmp_path / "g.safetensors", layer.input(1))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(random_layers(), st.sampled_from(sorted(SIGNS)))
def test_random_layer(tmp_path_factory: pytest.TempPathFactory, case: tuple[Layer, int], signs: str) -> None:
    layer, batch = case
    check(layer, tmp_path_factory.getbasetemp() / "random.safetensors", SIGNS[signs](layer.input(batch)))


def test_largest_sums(arch: str, tmp_path: Path) -> None:
    """All weights +1 and all inputs at the highest level: the sums that overflow first, if any do."""
    layer = replace(Layer(4096, 32, (5, 5), (5, 5)), epilogue=())
    layer = type("Ones", (Layer,), {"weights": lambda self: np.ones((32, 4096, 5, 5))})(**vars(layer))
    check(layer, tmp_path / "g.safetensors", np.full((1, 4096, 5, 5), 3, np.float32))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("total", range(32766, 32770))
def test_sums_at_the_edge_of_16_bits(total: int, sign: int, arch: str, tmp_path: Path) -> None:
    """One pixel whose integers add up to as much as 16 bits hold, or a little more, among others that are small."""
    layer = replace(Layer(300, 64, (5, 5), (3, 3)), epilogue=())
    layer = type("Equal", (Layer,), {"weights": lambda self: np.full((64, 300, 3, 3), sign)})(**vars(layer))
    x = np.zeros((1, 300, 5, 5), np.float32)
    x[:, ::7] = 1
    x[:, :, 2, 2] = 0
    x[:, : total // 255, 2, 2] = 255
    x[:, total // 255, 2, 2] = total % 255
    check(layer, tmp_path / "g.safetensors", x)


@pytest.mark.parametrize("name", ["dcgan middle", "linear", "groups", "conv, stride 2", "kernel 9", "stride mixed"])
def test_instruction_sets_agree_to_the_bit(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = replace(LAYERS[name], epilogue=())
    path, x = layer.write(tmp_path / "g.safetensors"), layer.input(3)
    best = Engine(path, activations="int8")
    monkeypatch.setenv("PBGEN_ARCH", "portable")
    portable = Engine(path, activations="int8")
    assert "int8" in str(best.kernels)
    assert "int8" in str(portable.kernels)
    np.testing.assert_array_equal(best(x), portable(x))


def test_no_run_changes_the_next(tmp_path: Path) -> None:
    """An image's scale is its own: neither its neighbours nor earlier calls matter."""
    layer = LAYERS["dcgan middle"]
    engine = Engine(layer.write(tmp_path / "g.safetensors"), activations="int8")
    x = layer.input(3) * np.float32([1, 100, 0.01]).reshape(3, 1, 1, 1)
    np.testing.assert_array_equal(engine(x), np.concatenate([engine(image[None]) for image in x]))
