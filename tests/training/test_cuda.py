"""Training on a GPU: it follows the CPU's, and goes on where it was stopped."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_gan import load_tiny

from pbgen.training import TrainConfig, train

Tiny = Callable[..., TrainConfig]

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")


@pytest.mark.parametrize("generator", ["float", "partial"])
def test_training_on_a_gpu_follows_the_cpu(tiny: Tiny, tmp_path: Path, generator: str) -> None:
    """The first rows; later ones part, as sums in another order do in any competition."""
    logs = {}
    for accelerator in ("cpu", "cuda"):
        config = tiny(accelerator=accelerator, generator=generator, steps=2, log_every=1)
        logs[accelerator] = load_tiny(train(config, tmp_path / accelerator)).log
    for here, there in zip(logs["cpu"], logs["cuda"], strict=True):
        for name in ("generator_loss", "discriminator_loss", "real_output", "fake_output"):
            assert there[name] == pytest.approx(here[name], rel=2e-2, abs=2e-2)  # convolutions are in TF32 there


def test_training_on_a_gpu_goes_on(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(accelerator="cuda", steps=4)
    train(replace(config, steps=2), tmp_path)
    train(config, tmp_path, resume=True)
    run = load_tiny(tmp_path)
    assert run.step == 4
    assert all(bool(value.isfinite().all()) for value in run.generator.state_dict().values())


def test_mixed_precision_trains(tiny: Tiny, tmp_path: Path) -> None:
    run = load_tiny(train(tiny(accelerator="cuda", precision="bf16-mixed"), tmp_path))
    assert run.log[-1]["generator_loss"] is not None
    assert all(bool(value.isfinite().all()) for value in run.generator.state_dict().values())
