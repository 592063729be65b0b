"""A run goes on with the images, model and teacher that it was begun with, and runs no code that nobody named."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_gan import TINY

from pbgen.errors import PBGenError
from pbgen.training import TrainConfig, UnnamedCodeError, load_run, train

Tiny = Callable[..., TrainConfig]


def write_pictures(folder: Path, seed: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for i in range(9):
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / f"{i}.png")
    return folder


def write_model(folder: Path) -> Path:
    """The tiny networks in a file of their own, which leaves a trace beside itself when it is run."""
    folder.mkdir(exist_ok=True)
    code = Path(TINY.removesuffix(":pair")).read_text().partition("def load_tiny")[0]
    file = folder / "net.py"
    file.write_text(f"{code}\nopen({os.fspath(folder / 'ran')!r}, 'w').close()\n")
    return file


@pytest.fixture
def begun(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """A run in the folder "run" of a working folder "place", begun with paths relative to that."""
    write_model(tmp_path / "place")
    write_pictures(tmp_path / "place" / "data", seed=1)
    monkeypatch.chdir(tmp_path / "place")
    config = tiny(model="net.py:pair", data="data", steps=1)
    train(config, "run")
    (tmp_path / "place" / "ran").unlink()
    return config


def test_from_another_folder_it_takes_its_own(
    begun: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "other")
    write_pictures(tmp_path / "other" / "data", seed=2)
    monkeypatch.chdir(tmp_path / "other")
    run = tmp_path / "place" / "run"
    train(replace(TrainConfig.load(run / "config.json", begun.model), steps=2), run, resume=True)
    assert load_run(run, begun.model).step == 2
    assert (tmp_path / "place" / "ran").exists() and not (tmp_path / "other" / "ran").exists()


def test_no_code_runs_that_nobody_named(begun: TrainConfig, tiny: Tiny, tmp_path: Path) -> None:
    for use in (
        lambda: load_run("run"),
        lambda: TrainConfig.load("run/config.json"),
        lambda: train(tiny(teacher="run"), "taught"),
        lambda: train(tiny(teacher="run", model="dcgan32", channels=3), "taught"),
    ):
        with pytest.raises(UnnamedCodeError, match=r"it runs only if you name it: --(teacher-)?model .*net\.py:pair$"):
            use()
    assert not Path("ran").exists() and not Path("taught").exists()
    train(replace(begun, teacher="run"), "taught")  # by the same file as its teacher
    train(tiny(data="data", steps=1, teacher="run", teacher_model="net.py:pair"), "taught too")


def test_other_images_are_refused(begun: TrainConfig, tmp_path: Path) -> None:
    kept = {path.name: path.read_bytes() for path in Path("run").iterdir() if path.is_file()}
    shutil.move("data", "moved")
    write_pictures(tmp_path / "place" / "data", seed=2)
    longer = replace(begun, steps=2)
    told = r"data: no longer the images that run was begun with; name those by --data, or remove run/origin.json to go"
    with pytest.raises(PBGenError, match=told):
        train(longer, "run", resume=True)
    assert {path.name: path.read_bytes() for path in Path("run").iterdir() if path.is_file()} == kept
    train(replace(longer, data="moved"), "run", resume=True)
    assert TrainConfig.stored("run/config.json").data == os.fspath(tmp_path / "place" / "moved")
    Path("run/origin.json").unlink()
    train(replace(longer, steps=3), "run", resume=True)
    with pytest.raises(PBGenError, match="no longer the images"):  # from now on they are those of the run
        train(replace(longer, data="moved", steps=4), "run", resume=True)


def test_images_that_are_gone_are_named(begun: TrainConfig) -> None:
    shutil.rmtree("data")
    with pytest.raises(PBGenError, match=r"/place/data: no such folder or zip"):
        train(replace(begun, steps=2), "run", resume=True)


def test_another_model_is_refused(begun: TrainConfig) -> None:
    shutil.copy("net.py", "moved.py")
    with Path("net.py").open("a") as file:
        file.write("# other\n")
    for use in (
        lambda: load_run("run", "net.py:pair"),
        lambda: train(replace(begun, steps=2), "run", resume=True),
    ):
        with pytest.raises(PBGenError, match=r"net\.py:pair: no longer the model that run was begun with"):
            use()
    assert load_run("run", "moved.py:pair").step == 1
    train(replace(begun, steps=2, model="moved.py:pair"), "run", resume=True)


def test_another_teacher_is_refused(begun: TrainConfig) -> None:
    taught = replace(begun, teacher="run")
    train(taught, "taught")
    shutil.copytree("run", "moved")
    train(replace(begun, steps=2), "run", resume=True)
    with pytest.raises(PBGenError, match=r"run: no longer the teacher that taught was begun with"):
        train(replace(taught, steps=2), "taught", resume=True)
    train(replace(taught, steps=2, teacher="moved"), "taught", resume=True)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"version": 1, "data": "x"}', '{"version": 2}'])
def test_a_damaged_origin_is_refused(begun: TrainConfig, text: str) -> None:
    Path("run/origin.json").write_text(text)
    with pytest.raises(PBGenError, match=r"run/origin\.json: damaged, or of another version; restore it, or remove it"):
        load_run("run", begun.model)
