"""The configuration: checked when made, and the same after saving and loading."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from pbgen.errors import PBGenError
from pbgen.training import TrainConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generator": "half"}, "generator 'half': choose one of partial, float, binary"),
        ({"discriminator": "partial"}, "discriminator 'partial': choose one of binary, float"),
        ({"loss": "wgan"}, "loss 'wgan': choose one of nonsaturating, lsgan, wgan-gp, hinge"),
        ({"channels": 4}, "channels 4: choose one of 1, 3"),
        ({"precision": "16"}, "precision '16': choose one of 32-true, bf16-mixed"),
        ({"accelerator": "gpu"}, "accelerator 'gpu': choose one of auto, cpu, cuda, mps"),
        ({"method": "ternary"}, "method 'ternary': choose one of binaryconnect"),
        ({"steps": 0}, "steps 0: must be greater than 0"),
        ({"learning_rate": float("nan")}, "learning_rate nan: must be greater than 0"),
        ({"threshold": 0}, "threshold 0: must be greater than 0"),
        ({"checkpoint_every": -1}, "checkpoint_every -1: must be greater than 0"),
        ({"average": 1.0}, "average 1.0"),
        ({"betas": (0.5, 1.0)}, "betas (0.5, 1.0)"),
        ({"seed": -1}, "seed -1: must not be negative"),
        ({"latent_rate": 0}, "latent_rate 0: must be greater than 0"),
        ({"teacher": "run", "imitation": 0}, "imitation 0: must be greater than 0"),
        ({"imitation": 100}, "imitation 100: there is no teacher to imitate; give one, or leave it out"),
        ({"layers": ()}, "layers: name at least one layer"),
        ({"layers": ("deconv8",), "generator": "float"}, "of a partial generator"),
        ({"batch_size": 10, "micro_batch": 4}, "batch_size 10: must be a multiple"),
        ({"batch_size": 12, "micro_batch": 4, "devices": 2}, "devices x micro_batch (2 x 4)"),
        ({"batch_size": 9, "devices": 2}, "devices x micro_batch (2 x 1)"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PBGenError) as refusal:
        TrainConfig(**options)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_derived_values() -> None:
    assert TrainConfig().updates == 1
    assert TrainConfig(loss="wgan-gp").updates == 5
    assert TrainConfig(loss="wgan-gp", discriminator_steps=2).updates == 2
    assert TrainConfig(batch_size=64, devices=2).images_per_pass == 32
    assert TrainConfig(batch_size=64, devices=2, micro_batch=8).images_per_pass == 8


@pytest.mark.parametrize("layers", [None, ("deconv8", "deconv16")])
def test_saved_and_loaded_is_equal(tmp_path: Path, layers: tuple[str, ...] | None) -> None:
    options: dict[str, Any] = {"betas": (0.0, 0.9), "width": 64, "loss": "hinge", "layers": layers}
    config = TrainConfig(model="net.py:make", micro_batch=16, **options)
    config.save(tmp_path / "config.json")
    assert TrainConfig.load(tmp_path / "config.json") == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a version 1 configuration"),
        ('{"version": 2}', "not a version 1 configuration"),
        ('{"version": 1}', "is missing or unknown"),
        (json.dumps({"version": 1, **asdict(TrainConfig()), "speed": 3}), "option 'speed' is missing or unknown"),
        (json.dumps({"version": 1, **asdict(TrainConfig()), "steps": "many"}), "option 'steps' has the value 'many'"),
        (json.dumps({"version": 1, **asdict(TrainConfig()), "steps": None}), "option 'steps' has the value None"),
        (json.dumps({"version": 1, **asdict(TrainConfig()), "steps": 1.5}), "option 'steps' has the value 1.5"),
        (json.dumps({"version": 1, **asdict(TrainConfig()), "betas": 3}), "option 'betas' has the value 3"),
        (json.dumps({"version": 1, **asdict(TrainConfig()), "data": 3}), "option 'data' has the value 3"),
        (json.dumps({"version": 1, **asdict(TrainConfig()), "layers": [3]}), "option 'layers' has the value [3]"),
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(PBGenError) as refusal:
        TrainConfig.load(path)
    assert message in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_difference_names_the_first_option_but_steps() -> None:
    config = TrainConfig()
    assert config.difference(replace(config, steps=99)) is None
    assert config.difference(replace(config, steps=99, seed=4, width=8)) == "seed: 0, 4"
