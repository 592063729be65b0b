"""Networks of others, made small: what is read of them, what is left out, and what is said of the rest."""

import json
import struct

import numpy as np
import pytest
import torch
from torch import nn

from pbgen.compression.inputs import Examples

trained = pytest.importorskip("experiments.trained")


def ncnn(layer: nn.Conv2d | nn.ConvTranspose2d) -> bytes:
    """A layer as ncnn stores it: weights by output channel whatever the layer."""
    weight = layer.weight.transpose(0, 1) if layer.transposed else layer.weight
    numbers = weight.detach().numpy().astype("<f2").tobytes()
    return struct.pack("<I", 0x01306B47) + numbers + b"\0" * (-len(numbers) % 4) + layer.bias.detach().numpy().tobytes()


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 3), nn.Conv2d(1, 1, 3), nn.ConvTranspose2d(4, 3, (2, 4))], ids=str)
def test_ncnns_layers(layer) -> None:
    stored = b"before" + ncnn(layer)
    filled = type(layer)(layer.in_channels, layer.out_channels, layer.kernel_size)
    assert trained._read_ncnn(stored, 6, filled) == len(stored)
    torch.testing.assert_close(filled.weight, layer.weight.half().float(), rtol=0, atol=0)
    torch.testing.assert_close(filled.bias, layer.bias, rtol=0, atol=0)


def test_what_is_not_there_is_left_out_with_its_origin(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setattr(trained, "RESULTS", tmp_path / "trained.jsonl")
    trained.main(tmp_path, tmp_path, None, 2, 1)
    told = " ".join(capfd.readouterr().out.split())
    for network, origin in trained.ORIGINS.items():
        assert told.count(f"{network}: left out") == 1 and origin in told
    assert not (tmp_path / "trained.jsonl").exists()


def test_a_goal_is_tried_judged_and_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(trained, "RESULTS", tmp_path / "trained.jsonl")
    goal = trained.Goal("upconv7", 4, {"noise": 30.0}, 2)
    monkeypatch.setattr(trained, "GOALS", (goal,))
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Conv2d(32, 3, 3)).eval()
    examples = Examples(torch.randn(16, 3, 12, 12).split(4), 0)
    task = trained.Task(module, examples, {"noise": list(torch.randn(3, 1, 3, 12, 12))}, 2.0)
    monkeypatch.setattr(trained, "NETWORKS", {"upconv7": lambda *_: task})
    trained.main(tmp_path, tmp_path, None, 1, 1)
    (outcome,) = trained.load()
    assert outcome.packed_bytes <= outcome.float_bytes // 4 and outcome.steps == 2
    median, worst = outcome.psnr["noise"]
    assert 0 < worst <= median < 100
    assert f"1/{outcome.float_bytes / outcome.packed_bytes:.1f} | 0 | 2 |" in trained.report([outcome])
    before = (tmp_path / "trained.jsonl").read_text()
    trained.main(tmp_path, tmp_path, None, 1, 1)  # nothing is left to do
    assert (tmp_path / "trained.jsonl").read_text() == before and json.loads(before)["network"] == "upconv7"


def test_psnr_by_its_formula(tmp_path) -> None:
    """10 log10(peak^2 / mean squared error), of an engine whose images are off by so much."""
    module = nn.Identity()
    inputs = [torch.full((1, 1, 4, 4), value) for value in (0.0, 1.0, 2.0)]
    task = trained.Task(module, Examples([torch.zeros(4, 1, 4, 4)], 0), {}, 2.0)

    def engine(x: np.ndarray) -> np.ndarray:
        return x + np.float32([0.1, 0.2, 0.4])[int(x[0, 0, 0, 0])]

    found = trained._psnr(engine, task, inputs)
    assert found == pytest.approx((20 * np.log10(2 / 0.2), 20 * np.log10(2 / 0.4)), abs=1e-4)
