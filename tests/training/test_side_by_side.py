"""Several runs at once: each as if alone, and all of them saved when they are stopped."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_gan import TINY, load_tiny

from pbgen import PBGenError
from pbgen.training import TrainConfig, train, train_side_by_side

Tiny = Callable[..., TrainConfig]


def test_each_run_is_as_if_alone(tiny: Tiny, tmp_path: Path) -> None:
    configs = {name: tiny(generator=name, seed=seed) for seed, name in enumerate(("float", "partial"))}
    seen: dict[str, list[int]] = {name: [] for name in configs}
    train(replace(configs["partial"], steps=4), tmp_path / "partial")  # goes on from here
    train_side_by_side(
        {tmp_path / name: config for name, config in configs.items()},
        lambda out, step, steps, row: seen[out.name].append(step),
    )
    assert seen == {"float": [1, 2, 3, 4, 5, 6], "partial": [5, 6]}
    for name, config in configs.items():
        alone = load_tiny(train(config, tmp_path / f"{name}-alone")).generator.state_dict()
        together = load_tiny(tmp_path / name).generator.state_dict()
        assert all(torch.equal(alone[key], together[key]) for key in alone)


def test_where_one_fails_the_others_are_saved(tiny: Tiny, tmp_path: Path) -> None:
    runs = {tmp_path / "good": tiny(steps=1_000_000), tmp_path / "bad": tiny(data=str(tmp_path / "missing"))}
    with pytest.raises(PBGenError, match="missing"):
        train_side_by_side(runs)
    if (tmp_path / "good" / "checkpoint.pt").exists():  # it had begun
        assert load_tiny(tmp_path / "good").step < 1_000_000


STOPPABLE = """
import sys
from pathlib import Path
from pbgen.training import TrainConfig, train_side_by_side
if __name__ == "__main__":
    configs = {Path(folder): TrainConfig.load(folder + ".json", MODEL) for folder in sys.argv[1:]}
    train_side_by_side(configs, lambda out, step, steps, row: print(out, step, flush=True))
"""


@pytest.fixture
def endless(tiny: Tiny, tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", list[Path]]]:
    """A process that trains two runs, both of which have begun, and their folders."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        tiny(steps=1_000_000).save(folder.with_suffix(".json"))
    (tmp_path / "main.py").write_text(STOPPABLE.replace("MODEL", repr(TINY)))
    command = [sys.executable, tmp_path / "main.py", *folders]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        waiting = set(map(str, folders))
        for line in process.stdout:
            waiting.discard(line.split()[0])
            if not waiting:
                break
        yield process, folders


def test_ctrl_c_saves_every_run(endless: tuple["subprocess.Popen[str]", list[Path]]) -> None:
    process, folders = endless
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
    for folder in folders:
        assert 0 < load_tiny(folder).step < 1_000_000


def test_runs_without_their_first_process_are_saved(endless: tuple["subprocess.Popen[str]", list[Path]]) -> None:
    process, folders = endless
    process.kill()
    process.communicate(timeout=60)  # the runs hold its standard output and error until they end
    for folder in folders:
        assert 0 < load_tiny(folder).step < 1_000_000


def test_runs_that_nobody_listens_to_are_saved(tiny: Tiny, tmp_path: Path) -> None:
    def busy(*_: object) -> None:
        time.sleep(2)  # the run has told of so many steps then that it waits for us
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_side_by_side({tmp_path / "run": tiny(steps=1_000_000)}, busy)
    assert 0 < load_tiny(tmp_path / "run").step < 1_000_000


DYING = "import os\n\ndef pair():\n    os._exit(3)\n"


def test_a_process_that_dies_is_noticed(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "dying.py").write_text(DYING)
    with pytest.raises(PBGenError, match="its process died"):
        train_side_by_side({tmp_path / "run": tiny(model=f"{tmp_path / 'dying.py'}:pair")})
