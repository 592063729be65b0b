"""pbgen compress: what goes in, what comes out, and what is refused in one line."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_runs import Command, finish, start

from pbgen.packing import rebuild

CODE = """
import torch
from torch import nn
def up():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Sigmoid())
    net.input_shape = (3, 16, 16)
    return net
def sound():
    net = nn.Sequential(nn.Conv1d(1, 4, 9, padding=4), nn.ReLU(), nn.Conv1d(4, 1, 9, padding=4))
    net.input_shape = (1, 4096)
    return net
def batches():
    return [torch.rand(4, 3, 16, 16) for _ in range(3)]
def number():
    return 3
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    file = tmp_path / "net.py"
    file.write_text(CODE)
    return file


def test_pictures(code: Path, pictures: Path, tmp_path: Path, pbgen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbgen.compression.quick_engines", lambda: ["pbgen", "pytorch"])
    made, page = tmp_path / "g.safetensors", tmp_path / "page.html"
    outcome = pbgen("compress", f"{code}:up", "--inputs", pictures, "--steps", 3, "--report", page, "-o", made)
    assert outcome.code == 0 and "PSNR to the float module on held-out inputs: " in outcome.out
    assert f"{made.stat().st_size:,} bytes instead of" in outcome.out and "3/3" in outcome.err and " dB" in outcome.err
    assert page.read_text().startswith("<!doctype html>") and rebuild(made).input_shape == (3, None, None)


@pytest.mark.parametrize("kind", ["function", "npy", "sounds"])
def test_other_inputs(kind: str, code: Path, tmp_path: Path, pbgen: Command) -> None:
    if kind == "npy":
        np.save(tmp_path / "x.npy", np.random.default_rng(0).random((8, 3, 16, 16)))
    if kind == "sounds":
        import soundfile

        (tmp_path / "sounds").mkdir()
        for i in range(3):
            soundfile.write(tmp_path / "sounds" / f"{i}.wav", np.sin(np.arange(9000) * 0.01 * (i + 1)), 22050)
    given = {"function": f"{code}:batches", "npy": tmp_path / "x.npy", "sounds": tmp_path / "sounds"}[kind]
    model = "sound" if kind == "sounds" else "up"
    outcome = pbgen("compress", f"{code}:{model}", "--inputs", given, "--steps", 2, "-o", tmp_path / "g.safetensors")
    assert outcome.code == 0, outcome.err


def test_the_model_s_weights(code: Path, tmp_path: Path, pbgen: Command) -> None:
    torch.save({"0.weight": torch.ones(1)}, tmp_path / "w.pt")
    given = "compress", f"{code}:up", "--inputs", f"{code}:batches", "-o", tmp_path / "g.safetensors"
    outcome = pbgen(*given, "--weights", tmp_path / "w.pt")
    assert outcome.code == 2
    assert outcome.err == (
        f"pbgen: {tmp_path / 'w.pt'}: does not fit Sequential: '0.weight' is [1], and the module's [8, 3, 3, 3]\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--inputs", "nothing"], "--inputs nothing: there is no such file or folder; give noise, "),
        (["--inputs", "{code}:number"], "net.py:number: gives int; give an iterable of batches"),
        (["--inputs", "{code}:none"], "has no function 'none'"),
        (["--inputs", "{folder}"], "holds 0 pictures that can be read, and 1 files that cannot; give two or more"),
        (["--range", "1:0"], "--range 1:0: give the numbers for black and white"),
        (["--bits", "1", "--target-bytes", "5"], "bits, target_bytes: give one of them"),
        (["--inputs", "{code}:batches", "--target-bytes", "5"], "target_bytes 5: below what is possible; with one bit"),
        (["--target-psnr", "34", "--target-bytes", "5"], "target_bytes, target_psnr: give one of them"),
        (["--resume", "--inputs", "{code}:batches"], "there is nothing to go on from"),
        (["-o", "{folder}/no/g.safetensors"], "--output "),
        (["--report", "{folder}/no/g.html"], "--report "),
    ],
)
def test_refused(options: list[str], message: str, code: Path, tmp_path: Path, pbgen: Command) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "text.png").write_text("no picture")
    given = [option.format(code=code, folder=folder) for option in options]
    outcome = pbgen("compress", f"{code}:up", "-o", tmp_path / "g.safetensors", *given)
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1


def test_two_processes_stopped_by_ctrl_c(code: Path, tmp_path: Path, pbgen: Command) -> None:
    made = tmp_path / "g.safetensors"
    state = tmp_path / "g.safetensors.resume"
    given = "--inputs", f"{code}:batches", "--steps", 4000, "--devices", 2, "--accelerator", "cpu"
    process = start("compress", f"{code}:up", *given, "-o", made)
    while not state.exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130 and outcome.err.splitlines()[-1].endswith("is the best so far; go on with --resume")
    assert made.exists() and state.exists() and "Traceback" not in outcome.err
