"""Packed generators in folders and in the Hub's cache, without a network."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import pbgen
from pbgen import Engine, PBGenError
from pbgen.hub import CARD, FILE, model_card

Z = np.random.default_rng(0).standard_normal((2, 6), np.float32)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    torch.manual_seed(0)
    pbgen.pack(nn.Sequential(nn.Linear(6, 5), nn.Tanh()), torch.zeros(1, 6), tmp_path / "g.safetensors")
    return Engine(tmp_path / "g.safetensors", threads=1)


def test_a_folder_and_back_without_the_hub(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    folder = tmp_path / "new" / "tiny"
    engine.save_pretrained(folder)
    assert sorted(path.name for path in folder.iterdir()) == [CARD, FILE]
    again = Engine.from_pretrained(folder, threads=1, activations="int8")
    assert np.abs(again(Z) - engine(Z)).max() < 0.05
    assert np.array_equal(Engine.from_pretrained(str(folder))(Z), engine(Z))
    (folder / CARD).write_text("mine")
    Engine.from_pretrained(folder).save_pretrained(folder)
    assert (folder / CARD).read_text() == "mine"
    with pytest.raises(ImportError, match=r"pip install 'pbgen\[hub\]'"):
        Engine.from_pretrained("somebody/tiny")


def test_what_is_not_there(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(PBGenError, match=re.escape(FILE)):
        Engine.from_pretrained(tmp_path)
    with pytest.raises(PBGenError, match=r"g\.safetensors: cannot be written"):
        engine.save_pretrained(engine.path)
    engine.path.unlink()
    with pytest.raises(PBGenError, match=r"g\.safetensors: cannot be read any longer"):
        engine.save_pretrained(tmp_path / "folder")


def test_the_card_runs_and_says_the_bytes(engine: Engine, tmp_path: Path) -> None:
    engine.save_pretrained(tmp_path / "tiny")
    card = (tmp_path / "tiny" / CARD).read_text()
    assert card.startswith("---\nlibrary_name: pbgen\n") and f"{engine.path.stat().st_size:,} bytes" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_card_of_free_sizes_and_integers(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.label = nn.Conv2d(3, 4, 3, padding=1), nn.Embedding(3, 4)

        def forward(self, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return self.conv(x) + self.label(label)[:, :, None, None]

    pbgen.pack(Net(), (torch.rand(2, 3, 8, 8), torch.tensor([0, 1])), tmp_path / "g.safetensors")
    card = model_card(pbgen.info(tmp_path / "g.safetensors"), "me/net")
    assert "engine(np.random.randn(1, 3, 64, 64), np.zeros((1,)))" in card


def test_the_hub_s_cache_offline(engine: Engine, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    repository = tmp_path / "hub" / "models--somebody--tiny"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    (snapshot / FILE).write_bytes(engine.path.read_bytes())
    code = """
import pbgen
print(pbgen.Engine.from_pretrained("somebody/tiny").output_shape)
for name in ("somebody/other", "no/such/name"):
    try:
        pbgen.Engine.from_pretrained(name)
    except pbgen.PBGenError as error:
        print(error)
"""
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=offline, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shape, *refusals = done.stdout.splitlines()
    assert shape == "(5,)"
    assert [line.partition(":")[0] for line in refusals] == ["somebody/other", "no/such/name"]


def test_pushing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    sent: dict[str, bytes] = {}
    has_card = True

    class Api:
        def __init__(self, **options: object) -> None:
            assert options == {"token": None, "library_name": "pbgen"}

        def create_repo(self, repo_id: str, *, private: bool | None, exist_ok: bool) -> SimpleNamespace:
            if repo_id == "lost":
                raise RuntimeError("no\nnetwork")
            assert exist_ok
            return SimpleNamespace(repo_id=f"me/{repo_id}")

        def file_exists(self, repo_id: str, name: str) -> bool:
            return has_card and (repo_id, name) == ("me/tiny", CARD)

        def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> str:
            sent.clear()
            sent.update({path.name: path.read_bytes() for path in Path(folder_path).iterdir()})
            return f"https://hub/{repo_id}"

    monkeypatch.setattr(hub, "HfApi", Api)
    assert engine.push_to_hub("tiny") == "https://hub/me/tiny"
    assert sent == {FILE: engine.path.read_bytes()}
    has_card = False
    engine.push_to_hub("tiny", private=True)
    assert sorted(sent) == [CARD, FILE] and b'from_pretrained("me/tiny")' in sent[CARD]
    with pytest.raises(PBGenError, match=r"lost: .*no network"):
        engine.push_to_hub("lost")
