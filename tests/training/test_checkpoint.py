"""Checkpoints: whole or refused."""

from pathlib import Path

import pytest
import torch

from pbgen.errors import PBGenError
from pbgen.training import checkpoint

STATE = {
    "step": 3,
    "seconds": 1.5,
    "generator": {"weight": torch.randn(50)},
    "discriminator": {},
    "average": {},
    "generator_optimizer": {"param_groups": [{"betas": (0.5, 0.999)}]},
    "discriminator_optimizer": {},
    "unlogged": torch.zeros(0, 4),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "checkpoint.pt", **STATE)
    return tmp_path / "checkpoint.pt"


def test_what_was_saved_is_loaded(path: Path) -> None:
    state = checkpoint.load(path)
    assert state["step"] == 3
    assert torch.equal(state["generator"]["weight"], STATE["generator"]["weight"])
    assert state["generator_optimizer"] == STATE["generator_optimizer"]


def test_truncated_files_are_refused(path: Path) -> None:
    content = path.read_bytes()
    for size in range(0, len(content), 97):
        path.write_bytes(content[:size])
        with pytest.raises(PBGenError, match="damaged") as refusal:
            checkpoint.load(path)
        assert str(path) in str(refusal.value)


def test_a_flipped_bit_in_a_tensor_is_noticed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    weights = STATE["generator"]["weight"].numpy().tobytes()
    content[bytes(content).index(weights) + 7] ^= 4
    path.write_bytes(content)
    with pytest.raises(PBGenError, match="damaged"):
        checkpoint.load(path)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "harm",)

    torch.save({"version": 1, **STATE, "average": Attack()}, tmp_path / "checkpoint.pt")
    with pytest.raises(PBGenError, match="damaged, or not a checkpoint"):
        checkpoint.load(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [{"version": 1}, {"version": 2, **STATE}, [1, 2]])
def test_foreign_contents_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(PBGenError, match="not a version 1 checkpoint"):
        checkpoint.load(tmp_path / "checkpoint.pt")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PBGenError, match="there is no checkpoint"):
        checkpoint.load(tmp_path / "checkpoint.pt")


def test_an_interrupted_write_leaves_the_old_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_state: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]  # a binary file
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, **{**STATE, "step": 4})
    assert checkpoint.load(path)["step"] == 3
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint.pt"]
