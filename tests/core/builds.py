"""The core built alone, with CMake, as one who has no Python builds it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core"

# That of the dev extra where the system has none.
CMAKE = shutil.which("cmake") or shutil.which("cmake", path=Path(sys.executable).parent)

needs_cmake = pytest.mark.skipif(not CMAKE or not shutil.which("c++"), reason="needs cmake and c++")


def run(*command: str | Path, status: int = 0, **environment: str) -> str:
    """Run a program; returns what it printed on standard output. Fails unless it ends with `status`."""
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=600)
    assert result.returncode == status, f"{command}: {result.stdout[-2000:]}{result.stderr[-4000:]}"
    return result.stdout


@cache
def build(name: str, *options: str, targets: Sequence[str] = ("all",)) -> Path:
    """Build the core in build/`name` and return that folder. What is there already is not made again.

    pytest's processes share these folders: one builds, the others wait for it.
    """
    folder = ROOT / "build" / name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        run(str(CMAKE), "-S", CORE, "-B", folder, *options)
        run(str(CMAKE), "--build", folder, "-j2", "--target", *targets)
    return folder


def core() -> Path:
    """The core as it is installed, with its test programs."""
    return build("core", "-DPBGEN_TESTS=ON")


def sanitized(sanitizers: str, flags: str = "", targets: Sequence[str] = ("all",)) -> Path:
    """The folder of the test programs, built with sanitizers. Not optimized, and no more of what a debugger wants than
    the lines that a sanitizer names: the build takes longer than the tests."""
    options = ["-DPBGEN_TESTS=ON", f"-DPBGEN_SANITIZE={sanitizers}", "-DCMAKE_BUILD_TYPE="]
    options += [f"-DCMAKE_CXX_FLAGS=-g1 {flags}", f"-DCMAKE_C_FLAGS={flags}"]
    folder = f"core-{sanitizers.replace(',', '-')}{'-m32' if flags else ''}"
    return build(folder, *options, targets=targets) / "tests"
