"""The estimators against their formulas written out channel by channel, and what users do with binary modules."""

import copy
import math
import os
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

import pbgen
from pbgen.binarize import (
    METHODS,
    binarize,
    binary_layers,
    clip_latent_weights,
    latent_weights,
    set_progress,
    signs_and_scale,
)
from pbgen.errors import PBGenError

LAYERS = {
    "linear": (lambda: nn.Linear(5, 3), (5,)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, groups=2, stride=2), (4, 9)),
    "conv2d": (lambda: nn.Conv2d(3, 5, (2, 3), padding=1), (3, 6, 7)),
    "depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4), (4, 5, 5)),
    "deconv1d": (lambda: nn.ConvTranspose1d(6, 9, 4, groups=3, stride=2), (6, 5)),
    "deconv2d": (lambda: nn.ConvTranspose2d(5, 3, (2, 3), stride=2, output_padding=1), (5, 4, 3)),
    "grouped deconv2d": (lambda: nn.ConvTranspose2d(4, 6, 3, groups=2, padding=1), (4, 4, 3)),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    torch.manual_seed(1)
    layer = LAYERS[request.param][0]().double()
    with torch.no_grad():
        layer.weight.mul_(3).add_(0.1)  # some beyond [-1, 1], and no mean of zero
    return layer


def channels(layer, tensor):
    """`tensor`, shaped as the layer's weight, cut into its output channels: a list of views, in the output's order."""
    if not isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d):
        return list(tensor)
    rows, columns = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    return [tensor[g * rows : (g + 1) * rows, j] for g in range(layer.groups) for j in range(columns)]


def hard(w):
    return torch.tensor([1.0 if x >= 0 else -1.0 for x in w.flatten().tolist()], dtype=w.dtype).reshape(w.shape)


def balanced(w):
    return (w - w.mean()) / ((w - w.mean()) ** 2).mean().sqrt()


def expected_split(method, w):
    """Signs and scale of one output channel, from the papers."""
    if method == "irnet":
        v = balanced(w)
        return hard(v), 2.0 ** round(math.log2(v.abs().mean().item()))
    return hard(w), 1.0 if method.startswith("binaryconnect") else w.abs().mean().item()


def expected_gradient(method, w, g, progress):
    """dL/dw of one output channel for dL/db = g, from the docstrings' formulas."""
    inside = g * (w.abs() <= 1)
    if method.startswith("binaryconnect"):
        return inside
    if method == "irnet":
        v, (_, scale) = balanced(w), expected_split(method, w)
        t = 0.1 * (10 / 0.1) ** progress
        through_sign = scale * g * max(1 / t, 1) * t * (1 - torch.tanh(t * v) ** 2)
        jacobian = torch.autograd.functional.jacobian(balanced, w).reshape(w.numel(), w.numel())
        return (through_sign.flatten() @ jacobian).reshape(w.shape)
    through_sign = w.abs().mean() * inside
    through_scale = hard(w) / w.numel() * (g * hard(w)).sum() if method == "bwn" else 0
    return through_sign + through_scale


@pytest.mark.parametrize("method", METHODS)
def test_value(layer, method):
    latent = layer.weight.detach().clone()
    binarize(layer, [""], method).eval()
    signs, scale = signs_and_scale(layer)
    assert signs.shape == latent.shape and scale.shape == (len(channels(layer, latent)),)
    for w, weight, sign, a in zip(*(channels(layer, x) for x in (latent, layer.weight, signs)), scale, strict=True):
        expected_sign, expected_scale = expected_split(method, w)
        assert torch.equal(sign, expected_sign)
        assert a.item() == pytest.approx(expected_scale, rel=1e-12)
        assert torch.equal(weight, sign * a)  # to the bit: this is what is packed


@pytest.mark.parametrize(("method", "progress"), [*((method, 0) for method in METHODS), ("irnet", 0.3), ("irnet", 1)])
def test_gradient(layer, method, progress):
    latent, before = layer.weight, layer.weight.detach().clone()
    binarize(layer, "all", method)
    set_progress(layer, progress)
    upstream = torch.randn_like(before)
    layer.weight.backward(upstream)
    for w, g, gradient in zip(*(channels(layer, x) for x in (before, upstream, latent.grad)), strict=True):
        torch.testing.assert_close(gradient, expected_gradient(method, w, g, progress), rtol=1e-10, atol=1e-12)


def test_gradient_of_the_learned_scale(layer):
    binarize(layer, "all", "learned-scale")
    learned = layer.parametrizations.weight[0].learned
    upstream = torch.randn_like(layer.weight)
    layer.weight.backward(upstream)
    for index, gradient in enumerate(learned.grad):
        values = []
        for step in (1e-3, -1e-3):
            with torch.no_grad():
                learned[index] += step
                values.append((layer.weight * upstream).sum())
                learned[index] -= step
        assert gradient.item() == pytest.approx((values[0] - values[1]).item() / 2e-3, rel=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_the_scale_belongs_to_the_output_channel(name):
    """Signs alone, then each channel of the output times its scale, give what the layer gives."""
    make, shape = LAYERS[name]
    layer = binarize(make(), "all").eval()
    signs, scale = signs_and_scale(layer)
    plain = make()
    with torch.no_grad():
        plain.weight.copy_(signs)
        plain.bias.zero_()
        x = torch.randn(2, *shape)
        per_channel = [-1] + [1] * (len(shape) - 1)
        torch.testing.assert_close(
            plain(x) * scale.reshape(per_channel) + layer.bias.reshape(per_channel), layer(x), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("method", METHODS)
def test_zero_is_positive_and_finite(method):
    layer = nn.Conv2d(2, 3, 2)
    nn.init.zeros_(layer.weight)
    binarize(layer, "all", method).eval()
    assert torch.equal(signs_and_scale(layer)[0], torch.ones(3, 2, 2, 2))
    layer.weight.sum().backward()
    assert latent_weights(layer)[""].grad.isfinite().all()


def test_zero_weights_can_leave_zero():
    layer = nn.Linear(4, 2)
    nn.init.zeros_(layer.weight)
    binarize(layer, "all", "bwn").weight.sum().backward()
    assert (latent_weights(layer)[""].grad > 0).all()


def test_stochastic_probabilities():
    layer = nn.Linear(20_000, 5)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([-1.0, -0.5, 0.0, 0.8, 1.0])[:, None].expand(5, 20_000))
    binarize(layer, "all", "binaryconnect-stochastic")
    torch.manual_seed(0)
    first = layer.weight
    assert set(first.unique().tolist()) == {-1.0, 1.0}
    assert (first > 0).double().mean(1).tolist() == pytest.approx([0, 0.25, 0.5, 0.9, 1], abs=0.02)
    assert not torch.equal(first, layer.weight)
    torch.manual_seed(0)
    assert torch.equal(first, layer.weight)
    expected = torch.tensor([-1.0, -1.0, 1.0, 1.0, 1.0])[:, None].expand(5, 20_000)
    assert torch.equal(signs_and_scale(layer)[0], expected)  # in training mode too
    assert torch.equal(layer.eval().weight, expected)


def test_irnet_gradient_sharpens():
    layer = binarize(nn.Linear(50, 1, bias=False), "all", "irnet")
    spread = []
    for progress in (0, 0.5, 1):
        set_progress(layer, progress)
        estimator = layer.parametrizations.weight[0]
        v = torch.tensor([0.0, 1.0], requires_grad=True)
        spread.append(torch.autograd.grad(estimator.surrogate(v).sum(), v)[0])
    assert spread[0].tolist() == pytest.approx([1, 1], abs=0.02)
    assert spread[2][0] == 10 and spread[2][1] < 1e-6
    assert spread[0][1] > spread[1][1] > spread[2][1]


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan])
def test_progress_out_of_range(fraction):
    with pytest.raises(PBGenError, match=r"progress .*: must lie in 0 \.\. 1"):
        set_progress(nn.Linear(1, 1), fraction)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16),
        nn.Unflatten(1, (4, 2, 2)),
        nn.Sequential(nn.ConvTranspose2d(4, 8, 3, stride=2, groups=2), nn.BatchNorm2d(8), nn.ReLU()),
        nn.Conv2d(8, 3, 2),
        nn.Tanh(),
    )


LATENT_NAMES = ["0", "2.0", "3"]


def test_what_is_selected():
    module = network()
    assert binarize(module, "all") is module
    assert list(binary_layers(module)) == LATENT_NAMES
    module = binarize(network(), ("2.0", "3", "2.0"))
    assert list(binary_layers(module)) == ["2.0", "3"] and len(module[2][0].parametrizations["weight"]) == 1
    plan = pbgen.plan(network(), torch.zeros(1, 6), threshold=33)
    assert list(binary_layers(binarize(network(), plan))) == plan.binary == ["2.0"]


@pytest.mark.parametrize("method", METHODS)
def test_latent_weights_are_the_same_parameters(method):
    module = network()
    before = [module[0].weight, module[2][0].weight, module[3].weight]
    values = [weight.detach().clone() for weight in before]
    binarize(module, "all", method)
    assert all(new is old for new, old in zip(latent_weights(module).values(), before, strict=True))
    assert all(torch.equal(new, old) for new, old in zip(before, values, strict=True))


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_kept(training):
    module = binarize(network().train(training), "all", "binaryconnect-stochastic")
    assert all(part.training == training for part in module.modules())


def test_clip_latent_weights():
    module = binarize(network(), ["0", "2.0"])
    with torch.no_grad():
        for weight in [*latent_weights(module).values(), module[3].weight]:
            weight.mul_(100)
    clip_latent_weights(module)
    assert all(weight.abs().max() == 1 for weight in latent_weights(module).values())
    assert module[3].weight.abs().max() > 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("early", [True, False])
def test_training_moves_the_latent_weights(method, early):
    module = network()
    optimizer = torch.optim.Adam(module.parameters(), 0.01) if early else None
    binarize(module, "all", method)
    optimizer = optimizer or torch.optim.Adam(module.parameters(), 0.01)
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    z, target = torch.randn(8, 6), torch.rand(8, 3, 4, 4)
    losses = []
    for _ in range(20):
        loss = F.mse_loss(module(z), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses) < losses[0]
    unmoved = [name for name, parameter in module.named_parameters() if torch.equal(parameter, before[name])]
    # The one thing that an optimizer made before cannot know.
    assert unmoved == [n for n in before if n.endswith("learned") and early]


@pytest.mark.parametrize("method", METHODS)
def test_state_dict_round_trip(method, tmp_path):
    module = binarize(network(), "all", method)
    other = binarize(network(), "all", method)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter))
    torch.save(module.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    z = torch.randn(2, 6)
    assert torch.equal(module.eval()(z), other.eval()(z))


@pytest.mark.parametrize("method", METHODS)
def test_a_float_modules_state_is_loaded_as_if_it_had_been_binarized(method):
    pretrained = network()
    with torch.no_grad():
        for parameter in pretrained.parameters():
            parameter.add_(torch.randn_like(parameter))
    module = copy.deepcopy(binarize(network(), ["0", "2.0"], method))
    module.load_state_dict(pretrained.state_dict())
    assert all(torch.equal(latent, pretrained.get_submodule(n).weight) for n, latent in latent_weights(module).items())
    expected, z = binarize(copy.deepcopy(pretrained), ["0", "2.0"], method), torch.randn(2, 6)
    assert torch.equal(module.eval()(z), expected.eval()(z))
    with pytest.raises(RuntimeError, match=r"size mismatch for 0.parametrizations.weight.original"):
        module.load_state_dict({**pretrained.state_dict(), "0.weight": torch.zeros(3)})


@pytest.mark.parametrize("method", METHODS)
def test_ways_back_to_a_float_module(method):
    """As docs/training.md tells them; torch refuses the state as it is, rather than load half of it."""
    module, z = binarize(network(), "all", method).eval(), torch.randn(2, 6)
    state = module.state_dict()
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"0.weight\""):
        network().load_state_dict(state)
    plain, latent = network(), {}
    for name, value in state.items():
        if not name.endswith(".learned"):
            latent[name.replace(".parametrizations.weight.original", ".weight")] = value
    plain.load_state_dict(latent)
    assert all(torch.equal(plain.get_submodule(n).weight, w) for n, w in latent_weights(module).items())
    binary = {f"{name}.weight": layer.weight for name, layer in binary_layers(module).items()}
    plain.load_state_dict({**latent, **binary})
    assert torch.equal(plain.eval()(z), module(z))


@pytest.mark.parametrize("method", METHODS)
def test_torch_removes_the_estimators(method):
    module, z = binarize(network(), "all", method).eval(), torch.randn(2, 6)
    expected = module(z)
    for layer in binary_layers(module).values():
        nn.utils.parametrize.remove_parametrizations(layer, "weight")
    assert torch.equal(module(z), expected)
    module.load_state_dict(network().state_dict())
    assert torch.equal(module(z), network().eval()(z))


def test_pickling_is_refused_by_torch(tmp_path):
    """In words of its own; the state_dict is what is saved."""
    with pytest.raises(RuntimeError, match=r"only supported through state_dict\(\)"):
        torch.save(binarize(network(), "all"), tmp_path / "module.pt")


@pytest.mark.parametrize("method", METHODS)
def test_deepcopy(method):
    module = binarize(network(), "all", method)
    set_progress(module, 0.5)
    twin = copy.deepcopy(module)
    z = torch.randn(2, 6)
    with torch.no_grad():
        expected = module.eval()(z)
        assert torch.equal(twin.eval()(z), expected)
        for weight in latent_weights(twin).values():
            weight.neg_().add_(0.1)
        assert not torch.equal(twin(z), expected)
        assert torch.equal(module(z), expected)
    estimators = [layer.parametrizations.weight[0] for layer in binary_layers(twin).values()]
    assert all(getattr(estimator, "progress", 0.5) == 0.5 for estimator in estimators)


@pytest.mark.parametrize("method", METHODS)
def test_autocast(method):
    module = binarize(network(), "all", method)
    with torch.autocast("cpu", torch.bfloat16):
        assert module[0].weight.dtype == torch.float32
        image = module(torch.randn(4, 6))
    assert image.dtype == torch.bfloat16
    image.float().square().mean().backward()
    gradients = [weight.grad for weight in latent_weights(module).values()]
    assert all(g.dtype == torch.float32 and g.isfinite().all() and g.any() for g in gradients)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize("groups", [1, 2])
def test_the_memory_format_is_kept(method, kind, groups):
    layer = binarize(kind(4, 6, 3, groups=groups).to(memory_format=torch.channels_last), "all", method)
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(method, dtype):
    layer = binarize(nn.Conv2d(3, 4, 2).to(dtype), "all", method).eval()
    signs, scale = signs_and_scale(layer)
    assert layer.weight.dtype == signs.dtype == scale.dtype == dtype
    assert torch.equal(layer.weight, signs * scale.reshape(-1, 1, 1, 1))


@pytest.mark.parametrize("method", METHODS)
def test_export(method):
    module = binarize(network(), "all", method).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(module, (torch.randn(2, 6),), dynamic_shapes=({0: batch},))
    z = torch.randn(3, 6)
    torch.testing.assert_close(program.module()(z), module(z))


@pytest.mark.parametrize("method", METHODS)
def test_gradient_penalty(method):
    """A gradient of a gradient, as WGAN-GP needs it, against finite differences of the penalty in the bias."""
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, 1)).double()
    binarize(critic, "all", method).eval()
    images = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)

    def penalty():
        (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
        return ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()

    penalty().backward()
    assert all(weight.grad.any() for weight in latent_weights(critic).values())
    bias = critic[0].bias
    for index in range(4):
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                bias[index] += step
            values.append(penalty().item())
            with torch.no_grad():
                bias[index] -= step
        assert bias.grad[index].item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4, abs=1e-8)


def ddp_module(method):
    module = network()
    module[2][1] = nn.Identity()  # batch norm would see half a batch
    return binarize(module, "all", method)


def ddp_step(rank, folder, method):
    """One process's half of a batch; the first process saves the gradients."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    module = nn.parallel.DistributedDataParallel(ddp_module(method))
    z = torch.load(f"{folder}/z.pt")
    module(z[rank::2]).square().mean().backward()
    if rank == 0:
        torch.save([parameter.grad for parameter in module.module.parameters()], f"{folder}/gradients.pt")
    dist.destroy_process_group()
    os._exit(0)  # torch's threads now and then abort a process that takes its things down on the way out


def test_two_processes_have_the_gradient_of_one(tmp_path, method="learned-scale"):
    z = torch.randn(8, 6)
    torch.save(z, tmp_path / "z.pt")
    torch.multiprocessing.spawn(ddp_step, (tmp_path, method), nprocs=2)
    module = ddp_module(method)
    module(z).square().mean().backward()
    for found, parameter in zip(torch.load(tmp_path / "gradients.pt"), module.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad, rtol=1e-5, atol=1e-7)


def shared():
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    module[1].weight = module[0].weight
    return module


def embedded():
    module = nn.Sequential(nn.Embedding(4, 4), nn.Linear(4, 4))
    module[1].weight = module[0].weight
    return module


def normed():
    module = network()
    nn.utils.parametrizations.orthogonal(module[3])
    return module


@pytest.mark.parametrize(
    ("module", "selection", "method", "message"),
    [
        (network, "all", "xnor", "method 'xnor': unknown; choose one of binaryconnect, binaryconnect-stochastic, bwn,"),
        (network, ["2.1"], "bwn", "layer '2.1': a BatchNorm2d cannot be binary; ConvTranspose1d, ConvTranspose2d, "),
        (network, ["2.00"], "bwn", "layer '2.00': not in Sequential; it has 2.0"),
        (network, ["deconv"], "bwn", "layer 'deconv': not in Sequential; it has 0, 1, 2, 2.0, 2.1, 2.2, 3, 4"),
        (network, "2.0", "bwn", "selection '2.0': give a plan, \"all\" or a list of layer names"),
        (network, [], "bwn", "nothing to binarize: no layer of Sequential is selected"),
        (lambda: nn.ReLU(), "all", "bwn", "nothing to binarize: no layer of ReLU is selected"),
        (lambda: binarize(network(), ["3"]), "all", "bwn", "layer '3': binary already"),
        (shared, "all", "bwn", "layer '0': shares its weight with '1'"),
        (shared, ["1"], "bwn", "layer '1': shares its weight with '0'"),
        (embedded, ["1"], "bwn", "layer '1': shares its weight with '0'"),
        (normed, "all", "bwn", "layer '3': its weight is made by a parametrization, Orthogonal; call torch.nn.utils."),
        (lambda: nn.Sequential(nn.LazyLinear(3)), "all", "bwn", "layer '0': its weight has no shape yet"),
        (lambda: nn.Sequential(nn.Conv1d(3, 3, 1, groups=3)), "all", "irnet", "layer '0': one weight an output"),
    ],
)
def test_refusals_change_nothing(module, selection, method, message):
    module = module()
    before = list(binary_layers(module))
    with pytest.raises(PBGenError) as caught:
        binarize(module, selection, method)
    assert str(caught.value).startswith(message)
    assert list(binary_layers(module)) == before


def test_a_plan_of_another_network():
    plan = pbgen.plan(nn.Sequential(nn.Linear(200, 200), nn.Linear(200, 200)), torch.zeros(1, 200))
    with pytest.raises(PBGenError, match=r"layer '0': a Flatten cannot be binary"):
        binarize(nn.Sequential(nn.Flatten()), plan)


def test_signs_of_a_float_layer():
    with pytest.raises(PBGenError, match="Linear: not a binary layer"):
        signs_and_scale(nn.Linear(2, 2))


@pytest.mark.parametrize(
    "first",
    [
        "from pbgen.binarize import METHODS",
        "import pbgen.binarize; pbgen.plan",
        "import pbgen; pbgen.binarize; pbgen.plan",
    ],
)
def test_pbgen_binarize_is_the_function_after_any_import(first):
    code = f"{first}\nimport pbgen, types\nfrom pbgen import binarize\nassert pbgen.binarize is binarize"
    code += "\nassert isinstance(binarize, types.FunctionType), binarize\nfrom pbgen.binarize import binary_layers"
    code += "\nassert isinstance(pbgen.binarize, types.FunctionType)"
    subprocess.run([sys.executable, "-c", code], check=True)


SEVERAL = ("bwn", "learned-scale")  # the methods that know weights of several bits


def of_bits(layer, bits, method):
    """The layer alone, with weights of so many bits."""
    x = torch.zeros(1, *LAYERS[layer][1], dtype=torch.float64)
    torch.manual_seed(1)
    module = nn.Sequential(LAYERS[layer][0]().double())
    return binarize(module, pbgen.plan(module, x).choosing({"0": bits}), method)[0]


def distance(w, levels, a):
    return (w - a * levels).square().sum().item()


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("method", SEVERAL)
@pytest.mark.parametrize("kind", LAYERS)
def test_several_bits(kind, method, bits):
    layer = of_bits(kind, bits, method).eval()
    latent = layer.parametrizations.weight.original.detach()
    levels, scale = signs_and_scale(layer)
    assert set(levels.flatten().tolist()) <= set(range(1 - 2**bits, 2**bits, 2)) and scale.min() > 0
    for w, weight, level, a in zip(*(channels(layer, x) for x in (latent, layer.weight, levels)), scale, strict=True):
        assert torch.equal(weight, level * a)
        coarse = w.abs().mean()
        assert distance(w, level, a) < distance(w, hard(w), coarse)  # nearer than one bit
        if method == "bwn":  # the best scale for these levels
            assert a.item() == pytest.approx(((w * level).sum() / level.square().sum()).item(), rel=1e-12)


@pytest.mark.parametrize("method", SEVERAL)
def test_the_gradient_of_several_bits(method):
    layer = of_bits("linear", 2, method).train()
    latent = layer.parametrizations.weight.original
    with torch.no_grad():
        latent[0, 0] = 30.0  # beyond all levels of its channel
    g = torch.randn(3, 5, dtype=torch.float64)
    step = layer.parametrizations.weight[0].step(latent.detach()[None, None]).detach().reshape(3, 1)
    levels, scale = (value.detach() for value in signs_and_scale(layer))
    (layer.weight * g).sum().backward()
    v = latent.detach() / step
    through = scale[:, None] / step * g * (v.abs() <= 4)
    if method == "learned-scale":
        expected = (g * torch.where(v.abs() <= 4, levels - v, levels)).sum(1)
        torch.testing.assert_close(layer.parametrizations.weight[0].learned.grad, expected)
    else:
        through = through + levels / levels.square().sum(1, keepdim=True) * (g * levels).sum(1, keepdim=True)
    torch.testing.assert_close(latent.grad, through)


def test_which_methods_know_several_bits():
    module = nn.Sequential(nn.Linear(5, 3))
    plan = pbgen.plan(module, torch.zeros(1, 5)).choosing({"0": 3})
    for method in set(METHODS) - set(SEVERAL):
        with pytest.raises(PBGenError, match=rf"^layer '0': 3 bits, and method '{method}' has one; bwn, learned-scale"):
            binarize(module, plan, method)
    assert not binary_layers(module)


def test_latent_weights_of_several_bits_are_not_clipped():
    layer = of_bits("linear", 2, "bwn")
    with torch.no_grad():
        layer.parametrizations.weight.original.fill_(3.0)
    clip_latent_weights(layer)
    assert layer.parametrizations.weight.original.unique().item() == 3


@pytest.mark.parametrize("method", SEVERAL)
def test_a_float_state_begins_several_bits_as_binarize_would(method):
    torch.manual_seed(0)
    other = nn.Linear(5, 3).double()
    layer, expected = of_bits("linear", 3, method), nn.Sequential(copy.deepcopy(other))
    layer.load_state_dict(other.state_dict())
    plan = pbgen.plan(expected, torch.zeros(1, 5, dtype=torch.float64)).choosing({"0": 3})
    assert torch.equal(layer.weight, binarize(expected, plan, method)[0].weight)
