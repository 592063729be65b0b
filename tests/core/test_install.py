"""An installed core is found by CMake and by pkg-config, as a static and as a shared library."""

import shutil
from pathlib import Path

import pytest
from builds import CMAKE, CORE, ROOT, build, core, needs_cmake, run
from generators import every_operator

import pbgen

pytestmark = needs_cmake

VERSION = pbgen.__version__.rpartition(".")[0]

PROJECT = f"""
cmake_minimum_required(VERSION 3.25)
project(example LANGUAGES C CXX)
find_package(pbgen {VERSION} REQUIRED)
add_executable(example example.c)
target_link_libraries(example PRIVATE pbgen::pbgen)
"""


@pytest.fixture(scope="module", params=["static", "shared"])
def prefix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the core is installed. The shared one is not optimized: how fast it runs is not asked here."""
    shared = ["-DBUILD_SHARED_LIBS=ON", "-DCMAKE_BUILD_TYPE="]
    built = core() if request.param == "static" else build("shared", *shared)
    folder = tmp_path_factory.mktemp(request.param)
    run(str(CMAKE), "--install", built, "--prefix", folder)
    return folder


def check(example: Path, prefix: Path, folder: Path) -> None:
    """The example makes an image, and says so where there is no file."""
    environment = {"LD_LIBRARY_PATH": str(prefix / "lib")}
    assert abs(float(run(example, every_operator(folder / "g.safetensors"), **environment))) <= 1
    run(example, folder / "none.safetensors", status=2, **environment)


def test_cmake_finds_it(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    shutil.copy(CORE / "tests" / "example.c", tmp_path)
    run(str(CMAKE), "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run(str(CMAKE), "--build", tmp_path / "build")
    check(tmp_path / "build" / "example", prefix, tmp_path)


@pytest.mark.skipif(not shutil.which("pkg-config") or not shutil.which("cc"), reason="needs pkg-config and cc")
def test_pkg_config_finds_it(prefix: Path, tmp_path: Path) -> None:
    flags = run("pkg-config", "--cflags", "--libs", "pbgen", PKG_CONFIG_PATH=str(prefix / "lib" / "pkgconfig")).split()
    run("cc", "-std=c99", "-Wall", "-Werror", CORE / "tests" / "example.c", "-o", tmp_path / "example", *flags)
    check(tmp_path / "example", prefix, tmp_path)


def test_a_shared_library_shows_the_c_interface_and_no_more(prefix: Path) -> None:
    library = prefix / "lib" / "libpbgen.so"
    if not library.exists():
        pytest.skip("the static one")
    symbols = run("nm", "--dynamic", "--defined-only", "--format=just-symbols", library).split()
    header = (prefix / "include" / "pbgen.h").read_text()
    assert {"pbgen_open", "pbgen_open_memory", "pbgen_run_in"} <= set(symbols)
    assert [symbol for symbol in symbols if f"{symbol}(" not in header] == []


def test_nothing_else_is_installed(prefix: Path) -> None:
    files = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if not path.is_dir()}
    libraries = {name for name in files if name.startswith("lib/libpbgen")}
    package = {name for name in files if name.startswith("lib/cmake/pbgen/pbgen-")}
    assert libraries and package
    assert files - libraries - package == {"bin/pbgen-run", "include/pbgen.h", "lib/pkgconfig/pbgen.pc"}


def test_it_is_part_of_a_larger_project(tmp_path: Path) -> None:
    """As a folder of another project, and of this repository's root."""
    project = PROJECT.replace(f"find_package(pbgen {VERSION} REQUIRED)", f"add_subdirectory({CORE} pbgen)")
    (tmp_path / "CMakeLists.txt").write_text(project)
    shutil.copy(CORE / "tests" / "example.c", tmp_path)
    run(str(CMAKE), "-S", tmp_path, "-B", tmp_path / "build")
    run(str(CMAKE), "-S", ROOT, "-B", tmp_path / "root")


def test_the_docs_show_this_example() -> None:
    assert f"```c\n{(CORE / 'tests' / 'example.c').read_text()}```" in (ROOT / "docs" / "c.md").read_text()
