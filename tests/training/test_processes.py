"""Two processes train as one does that sees the same global batch and normalizes the same halves of it."""

import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_gan import TINY, load_tiny

from pbgen.errors import PBGenError
from pbgen.training import TrainConfig, TrainingStopped, checkpoint, train

VARIANTS: dict[str, dict[str, Any]] = {
    "float": {"generator": "float", "discriminator": "float", "generator_steps": 2},
    "binary": {"generator": "binary", "batch_size": 16, "micro_batch": 4},
    "stochastic, penalty": {
        "method": "binaryconnect-stochastic", "loss": "wgan-gp", "discriminator_steps": 2,
        "model": TINY.replace(":pair", ":with_dropout"),
    },
}  # fmt: skip


def parameters(folder: Path) -> dict[str, torch.Tensor]:
    state = checkpoint.load(folder / "checkpoint.pt")
    networks = {f"{name} {key}": value for name in ("generator", "discriminator") for key, value in state[name].items()}
    return {key: value for key, value in networks.items() if "running" not in key and "num_batches" not in key}


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_processes_follow_one(tiny: Callable[..., TrainConfig], tmp_path: Path, variant: str) -> None:
    options = VARIANTS[variant]
    half = options.get("batch_size", 8) // 2
    train(tiny(**{"micro_batch": half} | options), tmp_path / "one")
    train(tiny(**options, devices=2), tmp_path / "two")
    one, two = parameters(tmp_path / "one"), parameters(tmp_path / "two")
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=1e-5, rtol=1e-4, msg=name)
    logs = [load_tiny(tmp_path / folder).log for folder in ("one", "two")]
    for ours, theirs in zip(*logs, strict=True):
        for name in ("discriminator_loss", "generator_loss", "real_output", "fake_output"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3)
    assert not multiprocessing.active_children()


def test_two_processes_stop_together_and_resume(tiny: Callable[..., TrainConfig], tmp_path: Path) -> None:
    def stop(step: int, _steps: int, _row: object) -> None:
        if step == 2:
            signal.raise_signal(signal.SIGINT)

    config = tiny(devices=2, steps=4)
    train(tiny(micro_batch=4, steps=4), tmp_path / "one")
    with pytest.raises(TrainingStopped):
        train(config, tmp_path / "two", progress=stop)
    assert not multiprocessing.active_children()
    train(config, tmp_path / "two", resume=True)
    one, two = parameters(tmp_path / "one"), parameters(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=1e-5, rtol=1e-4, msg=name)


def test_no_shared_memory_is_needed(
    tiny: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers may lack /dev/shm, where semaphores live."""

    def refused(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refused)
    train(tiny(devices=2, steps=1), tmp_path / "run")
    assert load_tiny(tmp_path / "run").step == 1


FAILING = f"""
import multiprocessing, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from tiny_gan import pair, load_tiny
if multiprocessing.parent_process():
    FAIL
"""


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ("raise OSError('gone')", "vanishing.py fails when imported: OSError: gone"),  # a refusal like any other
        ("sys.exit('crashed')", "another process of the run failed"),
    ],
)
def test_a_failing_process_ends_all(
    tiny: Callable[..., TrainConfig], tmp_path: Path, failure: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "vanishing.py"
    model.write_text(FAILING.replace("FAIL", failure))
    with pytest.raises(PBGenError, match=message):
        train(tiny(devices=2, model=f"{model}:pair"), tmp_path / "run")
    assert ("crashed" in capfd.readouterr().err) == ("crashed" in failure)
    assert not multiprocessing.active_children()
