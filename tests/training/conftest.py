"""Runs small enough for tests: 37 pictures of noise, of 16x16 grey pixels, and the networks of tiny_gan.py."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_gan import TINY

from pbgen.training import TrainConfig


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(37):
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / f"{i:02d}.png")
    return folder


@pytest.fixture
def tiny(pictures: Path) -> Callable[..., TrainConfig]:
    """A configuration with these options instead of the tiny ones."""

    def make(**options: Any) -> TrainConfig:
        standard = {
            "model": TINY, "data": str(pictures), "channels": 1, "steps": 6, "batch_size": 8, "threshold": 100.0,
            "accelerator": "cpu", "log_every": 2, "sample_every": 100, "checkpoint_every": 100,
        }  # fmt: skip
        return TrainConfig(**(standard | options))

    return make
