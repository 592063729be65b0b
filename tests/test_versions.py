"""One version: of the package, the C library and the npm package."""

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

import pbgen
from pbgen.cli import main

ROOT = Path(__file__).parents[1]


def test_all_parts_have_one_version(capsys: pytest.CaptureFixture[str]) -> None:
    cmake = re.search(r"project\(pbgen VERSION ([\d.]+)", (ROOT / "core" / "CMakeLists.txt").read_text())
    assert cmake is not None and cmake[1] == pbgen.__version__
    assert json.loads((ROOT / "web" / "package.json").read_text())["version"] == pbgen.__version__
    assert f"version: {pbgen.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {pbgen.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert version("pbgen") == pbgen.__version__, "the installed package is another: make .venv/installed"
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pbgen {pbgen.__version__}\n"
