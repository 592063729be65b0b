from pathlib import Path

import numpy as np
import pytest
from cli_runs import TINY, Command, Outcome
from PIL import Image

from pbgen.cli import main


@pytest.fixture
def pbgen(capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process."""

    def command(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Outcome(code, *capfd.readouterr())

    return command


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two steps."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", *TINY, "--steps", "2", "--out", str(run)]) == 0
    return run


@pytest.fixture(scope="session")
def packed(trained: Path) -> Path:
    """Its generator, packed."""
    file = trained.parent / "g.safetensors"
    assert main(["pack", str(trained), "-o", str(file)]) == 0
    return file


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 200 noisy images."""
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    for i, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder
