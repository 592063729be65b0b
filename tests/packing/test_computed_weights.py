"""Weights that a module computes in its forward are packed as it computes them next; what torch cannot follow is told
with the layer's name."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import pbgen
from pbgen.errors import PBGenError
from pbgen.packing import pack, rebuild
from pbgen.packing.file import read

torch.manual_seed(0)


class Computing(nn.Module):
    """A convolution whose weight is made by `compute` of this module in forward."""

    def __init__(self, compute) -> None:
        super().__init__()
        self.compute = compute
        self.layer = nn.Conv2d(3, 4, 3)
        self.own, self.u = nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(4), requires_grad=False)
        del self.layer.weight

    def forward(self, x: Tensor) -> Tensor:
        self.layer.weight = self.compute(self)
        return self.layer.forward(x)


def step_of_a_power_iteration(module: Computing) -> Tensor:
    """Spectral norm as it was written before torch had one: each call writes to its vector."""
    matrix = module.own.view(4, -1)
    v = F.normalize(torch.mv(matrix.data.t(), module.u.data), dim=0)
    module.u.data = F.normalize(torch.mv(matrix.data, v), dim=0)
    return module.own / module.u.dot(matrix.mv(v)).expand_as(module.own)


def written(module: Computing) -> Tensor:
    with torch.no_grad():
        module.u.mul_(0.5).add_(1)
    return module.own * module.u.view(-1, 1, 1, 1)


HOW = {
    "power iteration": step_of_a_power_iteration,
    "written": written,
    "data": lambda m: m.own.data / 2,
    "number": lambda m: m.own / m.own.std().item(),
    "numbers": lambda m: torch.tensor([2 * n for n in m.own.flatten().tolist()]).view(4, 3, 3, 3),
}


@pytest.mark.parametrize("name", HOW)
def test_weights_computed_in_forward_are_constants(tmp_path, name) -> None:
    module, path = nn.Sequential(nn.Conv2d(3, 3, 1), Computing(HOW[name])), tmp_path / "g.safetensors"
    before = {name: value.clone() for name, value in module.state_dict().items()}
    pack(module, torch.randn(2, 3, 5, 6), path)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert [node.op for node in read(path)[0].nodes] == ["conv", "conv"]
    images = torch.randn(1, 3, 7, 4)
    with torch.no_grad():  # the file is what the next call makes
        assert torch.allclose(rebuild(path)(images), module.eval()(images), atol=1e-4)


def test_such_a_weight_can_be_binary(tmp_path) -> None:
    module, path = nn.Sequential(Computing(step_of_a_power_iteration), nn.Conv2d(4, 3, 1)), tmp_path / "g.safetensors"
    images = torch.randn(1, 3, 7, 6)
    pbgen.binarize(module, pbgen.plan(module, images).choosing(["0.own"]))
    info = pack(module, images, path)
    assert [layer.binary for layer in info.layers] == [True, False]
    with torch.no_grad():
        assert torch.allclose(rebuild(path)(images), module.eval()(images), atol=1e-5)


UNTRACED = {
    "numpy": lambda m: torch.from_numpy(m.own.detach().numpy() / 2),
    "decided by values": lambda m: m.own if m.own.sum() > 0 else -m.own,
}


@pytest.mark.parametrize("name", UNTRACED)
def test_what_torch_cannot_follow_is_told_by_the_layers_name(tmp_path, name) -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(Computing(UNTRACED[name])))
    with pytest.raises(
        PBGenError, match=r'cannot be traced.*: layer "1.0" \(Computing\), .* line .*: it reads numbers.*buffer$'
    ):
        pack(module, torch.randn(2, 3, 5, 6), tmp_path / "g.safetensors")
    assert not list(tmp_path.iterdir())


def test_torchs_advice_to_its_own_developers_is_not_passed_on(monkeypatch, tmp_path) -> None:
    said = "We found a fake tensor. See the model attribute: 1.lifted_tensor_0. Please file an issue on github."
    monkeypatch.setattr(torch.export, "export", lambda *args, **kwargs: _raise(RuntimeError(said)))
    with pytest.raises(
        PBGenError,
        match=r'layer "1" \(Conv2d\)(, .* line \d+)?: its forward makes .* to the next; .*buffer$',
    ):
        pack(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)), torch.randn(1, 3, 5, 6), tmp_path / "g")


def _raise(error: Exception) -> None:
    raise error
