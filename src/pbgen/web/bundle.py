"""The browser's engine as one script: its files in the order of their imports, and the compiled modules inside."""

import base64
import gzip
import re
from collections.abc import Mapping
from pathlib import Path
from posixpath import dirname, join, normpath

from pbgen.errors import PBGenError

FOLDER = Path(__file__).parent
MODULES = {"relaxed": "pbgen-relaxed.wasm", "simd128": "pbgen.wasm"}
"""The compiled engine, with relaxed SIMD and without."""

_IMPORT = re.compile(r'^import (\{[^}]*\}) from "(\.\.?/[\w./-]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|class|const|let) (\w+))", re.MULTILINE)


def bundle(entry: str, replaced: Mapping[str, str] | None = None) -> str:
    """The script `entry`, and those that it imports, as one that imports nothing.

    Names are relative to this folder. replaced: sources that stand in place of some files'. Each file becomes a
    function of its own, called once, whose value is what it exports: `entry` leaves its names in the constant `pbgen`.
    """
    done: dict[str, str] = {}
    _add(entry, dict(replaced or {}), done)
    return "".join(done.values()) + f"const pbgen = {_identifier(entry)};\n"


def _add(name: str, replaced: dict[str, str], done: dict[str, str]) -> None:
    if name in done:
        return
    source = replaced.get(name) or (FOLDER / name).read_text(encoding="utf-8")
    imports = [(names, normpath(join(dirname(name), file))) for names, file in _IMPORT.findall(source)]
    for _, file in imports:
        _add(file, replaced, done)
    exports = ", ".join(_EXPORT.findall(source))
    known = "".join(f"const {names} = {_identifier(file)};\n" for names, file in imports)
    body = _EXPORT.sub("", _IMPORT.sub("", source))
    done[name] = f"const {_identifier(name)} = (() => {{\n{known}{body}return {{ {exports} }};\n}})();\n"


def _identifier(name: str) -> str:
    return "_" + re.sub(r"\W", "_", name.removesuffix(".js"))


def packed(content: bytes) -> str:
    """Bytes as packed.js reads them."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def engine_modules() -> dict[str, bytes]:
    """The compiled modules. Raises PBGenError where they are missing."""
    try:
        return {kind: (FOLDER / file).read_bytes() for kind, file in MODULES.items()}
    except FileNotFoundError as error:
        raise PBGenError(
            f"{error.filename}: the engine for browsers is not compiled here; in a checkout, `make wasm` does it"
        ) from None


def inlined_modules() -> str:
    """A source for modules.js that carries the modules. Raises PBGenError where they are missing."""
    lines = (f'  {kind}: () => unpacked("{packed(content)}"),\n' for kind, content in engine_modules().items())
    return 'import { unpacked } from "./packed.js";\nexport const MODULES = {\n' + "".join(lines) + "};\n"


def inlined_engine() -> str:
    """engine.js as one ES module that carries the compiled ones. Raises PBGenError where they are missing."""
    return bundle("engine.js", {"modules.js": inlined_modules()}) + "export const { Engine } = pbgen;\n"


def inlined_worker() -> str:
    """The same for a worker. Raises PBGenError where they are missing."""
    return bundle("worker.js", {"modules.js": inlined_modules()})
