"""The core alone, under sanitizers: hostile files touch no foreign memory and take little of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_files import good_file, hostile_files
from packed_files import Layer, node, write

ROOT = Path(__file__).parents[2]

# A file of a few kilobytes must never lead to an allocation of 24 MB; the sanitizer aborts where one does.
ASAN_OPTIONS = "max_allocation_size_mb=24:allocator_may_return_null=0:quarantine_size_mb=16:hard_rss_limit_mb=256"

# That of the dev extra where the system has none.
CMAKE = shutil.which("cmake") or shutil.which("cmake", path=Path(sys.executable).parent)

pytestmark = pytest.mark.skipif(not CMAKE or not shutil.which("c++"), reason="needs cmake and c++")


def build(sanitizers: str) -> Path:
    folder = ROOT / "build" / f"sanitize-{sanitizers.replace(',', '-')}"
    configure = [str(CMAKE), "-S", ROOT, "-B", folder, "-DPBGEN_TESTS=ON", f"-DPBGEN_SANITIZE={sanitizers}"]
    # -O1: the build takes longer than the tests.
    for command in (
        [*configure, "-DCMAKE_BUILD_TYPE=", "-DCMAKE_CXX_FLAGS=-O1 -g"],
        [str(CMAKE), "--build", folder, "-j2"],
    ):
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
    return folder / "core" / "tests"


@pytest.fixture(scope="module")
def address() -> Path:
    return build("address,undefined")


def run(program: Path, *arguments: str | Path, status: int = 0) -> str:
    environment = os.environ | {"ASAN_OPTIONS": ASAN_OPTIONS}
    result = subprocess.run([program, *arguments], capture_output=True, text=True, env=environment)
    assert result.returncode == status, result.stdout[-2000:] + result.stderr[-4000:]
    assert not result.stderr or status, result.stderr[-4000:]
    return result.stdout


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.safetensors"
    path.write_bytes(good_file())
    return path


def test_hostile_files(address: Path, tmp_path: Path) -> None:
    paths = []
    for i, (_, content, _) in enumerate(hostile_files()):
        paths.append(tmp_path / f"{i}.safetensors")
        paths[-1].write_bytes(content)
    lines = run(address / "pbgen_trial", "open", *paths).splitlines()
    assert [line.startswith(str(path)) for path, line in zip(paths, lines, strict=True)] == [True] * len(paths)


def test_truncation_at_every_byte(address: Path, good: Path) -> None:
    length = len(good.read_bytes())
    assert run(address / "pbgen_trial", "truncate", good, f"{good}.cut") == f"0 of {length} opened\n"


def test_every_flipped_bit(address: Path, good: Path) -> None:
    bits = 8 * len(good.read_bytes())
    opened = int(run(address / "pbgen_trial", "flip", good, f"{good}.flip").split()[0])
    assert 315 <= opened < bits / 2


def test_small_files_that_ask_for_much(address: Path, tmp_path: Path) -> None:
    """Files that keep every rule, but whose parts would be large were they written out."""
    attributes = {"weight": "w", "stride": [2**20], "padding": [0], "dilation": [1], "groups": 1}
    length = 2**17
    kernel = [node("conv_transpose", [i], (1, 1), kernel=[length], **attributes) for i in range(200)]
    tall = [node("conv_transpose", [i], (1, 1, 1), kernel=[length, 1], **PLAIN) for i in range(200)]
    weight = {"w": np.zeros(length // 8, np.uint8)}
    wide = [node("affine", [0], (2**28,), activation="relu")]
    files = {"kernel": ((1, 1), kernel, weight), "tall": ((1, 1, 1), tall, weight), "wide": ((2**28,), wide, {})}
    for name, (shape, nodes, tensors) in files.items():
        path = write(tmp_path / f"{name}.safetensors", shape, nodes, tensors)
        assert run(address / "pbgen_trial", "load", path) == "opened\n"


PLAIN: dict[str, Any] = {"weight": "w", "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}


def test_kernels_stay_inside_their_arrays(address: Path, arch: str, tmp_path: Path) -> None:
    layers = [
        Layer(inputs, outputs, (3, 2), (3, 3), (2, 2), (1, 1), (1, 1), one_bit=one_bit, activation="sigmoid")
        for inputs in (1, 16, 31, 64)
        for outputs in (1, 3, 17, 65)
        for one_bit in (True, False)
    ]
    paths = [layer.write(tmp_path / f"{i}.safetensors") for i, layer in enumerate(layers)]
    assert set(run(address / "pbgen_trial", "open", *paths).split()) == {"opened"}


def test_threads_do_not_race(good: Path, tmp_path: Path) -> None:
    trial = build("thread") / "pbgen_trial"
    layer = Layer(48, 64, (6, 6), (5, 5), (2, 2), (2, 2), (1, 1))
    assert run(trial, "threads", layer.write(tmp_path / "g.safetensors")) == ""


def test_the_header_is_c(address: Path, good: Path, tmp_path: Path) -> None:
    assert float(run(address / "pbgen_example", good)) != 0
    run(address / "pbgen_example", tmp_path / "none.safetensors", status=2)
