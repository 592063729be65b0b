"""The engine's scripts as a server gives them: streaming, and where the server does not know what .wasm is."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers import served

from pbgen import Engine

SCRIPT = """
import { Engine } from "./engine.js";
const sums = [];
for (const wasm of [undefined, new URL("pbgen.wasm", document.baseURI), "pbgen-relaxed.wasm"]) {
    const { data } = await (await Engine.load("g.safetensors", { wasm })).run(new Float32Array(8).fill(0.5));
    sums.push(data.reduce((sum, value) => sum + value, 0));
}
const missing = await Engine.load("missing.safetensors").catch((error) => error.message);
document.title = JSON.stringify({ sums, missing });
"""


@pytest.mark.parametrize("kind", ["application/wasm", "application/octet-stream"])
def test_streaming_and_its_fallback(browser: Any, modules: Path, latents: Path, tmp_path: Path, kind: str) -> None:
    for file in (*modules.glob("*.js"), *modules.glob("*.wasm")):
        shutil.copyfile(file, tmp_path / file.name)
    shutil.copyfile(latents, tmp_path / "g.safetensors")
    (tmp_path / "index.html").write_text(f'<title></title><script type="module">{SCRIPT}</script>')
    expected = Engine(latents)(np.full((1, 8), 0.5)).sum(dtype=np.float64)
    with served(tmp_path, {".wasm": kind}) as server:
        page = browser.new_page()
        page.goto(server)
        page.wait_for_function("document.title")
        found = page.evaluate("JSON.parse(document.title)")
        page.close()
        assert found["sums"] == pytest.approx([expected] * 3, rel=1e-3)
        assert found["missing"] == "missing.safetensors: cannot be fetched: 404 File not found"
