"""The configuration: checked when made, and the same after saving and loading."""

import json
import math
import pickle
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbgen.errors import PBGenError
from pbgen.training import TrainConfig, UnnamedCodeError

SAVED = {name: value for name, value in asdict(TrainConfig()).items() if name != "teacher_model"}


def deep(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


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
        ({"learning_rate": float("nan")}, "learning_rate nan: must be a finite number"),
        ({"threshold": 0}, "threshold 0.0: must be greater than 0"),
        ({"checkpoint_every": -1}, "checkpoint_every -1: must be greater than 0"),
        ({"average": 1.0}, "average 1.0"),
        ({"betas": (0.5, 1.0)}, "betas (0.5, 1.0)"),
        ({"seed": -1}, "seed -1: must not be negative"),
        ({"latent_rate": 0}, "latent_rate 0.0: must be greater than 0"),
        ({"teacher": "run", "imitation": 0}, "imitation 0.0: must be greater than 0"),
        ({"imitation": 100}, "imitation 100.0: there is no teacher to imitate; give one, or leave it out"),
        ({"layers": ()}, "layers: name at least one layer"),
        ({"layers": ("deconv8",), "generator": "float"}, "of a partial generator"),
        ({"batch_size": 10, "micro_batch": 4}, "batch_size 10: must be a multiple"),
        ({"batch_size": 12, "micro_batch": 4, "devices": 2}, "devices x micro_batch (2 x 4)"),
        ({"batch_size": 9, "devices": 2}, "devices x micro_batch (2 x 1)"),
        ({"batch_size": 4.5}, "batch_size 4.5: must be a whole number"),
        ({"batch_size": "8"}, "batch_size '8': must be a whole number"),
        ({"batch_size": None}, "batch_size None: must be a whole number"),
        ({"batch_size": 2**40}, "batch_size 1099511627776: at most 65536 is possible"),
        ({"devices": 10**6}, "devices 1000000: at most 1024"),
        ({"steps": True}, "steps True: must be a whole number"),
        ({"steps": np.bool_(True)}, "must be a whole number"),
        ({"steps": math.inf}, "steps inf: must be a whole number"),
        ({"steps": 1 + 0j}, "steps (1+0j): must be a whole number"),
        ({"steps": 10**5000}, "steps of type int: at most 2147483647"),
        ({"width": 2**70}, "at most 2147483647 is possible"),
        ({"learning_rate": True}, "learning_rate True: must be a finite number"),
        ({"learning_rate": math.inf}, "learning_rate inf: must be a finite number"),
        ({"learning_rate": 10**400}, "must be a finite number"),
        ({"learning_rate": np.float32("nan")}, "must be a finite number"),
        ({"seed": 2**64}, "at most 9223372036854775807"),
        ({"betas": 0.5}, "betas 0.5: must be several values"),
        ({"betas": (0.5, 0.9, 0.9)}, "must be 2 values"),
        ({"layers": "deconv8"}, "layers 'deconv8': must be several values"),
        ({"data": ""}, "data '': must be text, and not empty"),
        ({"data": b"photos"}, "data b'photos': must be text"),
        ({"generator": ["partial"]}, "generator ['partial']: must be text"),
        ({"model": deep(900)}, "model [[[["),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PBGenError) as refusal:
        TrainConfig(**options)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_numbers_and_paths_of_other_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = TrainConfig(
        data=Path("photos"), teacher=Path("run"), model=Path("net.py:gan"), batch_size=4.0, steps=np.int16(7),  # type: ignore[arg-type]
        learning_rate=np.float32(0.5), betas=[0, np.float64(0.9)], seed=np.uint8(3), layers=["a"],
    )  # fmt: skip
    expected = TrainConfig(
        data=f"{tmp_path}/photos", teacher=f"{tmp_path}/run", model=f"{tmp_path}/net.py:gan", batch_size=4, steps=7,
        learning_rate=0.5, betas=(0.0, 0.9), seed=3, layers=("a",),
    )  # fmt: skip
    assert config == expected
    for value in asdict(config).values():
        assert type(value) in (str, int, float, tuple, type(None))
    config.save("config.json")
    assert TrainConfig.stored("config.json") == config


def test_paths_are_kept_from_folder_to_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = TrainConfig(data="photos", teacher="../run", model="nets/net.py:gan", generator="float")
    assert config.data == f"{tmp_path}/photos"
    assert config.teacher == f"{tmp_path}/../run"
    assert TrainConfig().data == "faces" and TrainConfig(data="./faces").data == f"{tmp_path}/faces"
    (tmp_path / "out").mkdir()
    config.save(tmp_path / "out" / "config.json")
    monkeypatch.chdir(tmp_path / "out")
    assert TrainConfig.stored("config.json") == config
    values = json.loads(Path("config.json").read_text())
    Path("config.json").write_text(json.dumps(values | {"data": "photos"}))
    monkeypatch.chdir(tmp_path)
    assert TrainConfig.stored("out/config.json").data == f"{tmp_path}/out/photos"  # by the file's own folder


def test_a_file_s_code_must_be_named(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("")
    path = tmp_path / "config.json"
    TrainConfig(model=f"{tmp_path}/net.py:gan").save(path)
    with pytest.raises(UnnamedCodeError) as refusal:
        TrainConfig.load(path)
    told = f"{tmp_path}: its model is the Python file {tmp_path}/net.py"
    assert str(refusal.value) == f"{told}; it runs only if you name it: --model {tmp_path}/net.py:gan"
    assert str(pickle.loads(pickle.dumps(refusal.value))) == str(refusal.value)
    (tmp_path / "net.py").unlink()
    with pytest.raises(PBGenError, match=r"net\.py, which is not there; it runs only if .*: --model FILE:gan$"):
        TrainConfig.load(path)
    assert TrainConfig.load(path, model="elsewhere.py:gan").model == f"{Path.cwd()}/elsewhere.py:gan"
    for other in ("dcgan64", f"{tmp_path}/net.py:other"):
        with pytest.raises(PBGenError, match=r"its model is .*net\.py:gan, not "):
            TrainConfig.load(path, model=other)
    TrainConfig().save(path)
    assert TrainConfig.load(path, model="dcgan64") == TrainConfig()
    with pytest.raises(PBGenError, match=r"its model is dcgan64, not net\.py:gan"):
        TrainConfig.load(path, model="net.py:gan")


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
    assert TrainConfig.load(tmp_path / "config.json", model="net.py:make") == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (json.dumps({"version": 1, **SAVED, "model": deep(200)}), "model [[[["),
        (json.dumps({"version": 1, **SAVED, "teacher_model": "net.py:gan"}), "'teacher_model' is missing or unknown"),
        ("[]", "not a version 1 configuration"),
        ('{"version": 2}', "not a version 1 configuration"),
        ('{"version": 1}', "is missing or unknown"),
        (json.dumps({"version": 1, **SAVED, "speed": 3}), "option 'speed' is missing or unknown"),
        (json.dumps({"version": 1, **SAVED, "steps": "many"}), "steps 'many': must be a whole number"),
        (json.dumps({"version": 1, **SAVED, "steps": None}), "steps None: must be a whole number"),
        (json.dumps({"version": 1, **SAVED, "steps": 1.5}), "steps 1.5: must be a whole number"),
        (json.dumps({"version": 1, **SAVED, "betas": 3}), "betas 3: must be several values"),
        (json.dumps({"version": 1, **SAVED, "data": 3}), "data 3: must be text"),
        (json.dumps({"version": 1, **SAVED, "layers": [3]}), "layers 3: must be text"),
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
    assert config.difference(replace(config, model="dcgan32")) == "model: dcgan64, dcgan32"
    here, there = (TrainConfig(model=f"/{place}/net.py:gan", data=f"/{place}/photos") for place in ("here", "there"))
    assert here.difference(there) is None  # origin.json tells whether they are the same
    assert here.difference(replace(there, model="/b.py:other")) == "model: /here/net.py:gan, /b.py:other"


def test_bits_are_those_of_a_partial_generator() -> None:
    assert TrainConfig(bits=3, method="learned-scale").bits == 3
    for wrong, message in (
        ({"bits": 5}, "bits 5: must be 1 to 4"),
        ({"bits": 0}, "bits 0: must be 1 to 4"),
        ({"bits": 2, "generator": "binary"}, "bits 2: are those of a partial generator's layers"),
        ({"bits": 2, "method": "irnet"}, "bits 2: method irnet has one; bwn and learned-scale have more"),
    ):
        with pytest.raises(PBGenError, match=f"^{message}"):
            TrainConfig(**wrong)
