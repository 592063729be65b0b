"""The tutorials, worked through in an empty folder: every block of Python and shell, in order."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", sorted(TUTORIALS.glob("*.md")), ids=lambda page: page.stem)
def test_every_block_runs(page: Path, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    blocks = BLOCK.findall(page.read_text())
    assert len(blocks) > 2
    for language, code in blocks:
        if name := re.match(r"# (\w+\.py)\n", code):
            (tmp_path / name[1]).write_text(code)
            continue
        program = [sys.executable, "-c", code] if language == "python" else ["bash", "-euc", code]
        done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PATH": path})
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / {"compress": "large.png", "train": "grid.png", "run": "page.html"}[page.stem]).exists()
