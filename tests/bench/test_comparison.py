"""Engines side by side. Times are never compared with anything: only that they are there."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import pbgen
from pbgen.bench import compare
from pbgen.bench.engines import ENGINES
from pbgen.bench.processes import EngineProcess
from pbgen.bench.worker import resident_bytes
from pbgen.errors import PBGenError


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    generator, _ = pbgen.models.create("dcgan32", width=32, latent=8)
    example = torch.randn(2, 8)
    pbgen.binarize(generator, pbgen.plan(generator, example, threshold=1000))
    file = tmp_path_factory.mktemp("bench") / "g.safetensors"
    pbgen.pack(generator.eval(), example, file)
    return file


def test_installed_engines_agree_and_are_measured(packed: Path) -> None:
    seen = []
    result = compare(packed, threads=1, batch=3, rounds=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert [m.engine for m in result.measurements] == [name for name, kind in ENGINES.items() if kind.installed]
    ours, pytorch = result.measurements[:2]
    assert ours.difference == 0 and pytorch.difference < 1e-5
    assert ours.file_bytes == packed.stat().st_size
    assert pytorch.file_bytes > 8 * ours.file_bytes
    assert pytorch.resident_bytes > ours.resident_bytes > 0
    for measurement in result.measurements:
        assert 0 < measurement.low <= measurement.median <= measurement.high
        assert measurement.runs >= 2 and measurement.cold_start > 0 and measurement.version
    assert json.loads(result.to_json())["measurements"][0]["engine"] == "pbgen"


def test_only_those_asked_for(packed: Path) -> None:
    assert [m.engine for m in compare(packed, ["pbgen"], rounds=1).measurements] == ["pbgen"]


def test_other_images_are_refused(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EngineProcess, "images", lambda process: np.full(3, len(process.engine), np.float32))
    with pytest.raises(PBGenError, match="PyTorch makes other images than PBGen: they differ by up to 2"):
        compare(packed, ["pbgen", "pytorch"], rounds=1)


def test_an_engine_that_fails_says_why(packed: Path) -> None:
    with pytest.raises(PBGenError, match=r"^PBGen cannot run the generator: threads=5000: must be 1 to 1024"):
        compare(packed, ["pbgen"], threads=5000, rounds=1)


def test_memory_is_that_of_this_process() -> None:
    before = resident_bytes()
    held = np.ones(50_000_000, np.uint8)
    assert 40e6 < resident_bytes() - before < 100e6
    del held
