"""`pbgen web` from the shell: what kind of page it writes, and what it refuses."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import pbgen
from pbgen.cli import main
from pbgen.web import bundle


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Any bytes do for the compiled engine here."""
    monkeypatch.setattr(bundle, "engine_modules", lambda: {"relaxed": b"0" * 8, "simd128": b"1" * 9})
    monkeypatch.setattr("pbgen.web.page.engine_modules", lambda: {"relaxed": b"0" * 8, "simd128": b"1" * 9})


def config(page: Path) -> dict[str, Any]:
    (text,) = re.findall(r'data-config="([^"]*)"', page.read_text(encoding="utf-8"))
    return dict(json.loads(unescape(text)))


def test_the_kind_follows_from_the_shapes(
    latents: Path, picture: Path, sound: Path, mixed: Path, folder: Path, tmp_path: Path
) -> None:
    vocoder = tmp_path / "vocoder.safetensors"
    pbgen.pack(nn.Conv1d(80, 1, 3), torch.rand(2, 80, 9), vocoder)
    page = tmp_path / "page.html"
    for file, kind, low in (
        (latents, "latents", -1),
        (picture, "picture", 0),
        (sound, "sound", -1),
        (mixed, "plain", -1),
        (vocoder, "plain", -1),
    ):
        assert main(["web", str(file), "-o", str(page)]) == 0
        found = config(page)
        assert (found["kind"], found["name"]) == (kind, file.stem)
        assert found["range"] == {"low": low, "high": 1}
        assert (found["weights"], found["engine"], found["activations"]) == (file.stat().st_size, 9, "float32")
        document = page.read_text(encoding="utf-8")
        assert f"<title>{file.stem}</title>" in document
        assert not re.search(r'(src|href)="(?!data:)', document), "nothing is fetched"
        assert document.count("Content-Security-Policy") == 1
    options = ["--range", "-2:3", "--activations", "int8", "--title", "A <b>"]
    assert main(["web", str(latents), "-o", str(page), *options]) == 0
    assert config(page)["range"] == {"low": -2, "high": 3}
    assert config(page)["activations"] == "int8"
    assert "<h1>A &lt;b&gt;</h1>" in page.read_text(encoding="utf-8")


def test_what_is_wrong_is_told_in_a_line(
    latents: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, damaged = tmp_path / "page.html", tmp_path / "damaged.safetensors"
    damaged.write_bytes(latents.read_bytes()[:-1])
    for arguments, part in (
        ([damaged, "-o", page], "damaged.safetensors"),
        ([tmp_path / "none", "-o", page], "none"),
        ([latents, "-o", tmp_path / "no" / "page.html"], "there is no folder"),
        ([latents, "-o", page, "--range", "1"], "--range 1"),
        ([latents, "-o", page, "--activations", "int4"], "int4"),
    ):
        assert main(["web", *map(str, arguments)]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert part in line
    monkeypatch.undo()
    monkeypatch.setattr(bundle, "MODULES", {"simd128": "missing.wasm"})
    assert main(["web", str(latents), "-o", str(page)]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "missing.wasm: the engine for browsers is not compiled here" in line
    assert "`make wasm`" in line
    assert not page.exists()


def test_a_bundle_runs_each_file_once_in_order() -> None:
    sources = {
        "a.js": 'import { Two } from "./b.js";\nimport { one } from "../c.js";\nexport const sum = one;\n',
        "b.js": 'import { one } from "../c.js";\nexport class Two {}\n',
    }
    made = bundle.bundle(
        "d/a.js", {f"d/{name}": text for name, text in sources.items()} | {"c.js": "export const one = 1;\n"}
    )
    parts = [
        "const _c = (() => {\nconst one = 1;\nreturn { one };\n})();\n",
        "const _d_b = (() => {\nconst { one } = _c;\nclass Two {}\nreturn { Two };\n})();\n",
        "const _d_a = (() => {\nconst { Two } = _d_b;\nconst { one } = _c;\nconst sum = one;\nreturn { sum };\n})();\n",
        "const pbgen = _d_a;\n",
    ]
    assert made == "".join(parts)
