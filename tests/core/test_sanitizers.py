"""The core alone, under sanitizers: hostile files touch no foreign memory and take little of their own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builds import needs_cmake, run, sanitized
from generators import every_operator
from hostile_files import good_file, hostile_files
from packed_files import Layer, node, write

# A file of a few kilobytes must never lead to an allocation of 24 MB; the sanitizer aborts where one does.
ASAN_OPTIONS = "max_allocation_size_mb=24:allocator_may_return_null=0:quarantine_size_mb=16:hard_rss_limit_mb=256"

pytestmark = needs_cmake


@pytest.fixture(scope="module")
def address() -> Path:
    return sanitized("address,undefined")


def trial(programs: Path, *arguments: str | Path) -> str:
    return run(programs / "pbgen_trial", *arguments, ASAN_OPTIONS=ASAN_OPTIONS)


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
    lines = trial(address, "open", *paths).splitlines()
    assert [line.startswith(str(path)) for path, line in zip(paths, lines, strict=True)] == [True] * len(paths)


def test_truncation_at_every_byte(address: Path, good: Path) -> None:
    assert trial(address, "truncate", good) == f"0 of {len(good.read_bytes())} opened\n"


def test_every_flipped_bit(address: Path, good: Path) -> None:
    bits = 8 * len(good.read_bytes())
    opened = int(trial(address, "flip", good).split()[0])
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
        assert trial(address, "load", path) == "opened\n"


PLAIN: dict[str, Any] = {"weight": "w", "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}


def test_kernels_stay_inside_their_arrays(address: Path, arch: str, tmp_path: Path) -> None:
    layers = [
        Layer(inputs, outputs, (3, 2), (3, 3), (2, 2), (1, 1), (1, 1), one_bit=one_bit, activation="sigmoid")
        for inputs in (1, 16, 31, 64)
        for outputs in (1, 3, 17, 65)
        for one_bit in (True, False)
    ]
    paths = [layer.write(tmp_path / f"{i}.safetensors") for i, layer in enumerate(layers)]
    assert set(trial(address, "open", *paths).split()) == {"opened"}


def test_every_operator(address: Path, tmp_path: Path) -> None:
    assert trial(address, "open", every_operator(tmp_path / "g.safetensors")) == "opened\n"


def test_threads_do_not_race(tmp_path: Path) -> None:
    layer = Layer(48, 64, (6, 6), (5, 5), (2, 2), (2, 2), (1, 1))
    assert trial(sanitized("thread"), "threads", layer.write(tmp_path / "g.safetensors")) == ""


def test_the_header_is_c(address: Path, good: Path, tmp_path: Path) -> None:
    assert float(run(address / "pbgen_example", good)) != 0
    run(address / "pbgen_example", tmp_path / "none.safetensors", status=2)


def test_the_program_without_python(address: Path, tmp_path: Path) -> None:
    program = address.parent / "run" / "pbgen-run"
    run(program, every_operator(tmp_path / "g.safetensors"), "-o", tmp_path / "g.png", "-n", "9", "--seed=3")
    run(program, tmp_path / "none.safetensors", "-o", tmp_path / "none.png", status=2)
