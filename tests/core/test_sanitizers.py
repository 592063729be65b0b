"""The core alone, under sanitizers: hostile files touch no foreign memory and take little of their own."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from builds import needs_cmake, run, sanitized
from generators import every_operator
from hostile_files import good_file, node, some
from hostile_graphs import hostile_files, hostile_sizes, strange_files
from packed_files import Layer
from random_graphs import OPERATORS, random_graph

from pbgen.packing import file

# A file of a few kilobytes must never lead to an allocation of 24 MB; the sanitizer aborts where one does.
ASAN_OPTIONS = "max_allocation_size_mb=24:allocator_may_return_null=0:quarantine_size_mb=16:hard_rss_limit_mb=256"

pytestmark = needs_cmake


@pytest.fixture(scope="module")
def address() -> Path:
    return sanitized("address,undefined")


@pytest.fixture(scope="module")
def thread() -> Path:
    return sanitized("thread", targets=("pbgen_trial",))


# The folder of a system's own headers is sought where its compiler for 32 bits does not bring it along.
FLAGS_OF_32_BITS = ["-m32", "-m32 -idirafter /usr/include/x86_64-linux-gnu"]


@cache
def flags_of_32_bits() -> str | None:
    for flags in FLAGS_OF_32_BITS:
        command = ["c++", *flags.split(), "-fsanitize=address,undefined", "-x", "c++", "-", "-o", "/dev/null"]
        program = "#include <cerrno>\n#include <vector>\nint main() { return std::vector<int>(3).at(2); }"
        if (
            shutil.which("c++")
            and subprocess.run(command, input=program, text=True, capture_output=True).returncode == 0
        ):
            return flags
    return None


@pytest.fixture(scope="module", params=["64 bits", "32 bits"])
def programs(request: pytest.FixtureRequest) -> Path:
    """The test programs with addresses of 64 bits, and of 32, where sizes overflow sooner."""
    if request.param == "64 bits":
        return sanitized("address,undefined")
    flags = flags_of_32_bits()
    if flags is None:
        pytest.skip("needs a compiler with -m32 and its libraries (g++-multilib)")
    return sanitized("address,undefined", flags, targets=("pbgen_trial",))


def trial(programs: Path, *arguments: str | Path) -> str:
    return run(programs / "pbgen_trial", *arguments, ASAN_OPTIONS=ASAN_OPTIONS)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.safetensors"
    path.write_bytes(good_file())
    return path


def test_hostile_files(programs: Path, tmp_path: Path) -> None:
    paths = []
    for i, (_, content, _) in enumerate(hostile_files()):
        paths.append(tmp_path / f"{i}.safetensors")
        paths[-1].write_bytes(content)
    lines = trial(programs, "open", *paths).splitlines()
    assert [line.startswith(str(path)) for path, line in zip(paths, lines, strict=True)] == [True] * len(paths)


def test_hostile_sizes(programs: Path, tmp_path: Path) -> None:
    """Bound to some sizes, each is refused or made; nothing is touched that it does not own."""
    files = [*((name, content) for name, content, _, _ in hostile_sizes()), *strange_files()]
    for i, (_, content) in enumerate(files):
        (tmp_path / f"{i}.safetensors").write_bytes(content)
    lines = trial(programs, "open", *(tmp_path / f"{i}.safetensors" for i in range(len(files)))).splitlines()
    assert lines.count("opened") == len(files)
    assert all(line == "opened" or line.startswith("size ") for line in lines)


def test_random_graphs(programs: Path, tmp_path: Path) -> None:
    for i, op in enumerate(OPERATORS):
        made = random_graph(1000 + i, op)
        file.write(tmp_path / f"{op}.safetensors", made.graph, made.tensors)
    lines = trial(programs, "open", *(tmp_path / f"{op}.safetensors" for op in OPERATORS)).splitlines()
    assert lines.count("opened") == len(OPERATORS)


def test_truncation_at_every_byte(programs: Path, good: Path) -> None:
    assert trial(programs, "truncate", good) == f"0 of {len(good.read_bytes())} opened\n"


def test_every_flipped_bit(programs: Path, good: Path) -> None:
    bits = 8 * len(good.read_bytes())
    opened = int(trial(programs, "flip", good).split()[0])
    assert 315 <= opened < bits / 2


def test_small_files_that_ask_for_much(programs: Path, tmp_path: Path) -> None:
    """Files that keep every rule, but whose parts would be large were they written out."""
    length = 2**17
    attributes = {"weight": "w", "stride": [2**20], "padding": [0], "dilation": [1], "groups": 1}
    plain = {"weight": "w", "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
    weight = {"w": np.zeros(length // 8, np.uint8)}
    files = {
        "kernel": some(
            [node("conv_transpose", [i], [1, 1, 1], kernel=[length], **attributes) for i in range(60)],
            [1, 1, 1],
            **weight,
        ),
        "tall": some(
            [node("conv_transpose", [i], [1, 1, 1, 1], kernel=[length, 1], **plain) for i in range(60)],
            [1, 1, 1, 1],
            **weight,
        ),
        "wide": some([node("map", [0], [1, 2**28], program=[["relu", 0]])], [1, 2**28]),
        "views": some([node("expand", [0], [2**28]), node("slice", [1], [1], axis=0, start=5, step=1)], [1]),
    }
    for name, content in files.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        assert trial(programs, "load", path) == "opened\n"


def test_kernels_stay_inside_their_arrays(address: Path, arch: str, tmp_path: Path) -> None:
    layers = [
        Layer(inputs, outputs, (3, 2), (3, 3), (2, 2), (1, 1), (1, 1), one_bit=one_bit, activation="sigmoid")
        for inputs in (1, 16, 31, 64)
        for outputs in (1, 3, 17, 65)
        for one_bit in (True, False)
    ]
    paths = [layer.write(tmp_path / f"{i}.safetensors") for i, layer in enumerate(layers)]
    assert set(trial(address, "open", *paths).split()) == {"opened"}


def test_every_operator(programs: Path, tmp_path: Path) -> None:
    assert trial(programs, "open", every_operator(tmp_path / "g.safetensors")) == "opened\n"


def test_threads_do_not_race(thread: Path, tmp_path: Path) -> None:
    layer = Layer(48, 64, (6, 6), (5, 5), (2, 2), (2, 2), (1, 1))
    assert trial(thread, "threads", layer.write(tmp_path / "g.safetensors")) == ""


def test_threads_do_not_race_to_other_sizes(thread: Path, tmp_path: Path) -> None:
    """Each call of a thread is of another size than that before."""
    sizes = [["h", "*", "H", 2]]
    nodes = [
        node("conv", [0], [1, 5, "H", "W"], weight="w", **SAME),
        node("resample", [1], [1, 5, "h", "W"], mode="linear", axes=[2], step=[0.5], align_corners=False),
        node("map", [2], [1, 5, "h", "W"], program=[["tanh", 0]]),
    ]
    path = tmp_path / "g.safetensors"
    path.write_bytes(some(nodes, [1, 4, "H", "W"], sizes=sizes, w=np.full((5, 4, 3, 3), 0.1, np.float32)))
    assert trial(thread, "threads", path) == ""


SAME = {"kernel": [3, 3], "stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}


def test_the_header_is_c(address: Path, good: Path, tmp_path: Path) -> None:
    assert float(run(address / "pbgen_example", good)) != 0
    run(address / "pbgen_example", tmp_path / "none.safetensors", status=2)


def test_the_program_without_python(address: Path, tmp_path: Path) -> None:
    program = address.parent / "run" / "pbgen-run"
    run(program, every_operator(tmp_path / "g.safetensors"), "-o", tmp_path / "g.png", "-n", "9", "--seed=3")
    run(program, tmp_path / "none.safetensors", "-o", tmp_path / "none.png", status=2)
