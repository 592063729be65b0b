"""Ctrl-C and its like: what was trained is kept, one line says how to go on, exit code 130."""

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


@pytest.mark.parametrize("number, devices", [(signal.SIGINT, 1), (signal.SIGHUP, 2)])
def test_training_stops_and_goes_on(number: int, devices: int, tmp_path: Path, pbgen: Command) -> None:
    run = tmp_path / "run"
    usual = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"  # the tests may run under nohup
    process = start("train", *TINY, "--devices", devices, "--steps", 1_000_000, "--out", run, before=usual)
    wait_for(run / "log.csv", process)
    for _ in range(3 if number == signal.SIGHUP else 1):  # a terminal that is closed sends several
        process.send_signal(number)
    outcome = finish(process)
    assert outcome.code == 130
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("pbgen: ")]
    step = load_run(run).step
    assert 0 < step < 1_000_000
    assert (
        line == f"pbgen: stopped at step {step}, which is kept in {run}; go on with: pbgen train --out {run} --resume"
    )
    assert "Traceback" not in outcome.err
    if devices == 1:
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
