"""The core built for 64-bit ARM and run in QEMU: every instruction set there, against this machine's engine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from emulators import ARM, LAYERS
from generators import dcgan, every_operator
from packed_files import Layer, assert_close

from pbgen import Engine

pytestmark = ARM.needed


@pytest.mark.parametrize("arch", ARM.archs)
@pytest.mark.parametrize("planes", [0, 1, 3], ids=["float", "one", "three"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_equal_torch(name: str, planes: int, arch: str, tmp_path: Path) -> None:
    layer = replace(LAYERS[name], one_bit=planes > 0, planes=planes or 1, activation="tanh")
    x = layer.input(3)
    result, _ = ARM.images(arch, layer.write(tmp_path / "g.safetensors"), "float32", x)
    reference = layer.reference(x)
    assert_close(result.reshape(reference.shape), reference)


@pytest.mark.parametrize("signs", ["signed", "unsigned", "mixed"])
@pytest.mark.parametrize(
    ("name", "planes"),
    [(name, planes) for name in LAYERS for planes in (1, 3) if name != "one"]
    + [(name, 0) for name, layer in LAYERS.items() if layer.inputs >= 16],
)
def test_integers_equal_this_machine_to_the_bit(name: str, signs: str, planes: int, tmp_path: Path) -> None:
    layer = replace(LAYERS[name], epilogue=(), one_bit=planes > 0, planes=planes or 1)
    file, x = layer.write(tmp_path / "g.safetensors", behind=True), layer.input(3)
    x = {"signed": x, "unsigned": np.abs(x), "mixed": np.concatenate([np.abs(x[:2]), x[2:]])}[signs]
    expected = Engine(file, activations="int8")(x)
    for arch in ARM.archs:
        result, kernels = ARM.images(arch, file, "int8", x)
        assert "int8" in kernels
        np.testing.assert_array_equal(result, expected.ravel())


@pytest.mark.parametrize("generator", [every_operator, dcgan])
def test_generators(generator: object, tmp_path: Path) -> None:
    assert callable(generator)
    file = generator(tmp_path / "g.safetensors")
    engine = Engine(file)
    x = np.random.default_rng(0).standard_normal((3, *engine.input_shape)).astype(np.float32)
    expected = engine(x)
    for arch in ARM.archs:
        assert_close(ARM.images(arch, file, "float32", x)[0].reshape(expected.shape), expected)
    integers = [ARM.images(arch, file, "int8", x)[0] for arch in ARM.archs]
    for result in integers[1:]:
        np.testing.assert_array_equal(result, integers[0])


def test_a_processor_without_dot_products(tmp_path: Path) -> None:
    file = Layer(30, 20, (), one_bit=False).write(tmp_path / "g.safetensors", behind=True)
    x = np.zeros((1, 30))
    forced = ARM.open("neon-dotprod", file, "int8", x, cpu="cortex-a53")
    assert (forced.code, forced.said) == (2, "PBGEN_ARCH: this processor cannot run `neon-dotprod`\n")
    for cpu, best in [("cortex-a53", "broadcast (neon)"), ("max", "dot products (neon-dotprod)")]:
        chosen = ARM.open("", file, "int8", x, cpu=cpu)
        assert (chosen.code, chosen.said) == (0, f"float weights as int8, {best}\n")
