"""The core built for 64-bit ARM and run in QEMU: every instruction set there, against this machine's engine."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builds import CORE, build, needs_cmake, run
from generators import dcgan, every_operator
from packed_files import Layer, assert_close

from pbgen import Engine

COMPILER = "aarch64-linux-gnu-g++"
QEMU = "qemu-aarch64"

pytestmark = [needs_cmake] + [
    pytest.mark.skipif(not shutil.which(program), reason=f"needs {program}") for program in (COMPILER, QEMU)
]

ARCHS = ["portable", "neon", "neon-dotprod"]

# Reads a batch from standard input and writes the images to standard output.
PROGRAM = r"""
#include <pbgen.h>
#include <cstdio>
#include <cstdlib>
#include <vector>

size_t size_of(pbgen_shape shape) {
    size_t size = 1;
    for (size_t i = 0; i < shape.rank; ++i) size *= shape.dims[i];
    return size;
}

int main(int, char** arguments) {
    const size_t batch = std::strtoul(arguments[3], nullptr, 10);
    pbgen_engine* engine = pbgen_open(arguments[1], 2, arguments[2][0] == 'i' ? PBGEN_INT8 : PBGEN_FLOAT32);
    if (!engine) return std::fprintf(stderr, "%s\n", pbgen_error()), 2;
    std::vector<float> in(batch * size_of(pbgen_input_shape(engine))), out(batch * size_of(pbgen_output_shape(engine)));
    if (std::fread(in.data(), sizeof(float), in.size(), stdin) != in.size()) return 3;
    if (pbgen_run(engine, in.data(), batch, out.data())) return 4;
    std::fwrite(out.data(), sizeof(float), out.size(), stdout);
    for (size_t i = 0; i < pbgen_layer_count(engine); ++i)
        std::fprintf(stderr, "%s\n", pbgen_layer_info(engine, i).kernel);
    pbgen_close(engine);
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={CORE / 'cmake' / 'aarch64-linux-gnu.cmake'}"
    # -O1: the build takes longer than the tests.
    folder = build("aarch64", toolchain, "-DPBGEN_RUN=OFF", "-DCMAKE_BUILD_TYPE=", "-DCMAKE_CXX_FLAGS=-O1")
    source, program = tmp_path_factory.mktemp("aarch64") / "images.cpp", folder / "images"
    source.write_text(PROGRAM)
    run(COMPILER, "-static", "-I", CORE / "include", source, folder / "libpbgen.a", "-o", program)
    return program


def start(program: Path, arch: str, *arguments: object, cpu: str = "max", data: bytes = b"") -> tuple[int, bytes, str]:
    command = [QEMU, "-cpu", cpu, str(program), *map(str, arguments)]
    result = subprocess.run(command, input=data, capture_output=True, env=os.environ | {"PBGEN_ARCH": arch}, timeout=60)
    return result.returncode, result.stdout, result.stderr.decode()


def images(program: Path, arch: str, file: Path, activations: str, x: np.ndarray) -> tuple[np.ndarray, str]:
    """The images, and the kernels that made them."""
    code, output, said = start(program, arch, file, activations, len(x), data=np.float32(x).tobytes())
    assert code == 0, said
    assert said.count(f"({arch})") == said.count("\n")
    return np.frombuffer(output, np.float32), said


LAYERS = {
    "transposed": Layer(70, 80, (4, 4), (5, 5), (2, 2), (2, 2), (1, 1)),
    "blocks": Layer(33, 300, (3, 3), (2, 2)),
    "few outputs": Layer(45, 7, (6, 5), (3, 3), (1, 1), (1, 1), transposed=False),
    "few inputs": Layer(3, 40, (7, 7), (3, 3), (2, 2), (1, 1), transposed=False),
    "groups": Layer(48, 32, (4, 4), (3, 3), (2, 2), (1, 1), groups=2),
    "linear": Layer(600, 70, ()),
    "one": Layer(1, 1, ()),
}


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("one_bit", [True, False], ids=["one-bit", "float"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_equal_torch(name: str, one_bit: bool, arch: str, program: Path, tmp_path: Path) -> None:
    layer = replace(LAYERS[name], one_bit=one_bit, activation="tanh")
    x = layer.input(3)
    result, _ = images(program, arch, layer.write(tmp_path / "g.safetensors"), "float32", x)
    reference = layer.reference(x)
    assert_close(result.reshape(reference.shape), reference)


@pytest.mark.parametrize("signs", ["signed", "unsigned", "mixed"])
@pytest.mark.parametrize(
    ("name", "one_bit"),
    [(name, True) for name in LAYERS if name != "one"]
    + [(name, False) for name, layer in LAYERS.items() if layer.inputs >= 16],
)
def test_integers_equal_this_machine_to_the_bit(
    name: str, signs: str, one_bit: bool, program: Path, tmp_path: Path
) -> None:
    layer = replace(LAYERS[name], epilogue=(), one_bit=one_bit)
    file, x = layer.write(tmp_path / "g.safetensors", behind=True), layer.input(3)
    x = {"signed": x, "unsigned": np.abs(x), "mixed": np.concatenate([np.abs(x[:2]), x[2:]])}[signs]
    expected = Engine(file, activations="int8")(x)
    for arch in ARCHS:
        result, kernels = images(program, arch, file, "int8", x)
        assert "int8" in kernels
        np.testing.assert_array_equal(result, expected.ravel())


@pytest.mark.parametrize("generator", [every_operator, dcgan])
def test_generators(generator: object, program: Path, tmp_path: Path) -> None:
    assert callable(generator)
    file = generator(tmp_path / "g.safetensors")
    engine = Engine(file)
    x = np.random.default_rng(0).standard_normal((3, *engine.input_shape)).astype(np.float32)
    expected = engine(x)
    for arch in ARCHS:
        assert_close(images(program, arch, file, "float32", x)[0].reshape(expected.shape), expected)
    integers = [images(program, arch, file, "int8", x)[0] for arch in ARCHS]
    for result in integers[1:]:
        np.testing.assert_array_equal(result, integers[0])


def test_a_processor_without_dot_products(program: Path, tmp_path: Path) -> None:
    file = Layer(30, 20, (), one_bit=False).write(tmp_path / "g.safetensors", behind=True)
    code, _, said = start(program, "neon-dotprod", file, "int8", 1, cpu="cortex-a53")
    assert (code, said) == (2, "PBGEN_ARCH: this processor cannot run `neon-dotprod`\n")
    for cpu, best in [("cortex-a53", "broadcast (neon)"), ("max", "dot products (neon-dotprod)")]:
        code, _, said = start(program, "", file, "int8", 1, cpu=cpu, data=bytes(120))
        assert (code, said) == (0, f"float weights as int8, {best}\n")
