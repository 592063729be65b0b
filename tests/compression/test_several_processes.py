"""Several processes compress as one does, also where the examples of a batch cannot be shared out evenly."""

import multiprocessing
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from small_network import make_network
from torch import Tensor, nn

import pbgen
from pbgen.compression import CompressionStopped, compress
from pbgen.errors import PBGenError
from pbgen.packing import rebuild

MOST = 1e-5  # of the rounding of sums, after some steps


def unlike() -> nn.Module:
    """As a factory whose weights are drawn anew, or come from a file."""
    return make_network(seed=1)


def assert_close(one: Path, other: Path) -> None:
    states = [rebuild(path).state_dict() for path in (one, other)]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, atol=MOST, rtol=0, msg=name)


def test_three_processes_follow_one(network: nn.Module, batches: list[Tensor], tmp_path: Path) -> None:
    one, three = tmp_path / "one.safetensors", tmp_path / "three.safetensors"
    alone = compress(network, batches, one, bits=2, steps=10)
    together = compress(
        network, batches, three, bits=2, steps=10, devices=3, accelerator="cpu", factory=unlike
    )  # 8 examples a batch
    assert_close(one, three)
    assert [point.psnr.median for point in together.curve] == pytest.approx([p.psnr.median for p in alone.curve])
    assert len({point.psnr.median for point in alone.curve}) == 11  # something was learned
    assert not multiprocessing.active_children()


def generator() -> nn.Module:
    torch.manual_seed(0)
    return pbgen.models.create("dcgan32", width=16, latent=8, kernel_size=4)[0].eval()


def test_two_share_an_opponent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbgen.compression.judge._JUDGED_BY", 64)
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    compress(generator(), "noise", one, bits=2, steps=6)
    compress(generator(), "noise", two, bits=2, steps=6, devices=2, accelerator="cpu", factory=generator)
    assert_close(one, two)


def test_they_stop_together_and_one_goes_on(network: nn.Module, batches: list[Tensor], tmp_path: Path) -> None:
    def stop(done: int, _total: int, row: Mapping[str, float]) -> None:
        if row and done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    compress(network, batches, one, bits=2, steps=6)
    with pytest.raises(CompressionStopped):
        compress(network, batches, two, bits=2, steps=6, progress=stop, devices=2, accelerator="cpu", factory=unlike)
    assert two.exists() and not multiprocessing.active_children()
    compress(network, batches, two, bits=2, steps=6, resume=True)
    assert_close(one, two)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 0}, r"^devices 0: must be 1 to 1024"),
        ({"accelerator": "tpu"}, r"^accelerator 'tpu': choose one of auto, cpu, cuda, mps"),
        ({"devices": 2}, r"^devices 2: a module cannot go to other processes; give factory"),
        (
            {"devices": 2, "factory": lambda: None},
            r"^factory: cannot go to other processes: .*; give a f",
        ),
    ],
)
def test_refused(options, message, network, batches, tmp_path):
    with pytest.raises(PBGenError, match=message) as caught:
        compress(network, batches, tmp_path / "g.safetensors", steps=1, **options)
    assert "\n" not in str(caught.value)
