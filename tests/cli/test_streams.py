"""Standard output and error of any encoding, closed, full, or read by nobody; names that hold anything."""

import os
import subprocess
import sys
import zipfile
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
from cli_runs import TINY, Command
from PIL import Image

from pbgen.cli import main
from pbgen.visible import PLAIN

HOSTILE = "\x1b[31m\x9b\u202e"


def shell(script: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a line of sh in which $P is pbgen."""
    command = ["sh", "-c", script.replace("$P", f"'{sys.executable}' -m pbgen")]
    return subprocess.run(command, capture_output=True, env=os.environ | environment, check=False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "koi8-r", "utf-8"])
def test_every_encoding_shows_the_table(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    output = BytesIO()
    monkeypatch.setattr("sys.stdout", TextIOWrapper(output, encoding))
    assert main(["inspect", "dcgan32", "--width", "64"]) == 0
    lines = output.getvalue().decode(encoding).splitlines()
    assert "100×1×1 → 64×4×4".encode(encoding, PLAIN).decode(encoding) in lines[2]
    assert len({len(line) for line in lines[: lines.index("")]}) == 1, "columns stay below each other"


def test_the_c_locale() -> None:
    outcome = shell("$P inspect dcgan32", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (outcome.returncode, outcome.stderr) == (0, b"") and outcome.stdout.isascii()


@pytest.mark.parametrize("command", ["--help", "inspect dcgan32"])
def test_a_pipe_that_nobody_reads(command: str) -> None:
    assert shell(f"{{ $P {command}; echo $? >&2; }} | true").stderr == b"141\n"


def test_a_full_and_a_closed_output() -> None:
    for unbuffered in ("", "1"):
        outcome = shell("$P --help > /dev/full", PYTHONUNBUFFERED=unbuffered)
        assert outcome.returncode == 2
        assert outcome.stderr.startswith(b"pbgen: standard output: cannot be written: No space left on device")
        assert outcome.stderr.count(b"\n") == 1
    for script, code in {"--help >&-": 0, "fly 2>&-": 2, "fly 2>/dev/full": 2}.items():
        outcome = shell(f"$P {script}")
        assert (outcome.returncode, outcome.stdout, outcome.stderr) == (code, b"", b"")


def test_a_closed_output_is_not_the_next_file(packed: Path, tmp_path: Path) -> None:
    picture = tmp_path / "grid.png"
    assert shell(f"$P generate '{packed}' -n 2 -o '{picture}' >&- 2>&- <&-").returncode == 0
    with Image.open(picture) as image:
        image.load()


def test_nobody_reads_the_progress_and_training_goes_on(tmp_path: Path) -> None:
    tiny = " ".join(TINY)
    outcome = shell(f"{{ $P train {tiny} --steps 10 --out '{tmp_path}/run' 2>&3; echo $?; }} 3>&1 1>&2 | true")
    assert (tmp_path / "run/samples/step-000010.png").exists()
    assert f"{tmp_path}/run: 10 steps".encode() in outcome.stderr, "where standard output led"


def test_hostile_names_reach_no_terminal(pbgen: Command, trained: Path, tmp_path: Path) -> None:
    png = BytesIO()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(png, "PNG")
    source = tmp_path / f"p{HOSTILE}.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for i in range(130):
            archive.writestr(f"{i}.png", png.getvalue())
        archive.writestr(f"bad{HOSTILE}\n.png", b"no image")
    model = tmp_path / f"m{HOSTILE}.py"
    model.write_text(
        "import torch\n"
        "def make():\n"
        f"    module = torch.nn.Sequential(); module.add_module({HOSTILE!r}, torch.nn.Linear(30, 4000))\n"
        "    module.input_shape = (30,)\n"
        "    return module\n"
        f"def fails(): raise ValueError({HOSTILE!r})\n"
    )
    for code, *arguments in (
        (0, "evaluate", trained, "--data", source, "-n", 64, "--seeds", 1),
        (2, "evaluate", trained, "--data", f"{source}x"),
        (0, "inspect", f"{model}:make"),
        (2, "inspect", f"{model}:fails"),
        (2, "generate", tmp_path / HOSTILE, "-o", tmp_path / "x.png"),
        (2, HOSTILE),
    ):
        outcome = pbgen(*arguments)
        said = outcome.out + outcome.err
        assert outcome.code == code, said
        assert not [c for c in said if not c.isprintable() and c != "\n"], said
        if arguments[0] != "evaluate" or code:
            assert r"\x1b[31m\x9b\u202e" in said


def test_an_error_of_the_system_names_what_it_is_about(pbgen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("pbgen.models.load", refused)
    outcome = pbgen("inspect", "dcgan64")
    assert outcome.code == 2 and outcome.err == f"pbgen: refused in {__file__}: Cannot allocate memory\n"


def test_python_m_pbgen_is_the_command() -> None:
    outcome = shell("$P fly")
    assert outcome.returncode == 2 and outcome.stderr.startswith(b"pbgen: No such command 'fly'")
