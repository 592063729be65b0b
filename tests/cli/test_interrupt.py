"""Ctrl-C: what was trained is kept, one line says how to go on, exit code 130."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
from cli_runs import TINY, Command, finish, start

from pbgen.training import load_run


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    while not path.exists() or path.stat().st_size < 200:  # a row beyond the headings
        assert process.poll() is None
        time.sleep(0.05)


def test_training_stops_and_goes_on(tmp_path: Path, pbgen: Command) -> None:
    run = tmp_path / "run"
    process = start("train", *TINY, "--steps", 1_000_000, "--out", run)
    wait_for(run / "log.csv", process)
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("pbgen: ")]
    step = load_run(run).step
    assert 0 < step < 1_000_000
    assert (
        line == f"pbgen: stopped at step {step}, which is kept in {run}; go on with: pbgen train --out {run} --resume"
    )
    assert "Traceback" not in outcome.err
    assert pbgen("train", "--out", run, "--resume", "--steps", step + 1).code == 0
    assert load_run(run).step == step + 1


@pytest.mark.parametrize("where", ["pbgen.models.load", "pbgen.plan"])
def test_other_commands_just_stop(where: str, pbgen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupted)
    outcome = pbgen("inspect", "dcgan32")
    assert outcome.code == 130
    assert outcome.err == "pbgen: interrupted; no file was left half written\n"
