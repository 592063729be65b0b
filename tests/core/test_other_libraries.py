"""Other C libraries than this machine's: an older glibc, of RHEL 8, has what the core asks for; on musl it runs."""

import platform
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from builds import ROOT, build, core, needs_cmake, run
from generators import every_operator
from test_pbgen_run import pixels

from pbgen import _core

MACHINE = platform.machine()


def nm(file: str) -> str:
    """The names that a library wants of others."""
    return run(shutil.which("nm") or "nm", "--dynamic", "--undefined-only", file)


# What is of a newer version by name, though older ones have it: functions that moved from libpthread, libdl and inlined
# ones to libc, and what the C++ library's headers ask for where they find it.
OLDER = re.compile(r"pthread_\w+|sem_\w+|dl\w+|[fl]?stat|__libc_single_threaded")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or not shutil.which("nm"), reason="needs glibc, and nm")
def test_glibc_2_28() -> None:
    """`make wheels` links with 2.17's; that takes minutes, for the C++ library is built for it."""
    wanted = re.findall(r"(\w+)@GLIBC_2\.(\d+)", nm(_core.__file__))
    assert len(wanted) > 20
    assert not [name for name, version in wanted if int(version) > 28 and not OLDER.fullmatch(name)]


def program(library: str) -> Path:
    """pbgen-run for this processor and that C library. -O0: the build takes longer than the test."""
    name = f"zig-{library}"
    compiler = ROOT / "build" / f"{name}-c++"  # CMake forgets a compiler's arguments when it is called again
    compiler.parent.mkdir(exist_ok=True)
    compiler.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ziglang c++ -target {MACHINE}-linux-{library} "$@"\n')
    compiler.chmod(0o755)
    folder = build(name, f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_BUILD_TYPE=", "-DCMAKE_CXX_FLAGS=-O0")
    return folder / "run" / "pbgen-run"


@needs_cmake
@pytest.mark.skipif(not find_spec("ziglang"), reason="needs ziglang, of the dev extra")
@pytest.mark.skipif(sys.platform != "linux" or MACHINE not in ("x86_64", "aarch64"), reason="runs what it built")
def test_musl(tmp_path: Path) -> None:
    file, other = every_operator(tmp_path / "g.safetensors"), program("musl")
    for name, draw in (("ours", core() / "run" / "pbgen-run"), ("other", other)):
        run(draw, file, "-n", "9", "--seed", "3", "-o", tmp_path / f"{name}.png")
    difference = abs(pixels(tmp_path / "ours.png").astype(int) - pixels(tmp_path / "other.png"))
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
