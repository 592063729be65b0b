"""A run that was stopped and resumed ends with the very weights of one that never stopped."""

import pickle
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_gan import TINY, load_tiny

from pbgen.training import TrainConfig, TrainingStopped, checkpoint, run, train

VARIANTS: dict[str, dict[str, Any]] = {
    "float": {"generator": "float", "discriminator": "float"},
    "partial": {},
    "binary": {"generator": "binary", "generator_steps": 2},
    "stochastic": {"generator": "binary", "method": "binaryconnect-stochastic", "micro_batch": 4},
    "irnet": {"method": "irnet", "loss": "hinge"},
    "learned-scale": {"method": "learned-scale", "loss": "lsgan"},
    "wgan-gp": {"loss": "wgan-gp", "discriminator_steps": 2},
    "dropout": {"model": TINY.replace(":pair", ":with_dropout")},
    "faces": {"data": "faces", "channels": 1},
}


def stop_at(step: int, number: int = signal.SIGINT) -> Callable[[int, int, Mapping[str, float | None]], None]:
    def progress(done: int, _steps: int, _row: Mapping[str, float | None]) -> None:
        if done == step:
            signal.raise_signal(number)

    return progress


def assert_same(one: Path, other: Path) -> None:
    a, b = (checkpoint.load(folder / "checkpoint.pt") for folder in (one, other))
    assert a["step"] == b["step"]
    for name in ("generator", "discriminator", "average"):
        assert a[name].keys() == b[name].keys()
        for key in a[name]:
            assert torch.equal(a[name][key], b[name][key]), f"{name} {key}"
    for name in ("generator_optimizer", "discriminator_optimizer"):
        for key, moments in a[name]["state"].items():
            assert all(torch.equal(moments[m], b[name]["state"][key][m]) for m in moments)


def losses(folder: Path) -> list[dict[str, float | None]]:
    timing = ("seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in timing} for row in load_tiny(folder).log]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("stop", [1, 4])
def test_resumed_equals_uninterrupted(
    tiny: Callable[..., TrainConfig], tmp_path: Path, variant: str, stop: int
) -> None:
    config = tiny(**VARIANTS[variant])
    train(config, tmp_path / "whole")
    with pytest.raises(TrainingStopped) as stopped:
        train(config, tmp_path / "parts", progress=stop_at(stop))
    assert stopped.value.step == stop
    torch.rand(7)  # what else the user draws between must not matter
    train(config, tmp_path / "parts", resume=True)
    assert_same(tmp_path / "whole", tmp_path / "parts")
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")


def test_stopping_twice_and_falling_back_to_an_older_checkpoint(
    tiny: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    config = tiny(checkpoint_every=2, log_every=1)

    def crash(step: int, _steps: int, _row: Mapping[str, float | None]) -> None:
        if step == 3:
            raise RuntimeError("power cut")

    train(config, tmp_path / "whole")
    with pytest.raises(TrainingStopped):
        train(config, tmp_path / "parts", progress=stop_at(1, signal.SIGTERM))
    with pytest.raises(RuntimeError, match="power cut"):
        train(config, tmp_path / "parts", resume=True, progress=crash)
    assert load_tiny(tmp_path / "parts").step == 2
    assert [row["step"] for row in load_tiny(tmp_path / "parts").log] == [1, 2, 3]
    train(config, tmp_path / "parts", resume=True)
    assert_same(tmp_path / "whole", tmp_path / "parts")
    assert [row["step"] for row in load_tiny(tmp_path / "parts").log] == [1, 2, 3, 4, 5, 6]


def test_steps_may_grow(tiny: Callable[..., TrainConfig], tmp_path: Path) -> None:
    config = tiny()
    train(config, tmp_path / "whole")
    train(replace(config, steps=4), tmp_path / "parts")
    train(config, tmp_path / "parts", resume=True)
    assert_same(tmp_path / "whole", tmp_path / "parts")
    assert load_tiny(tmp_path / "parts").config.steps == 6


def test_what_a_run_does_beside_training_does_not_change_it(tiny: Callable[..., TrainConfig], tmp_path: Path) -> None:
    often = tiny(log_every=1, sample_every=1, checkpoint_every=1)
    train(often, tmp_path / "often")
    train(tiny(), tmp_path / "seldom")
    assert_same(tmp_path / "often", tmp_path / "seldom")


def test_reading_ahead_changes_nothing(
    tiny: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny(), tmp_path / "ahead")
    from pbgen.training import loop

    class Direct:
        def __init__(self, read: Callable[[int], Any], first: int) -> None:
            self.read, self.position = read, first

        def __enter__(self) -> "Direct":
            return self

        def __exit__(self, *_: object) -> None: ...

        def next(self) -> Any:
            self.position += 1
            return self.read(self.position - 1)

    monkeypatch.setattr(loop, "Feed", Direct)
    train(tiny(), tmp_path / "direct")
    assert_same(tmp_path / "ahead", tmp_path / "direct")


def test_an_interrupt_leaves_no_thread_and_the_handlers_as_they_were(
    tiny: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    threads, handler = threading.active_count(), signal.getsignal(signal.SIGINT)
    with pytest.raises(TrainingStopped, match="stopped at step 2; resume with --resume"):
        train(tiny(), tmp_path / "run", progress=stop_at(2))
    assert threading.active_count() == threads
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_stop_can_be_told_by_another_process(tmp_path: Path) -> None:
    stop = pickle.loads(pickle.dumps(TrainingStopped(3, tmp_path)))
    assert (stop.step, stop.out, str(stop)) == (3, tmp_path, "stopped at step 3; resume with --resume")


def test_training_leaves_the_callers_random_numbers_alone(tiny: Callable[..., TrainConfig], tmp_path: Path) -> None:
    before = torch.get_rng_state()
    train(tiny(), tmp_path / "run")
    run.load_run(tmp_path / "run", TINY)
    assert torch.equal(torch.get_rng_state(), before)
