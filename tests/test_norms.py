"""weight_norm and spectral_norm, hooks and parametrizations, on layers that become binary."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

import pbgen
from pbgen.binarize import METHODS, binarize, binary_layers, latent_weights, signs_and_scale
from pbgen.modules import duplicate

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")

LENGTHS = {"hook": weight_norm, "parametrization": parametrizations.weight_norm}
STRETCHES = {"hook": spectral_norm, "parametrization": parametrizations.spectral_norm}
LAYERS = {
    "linear": (lambda: nn.Linear(5, 3), (2, 5)),
    "conv": (lambda: nn.Conv1d(4, 6, 3, groups=2), (2, 4, 9)),
    "deconv": (lambda: nn.ConvTranspose2d(4, 6, 3, groups=2), (2, 4, 5, 3)),
}
Z = torch.randn(2, 6, 3, 3, generator=torch.Generator().manual_seed(3))


def trained(layer):
    """As it is after a step, with a norm that says something."""
    x = torch.randn(next(shape for make, shape in LAYERS.values() if isinstance(layer, type(make()))))
    optimizer = torch.optim.SGD(layer.parameters(), 0.3)
    layer.train()(x).square().sum().backward()
    optimizer.step()
    layer(x)
    return layer


def float_weight(layer, x):
    layer.eval()(x)  # a hook's weight becomes that of evaluation
    return layer.weight.detach().clone()


@pytest.mark.parametrize("norm", LENGTHS)
@pytest.mark.parametrize("name", LAYERS)
def test_a_norm_of_length_is_folded(norm, name):
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer = trained(LENGTHS[norm](make()))
    direction = max((p for key, p in layer.named_parameters() if "bias" not in key), key=torch.Tensor.numel)
    plain = make()
    with torch.no_grad():
        plain.weight.copy_(float_weight(layer, torch.zeros(shape)))
    binarize(layer, "all").eval()
    assert latent_weights(layer)[""] is direction and len(list(layer.parameters())) == 2  # the length is gone
    torch.testing.assert_close(layer.weight, binarize(plain, "all").eval().weight)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("norm", STRETCHES)
@pytest.mark.parametrize("name", LAYERS)
def test_a_spectral_norm_is_that_of_the_binary_weights(norm, name, method):
    torch.manual_seed(0)
    make, _ = LAYERS[name]
    layer = trained(STRETCHES[norm](make(), n_power_iterations=30))
    original = max((p for key, p in layer.named_parameters() if "bias" not in key), key=torch.Tensor.numel)
    binarize(layer, "all", method).eval()
    assert latent_weights(layer)[""] is original
    signs, scale = signs_and_scale(layer)
    ratio = layer.weight / signs
    assert (ratio > 0).all() and scale.numel() == layer.bias.numel()
    flat = layer.weight.transpose(0, 1) if name == "deconv" else layer.weight  # as torch sees it, outputs first
    assert torch.linalg.matrix_norm(flat.flatten(1).detach(), 2).item() == pytest.approx(1, rel=0.02)


def network(norm):
    torch.manual_seed(0)
    return nn.Sequential(norm(nn.ConvTranspose2d(6, 8, 4, 2, 1)), nn.ReLU(), norm(nn.Conv2d(8, 3, 1)), nn.Tanh())


NORMS = [*LENGTHS.values(), *STRETCHES.values()]


@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: f"{norm.__module__}.{norm.__name__}")
def test_plan_train_and_pack(norm, tmp_path):
    module = network(norm)
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    plan = pbgen.plan(module, Z, threshold=64)
    assert plan == pbgen.plan(network(lambda layer: layer), Z, threshold=64)
    assert list(binary_layers(binarize(module, plan))) == plan.binary == ["0"]
    assert pbgen.plan(module, Z, threshold=64) == plan
    before = latent_weights(module)["0"].detach().clone()
    losses = []
    for _ in range(20):
        loss = (module(Z) - 0.5).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and not torch.equal(latent_weights(module)["0"], before)
    path = tmp_path / "g.safetensors"
    info = pbgen.pack(module, Z, path)
    assert [layer.name for layer in info.layers if layer.binary] == ["0"]
    images = torch.from_numpy(pbgen.Engine(path)(Z.numpy()))
    torch.testing.assert_close(images, module.eval()(Z).detach(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("method", ["bwn", "learned-scale"])
@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: f"{norm.__module__}.{norm.__name__}")
def test_a_float_modules_state_is_loaded(norm, method):
    pretrained = network(norm)
    with torch.no_grad():
        for parameter in pretrained.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    module = binarize(network(norm), "all", method)
    module.load_state_dict(pretrained.state_dict())
    expected = binarize(duplicate(pretrained).eval(), "all", method)
    torch.testing.assert_close(module.eval()(Z), expected(Z), rtol=1e-3, atol=1e-3)
    again = binarize(network(norm), "all", method)
    again.load_state_dict(module.state_dict())
    assert torch.equal(again.eval()(Z), module(Z))


@pytest.mark.parametrize("norm", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_a_copy_made_before_stays_float(norm):
    """It shares its class with its original."""
    module = network(norm).eval()
    twin, expected = copy.deepcopy(module), module(Z)
    binarize(module, "all")
    assert torch.equal(twin(Z), expected) and not torch.equal(module(Z), expected)
