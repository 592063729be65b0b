"""The core on a processor whose numbers begin with their highest byte, in QEMU, against this machine's engine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builds import core, run
from emulators import IBM_Z, LAYERS
from generators import dcgan, every_operator
from packed_files import assert_close
from PIL import Image

from pbgen import Engine

pytestmark = IBM_Z.needed


@pytest.mark.parametrize(
    ("planes", "dtype"),
    [(0, np.float32), (0, np.float16), (1, np.float32), (3, np.float32)],
    ids=["float", "half", "one", "three"],
)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_equal_torch(name: str, planes: int, dtype: type, tmp_path: Path) -> None:
    layer = replace(LAYERS[name], one_bit=planes > 0, planes=planes or 1, activation="tanh", dtype=dtype)
    x = layer.input(3)
    result, _ = IBM_Z.images("portable", layer.write(tmp_path / "g.safetensors"), "float32", x)
    reference = layer.reference(x)
    assert_close(result.reshape(reference.shape), reference)


@pytest.mark.parametrize("planes", [0, 1, 3], ids=["float", "one", "three"])
@pytest.mark.parametrize("name", [name for name, layer in LAYERS.items() if layer.inputs >= 16])
def test_integers_equal_this_machine_to_the_bit(name: str, planes: int, tmp_path: Path) -> None:
    layer = replace(LAYERS[name], epilogue=(), one_bit=planes > 0, planes=planes or 1)
    file, x = layer.write(tmp_path / "g.safetensors", behind=True), layer.input(3)
    result, kernels = IBM_Z.images("portable", file, "int8", x)
    assert "int8" in kernels
    np.testing.assert_array_equal(result, Engine(file, activations="int8")(x).ravel())


@pytest.mark.parametrize("activations", ["float32", "int8"])
@pytest.mark.parametrize("generator", [every_operator, dcgan])
def test_the_program_draws_the_same_picture(
    generator: Callable[[Path], Path], activations: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PBGEN_ARCH", "portable")
    file, ours, theirs = generator(tmp_path / "g.safetensors"), tmp_path / "ours.png", tmp_path / "theirs.png"
    options = [file, "-n", "9", "--seed", "3", "--activations", activations, "-o"]
    run(core() / "run" / "pbgen-run", *options, ours)
    assert IBM_Z.run(IBM_Z.core() / "run" / "pbgen-run", *options, theirs).code == 0
    pictures = [np.asarray(Image.open(path)).astype(int) for path in (ours, theirs)]
    assert pictures[0].shape == pictures[1].shape and pictures[0].std() > 10
    difference = np.abs(pictures[0] - pictures[1])
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
