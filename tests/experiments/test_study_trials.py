"""Trials: run once, written down at once, and the same again from the same settings."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from experiments import gan, networks, run, supervised
from experiments.questions import QUESTIONS
from experiments.trial import DATA, Result, Trial, append, load
from pbgen.errors import PBGenError
from pbgen.training import load_run

HALF = f"{gan.NETWORKS}:half"


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gan, "JUDGED", 64)
    monkeypatch.setattr(supervised, "JUDGED", 64)


def test_results_come_back(tmp_path: Path) -> None:
    first = Result(Trial("base", layers=("deconv4", "deconv8"), seed=3), {"swd": 1.5, "losses": {}}, None, {})
    second = Result(Trial("kernel2"), {}, "it diverged", {"processor": "one"})
    path = tmp_path / "results.jsonl"
    assert load(path) == {}
    append(path, first)
    append(path, second)
    assert load(path) == {first.trial: first, second.trial: second}
    with path.open("a") as file:
        file.write('{"trial": {"network": "cut off')
    assert load(path) == {first.trial: first, second.trial: second}


@pytest.mark.parametrize("question", QUESTIONS)
def test_trials_are_of_layers_that_there_are(question: str) -> None:
    trials = QUESTIONS[question].trials()
    assert trials
    for trial in trials:
        assert set(trial.layers) <= set(networks.layers(trial.network))
        assert trial.data in DATA
    assert len({trial.folder for trial in trials}) == len(set(trials))


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_without_results_is_no_error(question: str, tmp_path: Path) -> None:
    assert isinstance(QUESTIONS[question].report({}, tmp_path), str)


@pytest.mark.parametrize("layers", [(), ("deconv8",)])
def test_a_generator_is_trained_and_judged(layers: tuple[str, ...], tmp_path: Path) -> None:
    trial = Trial("half", layers=layers, steps=2, batch_size=8)
    result = run.judge(trial, Path(), tmp_path, "cpu")
    assert result.failure is None
    assert result.score == result.measured["swd"] > 0
    assert set(result.measured["quantization_error"]) == (set() if layers else set(networks.layers("half")))
    plan = load_run(tmp_path / trial.folder, HALF).plan
    assert (plan.binary if plan else []) == list(layers)
    again = run.judge(trial, Path(), tmp_path / "again", "cpu")
    assert again.score == result.score


def test_a_teacher_is_the_float_trial_and_is_trained_once(tmp_path: Path) -> None:
    trial = Trial("half", layers=("deconv8",), steps=2, batch_size=8, teacher="quarter", imitation=100)
    assert trial.taught_by == Trial("quarter", steps=2, batch_size=8)
    taught = run.judge(trial, Path(), tmp_path, "cpu")
    assert taught.score > 0
    trained = tmp_path / trial.taught_by.folder / "checkpoint.pt"
    assert load_run(tmp_path / trial.folder, HALF).config.teacher == str(trained.parent)
    before = trained.stat().st_mtime_ns
    run.judge(trial.taught_by, Path(), tmp_path, "cpu")
    assert trained.stat().st_mtime_ns == before


@pytest.mark.parametrize("network", networks.SUPERVISED)
def test_a_supervised_network_goes_on_where_it_was(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "CHECKPOINT_EVERY", 1)
    trial = Trial(network, layers=networks.layers(network)[1:2], steps=3, batch_size=4)
    whole = run.judge(trial, Path(), tmp_path / "whole", "cpu")
    assert whole.failure is None

    def stop(step: int, steps: int, row: object) -> None:
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        supervised.run(trial, "faces", tmp_path / "parts" / trial.folder, stop)
    assert run.judge(trial, Path(), tmp_path / "parts", "cpu").score == whole.score


def test_the_error_of_binarizing_is_that_of_the_best_scale() -> None:
    generator = networks.generator("half")
    layer = generator.deconv8
    errors = gan.quantization_errors(generator)
    weight = layer.parametrizations.weight.original.detach()
    rest = [w - w.abs().mean() * w.sign() for w in weight.unbind(1)]
    expected = sum(float(r.square().sum()) for r in rest) / float(weight.square().sum())
    assert errors["deconv8"] == pytest.approx(expected, rel=1e-4)


def test_a_training_that_diverges_is_a_result(tmp_path: Path) -> None:
    result = run.judge(Trial("half", steps=4, batch_size=4, learning_rate=1e30), tmp_path, tmp_path, "cpu")
    assert result.failure is not None
    assert "no longer finite" in result.failure


def test_images_that_are_not_there_are_no_result(tmp_path: Path) -> None:
    with pytest.raises(PBGenError, match="pbc-blood-cells: no such folder"):
        run.judge(Trial("half", "cells", steps=1), tmp_path, tmp_path, "cpu")


def test_images_in_a_folder_or_in_a_zip_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "pbc-blood-cells"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (128, 32, 32, 3), dtype=np.uint8)
    for i, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    trial = Trial("half", "cells", steps=1, batch_size=4)
    loose = run.judge(trial, tmp_path, tmp_path / "loose", "cpu")
    with ZipFile(tmp_path / "images.zip", "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
            file.unlink()
    (tmp_path / "images.zip").rename(folder / "images.zip")
    (folder / "LICENSE.txt").write_text("free")
    assert run.judge(trial, tmp_path, tmp_path / "zip", "cpu").score == loose.score


LONG = Trial("half", layers=("deconv8",), steps=1000, batch_size=8)
INTERRUPTED = f"""
import sys, pathlib, typer
from experiments import run
from experiments.trial import Trial
from pbgen.cli.terminal import Terminal
try:
    run._work([{LONG!r}], pathlib.Path(), pathlib.Path(sys.argv[1]), 1, "cpu", Terminal(), print)
except typer.Exit as stop:
    sys.exit(stop.exit_code)
"""


@pytest.mark.parametrize(
    ("send", "number"),
    [
        pytest.param(os.killpg, signal.SIGINT, id="Ctrl-C, which a terminal sends to all processes"),
        pytest.param(os.kill, signal.SIGTERM, id="kill"),
    ],
)
def test_what_was_trained_is_kept(send: Callable[[int, int], None], number: int, tmp_path: Path) -> None:
    """The trainings must be told, and told once."""
    root = Path(run.__file__).parents[1]
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
    process = subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    log = tmp_path / LONG.folder / "log.csv"
    while not log.exists() or len(log.read_text().splitlines()) < 2:
        assert process.poll() is None
        time.sleep(0.1)
    send(process.pid, number)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted; what was trained is kept" in told
    assert "Traceback" not in told
    assert 0 < load_run(tmp_path / LONG.folder, HALF).step < LONG.steps
