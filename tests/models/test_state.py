"""Weights from files, in the ways in which people save them."""

import pickle

import pytest
import safetensors.torch
import torch
from torch import nn

from pbgen.errors import PBGenError
from pbgen.models.state import load_weights


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


STATE = network().state_dict()


@pytest.mark.parametrize(
    "saved",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {f"module.{name}": value for name, value in STATE.items()},
        {"params_ema": {f"generator.{name}": value for name, value in STATE.items()}, "params": {"x": torch.ones(2)}},
        {name: value.half() if value.is_floating_point() else value for name, value in STATE.items()},
        {name: value for name, value in STATE.items() if not name.endswith("num_batches_tracked")},
    ],
)
def test_what_fits_is_taken(saved, tmp_path):
    torch.save(saved, tmp_path / "w.pt")
    module = network(1)
    load_weights(module, tmp_path / "w.pt")
    torch.testing.assert_close(module[0].weight, STATE["0.weight"], atol=1e-3, rtol=0)


def test_safetensors(tmp_path):
    safetensors.torch.save_file(STATE, tmp_path / "w.safetensors")
    module = network(1)
    load_weights(module, tmp_path / "w.safetensors")
    assert torch.equal(module[0].weight, STATE["0.weight"])


class Evil:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda f: None, "cannot be read: No such file"),
        (lambda f: f.write_bytes(b"junk"), "damaged, or no file that torch saved"),
        (lambda f: f.write_text("# a text of some length\n" * 20), "damaged, or no file that torch saved"),
        (lambda f: f.write_bytes(pickle.dumps(Evil())), "holds more than weights|damaged"),
        (lambda f: torch.save(network(), f), "holds more than weights, which would run code; save the state dict"),
        (lambda f: torch.save([1, 2], f), "holds no weights"),
        (lambda f: torch.save({**STATE, "0.bias": torch.ones(7)}, f), r"'0.bias' is \[7\], and the module's \[4\]"),
        (lambda f: torch.save({k: v for k, v in STATE.items() if k != "0.bias"}, f), "it has no '0.bias'$"),
        (
            lambda f: torch.save({k.removeprefix("0."): v for k, v in STATE.items()}, f),
            "it has no '0.weight', but 'weight'$",
        ),
        (lambda f: torch.save({**STATE, "2.weight": torch.ones(1)}, f), "it has '2.weight', which the module has not"),
    ],
)
def test_refused(write, message, tmp_path, capsys):
    file = tmp_path / "w.pt"
    write(file)
    module = network(1)
    with pytest.raises(PBGenError, match=message) as caught:
        load_weights(module, file)
    assert str(caught.value).startswith(str(file)) and "\n" not in str(caught.value)
    assert "code ran" not in capsys.readouterr().out
