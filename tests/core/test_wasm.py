"""The core as WebAssembly, in Node: its images are those of this machine's engine, and its errors have words.

The layers' tests run there, too: test_layers.py and test_int8.py take the modules as instruction sets.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import wasm
from generators import dcgan, every_operator
from hostile_files import good_file, node, some
from hostile_graphs import hostile_files, hostile_sizes, strange_files
from packed_files import assert_close

from pbgen import Engine, PBGenError


@pytest.fixture(params=wasm.MODULES)
def module(request: pytest.FixtureRequest) -> partial[wasm.Engine]:
    """Opens a file in each of the modules in turn."""
    if reason := wasm.missing(request.param):
        pytest.skip(reason)
    return partial(wasm.Engine, module=request.param)


@pytest.mark.parametrize("generator", [every_operator, dcgan])
def test_images(generator: object, module: partial[wasm.Engine], tmp_path: Path) -> None:
    assert callable(generator)
    file = generator(tmp_path / "g.safetensors")
    engine = Engine(file)
    x = np.random.default_rng(0).standard_normal((3, *engine.input_shape)).astype(np.float32)
    assert_close(module(file)(x), engine(x))
    integers = module(file, activations="int8")
    assert any("int8" in kernel for kernel in integers.kernels.values())
    np.testing.assert_allclose(integers(x), Engine(file, activations="int8")(x), atol=0.02)


def test_hostile_files(module: partial[wasm.Engine], tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    for name, content, expected in hostile_files():
        path.write_bytes(content)
        with pytest.raises(PBGenError) as error:
            module(path)
        assert str(error.value).startswith(f"{path}: ") and expected in str(error.value), name
        assert str(error.value).isprintable(), name


def test_sizes_that_make_no_sense(module: partial[wasm.Engine], tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    for name, content, shapes, expected in hostile_sizes():
        path.write_bytes(content)
        engine = module(path)
        for _ in range(2):
            with pytest.raises(PBGenError) as error:
                engine.output_shape_for(*shapes)
            assert expected in str(error.value), name


def test_strange_files_open(module: partial[wasm.Engine], tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    for _, content in strange_files():
        path.write_bytes(content)
        module(path)


def test_truncation_at_every_byte(module: partial[wasm.Engine], tmp_path: Path) -> None:
    content, path = good_file(), tmp_path / "g.safetensors"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(PBGenError):
            module(path)


def test_a_run_that_fails_loses_little(module: partial[wasm.Engine], tmp_path: Path) -> None:
    """Not the four megabytes in which it worked."""
    path = tmp_path / "g.safetensors"
    nodes = [node("reshape", [0], [3]), node("take", [2, 1], [1, 2], axis=0)]
    nodes += [node("pad", [3], [1, 2**20], before=[0, 0], mode="constant", value=0)]
    nodes += [node("slice", [4], [1, 1], axis=1, start=0, step=1)]
    path.write_bytes(some(nodes, [1, 3], [1, 2]))
    engine, values, memory = module(path), np.float32([[5, 6, 7]]), []
    for _ in range(2):
        for _ in range(20):
            with pytest.raises(PBGenError, match="is given an index that is not in"):
                engine(values, np.float32([[0, 3]]))
        memory.append(wasm.process(engine.module).ask("memory")[0]["bytes"])
    assert memory[1] - memory[0] < 2**20
    np.testing.assert_array_equal(engine(values, np.float32([[2, 0]])), [[7]])


def test_no_memory_is_an_error(module: partial[wasm.Engine], tmp_path: Path) -> None:
    node = wasm.process(module.keywords["module"])
    content = dcgan(tmp_path / "g.safetensors").read_bytes()
    with pytest.raises(PBGenError, match=r"^out of memory$"):
        node.ask("open", content, activations=0, full=True)
    node.ask("renew")
    node.ask("open", content, activations=0)
