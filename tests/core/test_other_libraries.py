"""The program on other C libraries than this machine's: an older glibc, that of RHEL 8, and musl."""

import platform
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from builds import ROOT, build, core, needs_cmake, run
from generators import every_operator
from test_pbgen_run import pixels

MACHINE = platform.machine()

pytestmark = [
    needs_cmake,
    pytest.mark.skipif(not find_spec("ziglang"), reason="needs ziglang, of the dev extra"),
    pytest.mark.skipif(sys.platform != "linux" or MACHINE not in ("x86_64", "aarch64"), reason="runs what it built"),
]


def program(library: str) -> Path:
    """pbgen-run for this processor and that C library. -O0: the build takes longer than the tests."""
    name = f"zig-{library}"
    compiler = ROOT / "build" / f"{name}-c++"  # CMake forgets a compiler's arguments when it is called again
    compiler.parent.mkdir(exist_ok=True)
    compiler.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ziglang c++ -target {MACHINE}-linux-{library} "$@"\n')
    compiler.chmod(0o755)
    folder = build(name, f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_BUILD_TYPE=", "-DCMAKE_CXX_FLAGS=-O0")
    return folder / "run" / "pbgen-run"


def draws_the_same(other: Path, folder: Path) -> bool:
    file = every_operator(folder / "g.safetensors")
    for name, draw in (("ours", core() / "run" / "pbgen-run"), ("other", other)):
        run(draw, file, "-n", "9", "--seed", "3", "-o", folder / f"{name}.png")
    difference = abs(pixels(folder / "ours.png").astype(int) - pixels(folder / "other.png"))
    return bool(difference.max() <= 1 and (difference > 0).mean() < 1e-3)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc to run it")
def test_glibc_2_28(tmp_path: Path) -> None:
    other = program("gnu.2.28")
    versions = re.findall(rb"GLIBC_2\.(\d+)", other.read_bytes())
    assert versions and max(map(int, versions)) <= 28
    assert draws_the_same(other, tmp_path)


def test_musl(tmp_path: Path) -> None:
    assert draws_the_same(program("musl"), tmp_path)
