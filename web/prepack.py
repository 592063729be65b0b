"""Puts what the npm package holds into a folder, by default this one: the browser's engine, its types, and all in one.

Done by `make npm`, after which `npm pack` in that folder makes the package.
"""

import shutil
import sys
from pathlib import Path

from pbgen.web.bundle import FOLDER, engine_modules, inlined_engine

WEB = Path(__file__).parent
SCRIPTS = ("engine", "worker-engine", "worker", "spawn", "modules", "probe", "core", "bytes")


def main(folder: Path) -> None:
    engine_modules()  # says what is missing before anything is written
    dist = folder / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir(parents=True)
    for file in [*(FOLDER / f"{name}.js" for name in SCRIPTS), *FOLDER.glob("*.wasm"), *(WEB / "types").glob("*.d.ts")]:
        shutil.copyfile(file, dist / file.name)
    (dist / "inline.js").write_text(inlined_engine(), encoding="utf-8")
    for file in (WEB / "package.json", WEB / "README.md", WEB.parent / "LICENSE"):
        if file.parent != folder:
            shutil.copyfile(file, folder / file.name)


main(Path(sys.argv[1]) if len(sys.argv) > 1 else WEB)
