"""Build the engine's two modules for WebAssembly, by the compiler of the ziglang package: src/pbgen/web/*.wasm."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

CORE = Path(__file__).resolve().parents[1]
ROOT = CORE.parent
BUILD = ROOT / "build" / "wasm"
MODULES = ("pbgen.wasm", "pbgen-relaxed.wasm")


def main() -> None:
    zig = find_spec("ziglang")
    cmake = shutil.which("cmake", path=Path(sys.executable).parent) or shutil.which("cmake")
    if zig is None or zig.origin is None or cmake is None:
        sys.exit("the modules for WebAssembly are not built: they need CMake and the ziglang package, of the dev extra")
    toolchain, cache = CORE / "cmake" / "wasm32.cmake", BUILD / "CMakeCache.txt"
    if cache.exists() and cache.stat().st_mtime < toolchain.stat().st_mtime:
        shutil.rmtree(BUILD)  # the cache keeps the flags that it had
    options = [
        f"-DCMAKE_TOOLCHAIN_FILE={toolchain}",
        f"-DZIG={Path(zig.origin).with_name('zig')}",
    ]
    subprocess.run([cmake, "-S", CORE, "-B", BUILD, *options], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([cmake, "--build", BUILD, "-j2"], check=True, stdout=subprocess.DEVNULL)
    folder = ROOT / "src" / "pbgen" / "web"
    folder.mkdir(exist_ok=True)
    for name in MODULES:
        shutil.copy2(BUILD / "wasm" / name, folder / name)
        (folder / name).touch()


if __name__ == "__main__":
    main()
