"""The engine as WebAssembly, run by Node: what the tests use of pbgen.Engine."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from builds import ROOT

from pbgen import PBGenError

NODE = shutil.which("node")
MODULES = {
    name: ROOT / "src" / "pbgen" / "web" / f"{name.replace('wasm', 'pbgen')}.wasm" for name in ("wasm", "wasm-relaxed")
}


def missing(name: str) -> str | None:
    """Why a module cannot be run here; None where it can."""
    if not NODE:
        return "needs Node"
    if not MODULES[name].exists():
        return f"needs {MODULES[name].relative_to(ROOT)}, which `make wasm` makes"
    if name == "wasm-relaxed" and not relaxed():
        return "needs a Node with relaxed SIMD"
    return None


@cache
def relaxed() -> bool:
    program = f"process.exit(WebAssembly.validate(fs.readFileSync({str(MODULES['wasm-relaxed'])!r})) ? 0 : 1)"
    return subprocess.run([str(NODE), *FLAGS, "-e", program], check=False).returncode == 0


# Node 20 has them behind a switch; later versions do not know it any more.
FLAGS: list[str] = []
if (
    NODE
    and "--experimental-wasm-relaxed-simd"
    in subprocess.run([NODE, "--v8-options"], capture_output=True, text=True, check=False).stdout
):
    FLAGS = ["--experimental-wasm-relaxed-simd"]


class Process:
    """Node with one of the modules: it answers requests, one after another."""

    def __init__(self, name: str) -> None:
        command = [str(NODE), *FLAGS, str(Path(__file__).with_suffix(".mjs")), str(MODULES[name])]
        self.node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.opened: Engine | None = None  # whose file it holds

    def ask(self, command: str, data: bytes = b"", **request: Any) -> tuple[dict[str, Any], bytes]:
        """The answer to a command; PBGenError where the engine refuses, AssertionError where it traps."""
        assert self.node.stdin and self.node.stdout
        line = json.dumps({"command": command, "size": len(data), **request})
        self.node.stdin.write(line.encode() + b"\n" + data)
        self.node.stdin.flush()
        answer = json.loads(self.node.stdout.readline())
        result = self.node.stdout.read(answer["size"])
        assert "trap" not in answer, answer["trap"]
        if "error" in answer:
            raise PBGenError(answer["error"])
        return answer, result


@cache
def process(name: str) -> Process:
    return Process(name)


@dataclass
class Engine:
    """A packed file in a module. Node holds one engine, so a file is opened again when another one was in between."""

    path: Path
    threads: int = 0
    activations: str = "float32"
    module: str = "wasm"

    def __post_init__(self) -> None:
        self._open()

    def _open(self) -> dict[str, Any]:
        node = process(self.module)
        try:
            node.opened = self
            answer, _ = node.ask("open", self.path.read_bytes(), activations=int(self.activations == "int8"))
        except PBGenError as error:  # as if it had been opened by its path
            raise PBGenError(str(error).replace("packed generator", str(self.path), 1)) from None
        self.info = answer
        return answer

    def _ask(self, command: str, data: bytes = b"", **request: Any) -> tuple[dict[str, Any], bytes]:
        node = process(self.module)
        if node.opened is not self:
            self._open()
        return node.ask(command, data, **request)

    @property
    def kernels(self) -> dict[str, str]:
        return {layer["name"]: layer["kernel"] for layer in self.info["layers"]}

    @property
    def layers(self) -> list[Any]:
        return [SimpleNamespace(**layer) for layer in self.info["layers"]]

    def output_shape_for(self, *shapes: tuple[int, ...]) -> Any:
        outputs = self._ask("shapes", shapes=[list(shape) for shape in shapes])[0]["outputs"]
        return tuple(outputs[0]) if len(outputs) == 1 else tuple(map(tuple, outputs))

    def __call__(self, *inputs: np.ndarray) -> Any:
        arrays = [np.ascontiguousarray(array, "<f4") for array in inputs]
        batch, shapes = len(arrays[0]), [list(array.shape[1:]) for array in arrays]
        answer, data = self._ask("run", b"".join(array.tobytes() for array in arrays), shapes=shapes, batch=batch)
        results, at = [], 0
        for shape in answer["outputs"]:
            size = 4 * batch * int(np.prod(shape))
            results.append(np.frombuffer(data[at : at + size], "<f4").reshape(batch, *shape))
            at += size
        return results[0] if len(results) == 1 else tuple(results)
