"""The Python side of the engine: what it accepts, what it refuses, what it tells."""

import copy
import multiprocessing
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import pbgen
from pbgen import Engine, PBGenError


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(0)
    generator = nn.Sequential(
        nn.ConvTranspose2d(12, 40, 3),
        nn.BatchNorm2d(40),
        nn.ReLU(),
        nn.ConvTranspose2d(40, 3, 4, 2, 1),
        nn.Tanh(),
    )
    return pbgen.binarize(generator, ["0"]).eval()


@pytest.fixture(scope="module")
def path(module: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "g.safetensors"
    pbgen.pack(module, torch.randn(2, 12, 1, 1), path)
    return path


@pytest.fixture(scope="module")
def engine(path: Path) -> Engine:
    return Engine(path, threads=2)


def latent(batch: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((batch, 12, 1, 1)).astype(np.float32)


def test_images_are_torch_s(module: nn.Module, engine: Engine) -> None:
    z = latent(5)
    with torch.inference_mode():
        expected = module(torch.from_numpy(z)).numpy()
    images = engine(z)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, expected, rtol=0, atol=1e-5)


def test_shapes_leave_out_the_batch(engine: Engine) -> None:
    assert engine.input_shape == (12, 1, 1)
    assert engine.output_shape == (3, 6, 6)


def test_no_images(engine: Engine) -> None:
    images = engine(np.zeros((0, 12, 1, 1), np.float32))
    assert images.shape == (0, 3, 6, 6)
    assert images.dtype == np.float32


CONVERSIONS: dict[str, Callable[[np.ndarray], Any]] = {
    "float64": lambda z: z.astype(np.float64),
    "float16": lambda z: z.astype(np.float16).astype(np.float32),
    "a list": lambda z: z.tolist(),
    "big-endian": lambda z: z.astype(">f4"),
    "Fortran order": np.asfortranarray,
    "every second": lambda z: np.repeat(z, 2, axis=1)[:, ::2],
    "backwards": lambda z: z[::-1].copy()[::-1],
    "read-only": lambda z: np.frombuffer(z.tobytes(), np.float32).reshape(z.shape),
    "a tensor": torch.from_numpy,
    "a parameter": lambda z: nn.Parameter(torch.from_numpy(z)),
    "a result of autograd": lambda z: nn.Parameter(torch.from_numpy(z)) * 1,
    "bfloat16": lambda z: torch.from_numpy(z).bfloat16(),
    "half": lambda z: torch.from_numpy(z).half(),
    "double": lambda z: torch.from_numpy(z).double(),
    "a negated view": lambda z: torch.complex(torch.zeros(z.shape), torch.from_numpy(-z)).conj().imag,
    "a list of tensors": lambda z: list(torch.from_numpy(z)),
    "a tuple of parameters": lambda z: tuple(nn.Parameter(torch.from_numpy(one)) for one in z),
    "a list of arrays": list,
}


@pytest.mark.parametrize("name", CONVERSIONS)
def test_numbers_of_any_kind(name: str, engine: Engine) -> None:
    z = torch.from_numpy(latent(3)).bfloat16().float().numpy()
    np.testing.assert_array_equal(engine(CONVERSIONS[name](z)), engine(z))


def test_integers(engine: Engine) -> None:
    z = np.random.default_rng(0).integers(-2, 3, (2, 12, 1, 1))
    np.testing.assert_array_equal(engine(z), engine(z.astype(np.float32)))


@pytest.mark.parametrize("shape", [(), (12,), (12, 1, 1), (2, 12), (2, 11, 1, 1), (2, 12, 1, 1, 1)], ids=str)
def test_wrong_shapes(shape: tuple[int, ...], engine: Engine) -> None:
    with pytest.raises(PBGenError, match=r"^input: has the shape \(.*\); it must be \(N, 12, 1, 1\)$"):
        engine(np.zeros(shape, np.float32))


@pytest.mark.parametrize("z", ["latent", [["a"]], None, np.zeros((1, 12, 1, 1), complex)], ids=str)
def test_no_numbers(z: Any, engine: Engine) -> None:
    with pytest.raises(PBGenError, match="not real numbers; convert it to float32"):
        engine(z)


def test_a_ragged_list(engine: Engine) -> None:
    with pytest.raises(PBGenError, match=r"not an array; it must have the shape \(N, 12, 1, 1\)"):
        engine([[1.0], [1.0, 2.0]])


class Stubborn:
    """An array, so it says, that cannot be read."""

    def __array__(self, *arguments: object, **options: object) -> np.ndarray:
        raise TypeError("not here,\nnot now")


UNREADABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "sparse": (lambda: torch.zeros(1, 12, 1, 1).to_sparse(), r"is a tensor of torch.sparse_coo; give its to_dense\(\)"),
    "elsewhere": (lambda: torch.zeros(1, 12, 1, 1, device="meta"), r"is a tensor of meta; give its cpu\(\)"),
    "a list of those": (lambda: [torch.zeros(12, 1, 1, device="meta")], r"is a tensor of meta; give its cpu\(\)"),
    "complex": (lambda: torch.zeros(1, 12, 1, 1).to(torch.complex64).conj(), "holds complex64, not real numbers"),
    "quantized": (
        lambda: torch.quantize_per_tensor(torch.zeros(1, 12, 1, 1), 1, 0, torch.qint8),
        "Tensor cannot be read as an array: .*",
    ),
    "stubborn": (Stubborn, "Stubborn cannot be read as an array: not here, not now"),
    "tensors of several shapes": (lambda: [torch.zeros(12, 1, 1), torch.zeros(3)], r"not an array; it must have .*"),
}


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read(name: str, engine: Engine) -> None:
    make, message = UNREADABLE[name]
    with pytest.raises(PBGenError, match=f"^input: {message}") as error:
        engine(make())
    assert "\n" not in str(error.value)


def test_more_than_there_is_memory_for(engine: Engine) -> None:
    many = np.broadcast_to(np.float32(0), (2**40, 12, 1, 1))
    with pytest.raises(PBGenError, match=rf"^input: no memory for {2**40} .*; give fewer at once$"):
        engine(many)


def test_a_pickle_names_the_file(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "g.safetensors"
    file.write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    engine = Engine("g.safetensors", threads=1, activations="int8")
    monkeypatch.chdir("/")
    content = pickle.dumps(engine)
    assert len(content) < 1000
    again = pickle.loads(content)
    np.testing.assert_array_equal(again(latent(2)), engine(latent(2)))
    assert again.kernels == engine.kernels
    file.unlink()
    with pytest.raises(PBGenError, match=f"^{file}: does not exist$"):
        pickle.loads(content)


def test_a_copy_is_the_engine(engine: Engine) -> None:
    assert copy.copy(engine) is engine and copy.deepcopy([engine])[0] is engine


def test_a_spawned_process_opens_it_again(engine: Engine) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(engine, (latent(2),)), engine(latent(2)))


def test_kernels_and_memory_are_told(engine: Engine, path: Path) -> None:
    assert list(engine.kernels) == ["0", "3"]
    assert "float32 weights" in engine.kernels["3"]
    # Of the 3 x 4 pairs of an input row and a row of taps, one at each end falls outside.
    assert list(engine.operations(engine.input_shape).values()) == [9 * 12 * 40, 10 * 10 * 40 * 3]
    assert engine.layers[0].weight_bytes < 8 * 12 * 40 * 9 / 8
    engine(latent(1))
    assert path.stat().st_size / 4 < engine.resident_bytes < 1e6


def test_layers_are_timed(engine: Engine) -> None:
    images, seconds = engine.time_layers(latent(3))
    np.testing.assert_array_equal(images, engine(latent(3)))
    assert list(seconds) == ["0", "3"]
    assert all(0 < value < 10 for value in seconds.values())


@pytest.mark.parametrize("threads", [0, -1, 10**6, 2.0, "2", (2,)])
def test_wrong_threads(threads: Any, path: Path) -> None:
    with pytest.raises(PBGenError, match=f"^threads={re.escape(repr(threads))}: must be 1 to 1024, or None"):
        Engine(path, threads=threads)


def test_int8_makes_nearly_the_same_images(engine: Engine, path: Path) -> None:
    int8 = Engine(path, activations="int8")
    assert any("int8" in kernel for kernel in int8.kernels.values())
    difference = np.abs(int8(latent(5)) - engine(latent(5)))
    assert 0 < difference.max() < 0.05


def test_wrong_activations(path: Path) -> None:
    with pytest.raises(PBGenError, match=r"^activations='int4': must be 'float32' or 'int8'$"):
        Engine(path, activations="int4")


def test_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(PBGenError, match=r"none.safetensors: does not exist$"):
        Engine(tmp_path / "none.safetensors")


@pytest.mark.parametrize("path", [None, 3, "\ud800"])
def test_no_path(path: Any) -> None:
    with pytest.raises(PBGenError, match="no name that a file can have"):
        Engine(path)


def test_path_with_a_zero_byte() -> None:
    with pytest.raises(PBGenError, match="zero byte"):
        Engine("a\0b")


def test_unknown_instruction_set(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBGEN_ARCH", "mmx")
    with pytest.raises(PBGenError, match=r"^PBGEN_ARCH: no instruction set `mmx`; this build has .*portable$"):
        Engine(path)


def test_forced_instruction_set_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBGEN_ARCH", "portable")
    assert all("portable" in kernel for kernel in Engine(path).kernels.values())


def test_without_the_native_module() -> None:
    code = """
import sys
sys.modules["pbgen._core"] = None
import pbgen
try:
    pbgen.Engine
except pbgen.PBGenError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("pbgen._core: the native engine cannot be loaded")
    assert result.stdout.count("\n") == 1
