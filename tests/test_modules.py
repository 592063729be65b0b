"""Modules as users have them: wrapped, of other types of numbers, with weights that are computed. Each is planned,
binarized and packed as the plain one is."""

import copy
import threading

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

import pbgen
from pbgen.binarize import binarize, binary_layers, latent_weights
from pbgen.errors import PBGenError
from pbgen.modules import duplicate, inference_copy, unwrap

Z = torch.randn(2, 6, 3, 3, generator=torch.Generator().manual_seed(3))


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.ConvTranspose2d(6, 8, 4, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.Tanh(),
        nn.Conv2d(8, 3, 1),
    )


def chosen(module):
    return pbgen.plan(module, Z, threshold=1000)


def pack(module, folder, example=Z):
    """The layers that are binary in the file, and the images that it makes."""
    path = folder / "g.safetensors"
    info = pbgen.pack(module, example, path)
    return [layer.name for layer in info.layers if layer.binary], torch.from_numpy(pbgen.Engine(path)(Z.numpy()))


@pytest.fixture
def one_process(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def fabric(module):
    return Fabric(accelerator="cpu", devices=1).setup_module(module)


WRAPPERS = {
    "DataParallel": nn.DataParallel,
    "torch.compile": lambda module: torch.compile(module, backend="eager"),
    "Fabric": fabric,
    "several": lambda module: nn.DataParallel(torch.compile(fabric(module), backend="eager")),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrapped_modules(name, tmp_path):
    module = network()
    wrapped = WRAPPERS[name](module)
    assert unwrap(wrapped) is module
    plan = chosen(wrapped)
    assert plan == chosen(module) and plan.binary == ["0"]
    assert binarize(wrapped, plan) is wrapped
    assert list(binary_layers(module)) == plan.binary
    wrapped.eval()
    names, images = pack(wrapped, tmp_path)
    assert names == plan.binary
    torch.testing.assert_close(images, wrapped(Z).detach(), atol=1e-4, rtol=0)


def test_a_compiled_module_that_has_run_becomes_binary():
    module = network().eval()
    compiled = torch.compile(module, backend="eager")
    before = compiled(Z)
    binarize(compiled, ["3"])
    assert torch.equal(compiled(Z), module(Z)) and not torch.equal(compiled(Z), before)


def test_distributed_modules(one_process, tmp_path):
    module = nn.parallel.DistributedDataParallel(network())
    with pytest.raises(PBGenError, match=r"^DistributedDataParallel: .* binarize the module first, then wrap it$"):
        binarize(module, ["0"])
    assert not binary_layers(module)
    plan = chosen(module)
    module = nn.parallel.DistributedDataParallel(binarize(network(), plan))
    module(Z).sum().backward()
    assert chosen(module) == plan
    assert pack(module, tmp_path)[0] == plan.binary == ["0"]


@pytest.mark.parametrize("make", [torch.jit.script, lambda module: torch.jit.trace(module, Z)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_script_modules_are_refused(make, tmp_path):
    scripted = make(network())
    for module, where in ((scripted, "it is"), (nn.Sequential(nn.ReLU(), scripted), "its part '1' is")):
        for use in (chosen, lambda module: binarize(module, "all"), lambda module: pack(module, tmp_path)):
            with pytest.raises(
                PBGenError, match=f"^[a-zA-Z]*: {where} a ScriptModule, .* it was scripted or traced from$"
            ):
                use(module)


def test_what_is_no_module_is_refused(tmp_path):
    for use in (chosen, lambda module: binarize(module, "all"), lambda module: pack(module, tmp_path)):
        with pytest.raises(PBGenError, match=r"^module: expected a torch.nn.Module, got str$"):
            use("g.pt")


@pytest.mark.parametrize(
    ("dtype", "example"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.bfloat16),
        (torch.float64, torch.float32),
        ("mixed", torch.float64),
    ],
)
def test_other_types_of_numbers(dtype, example, tmp_path):
    plain = network()
    module = network()
    if dtype == "mixed":
        module[0].half()
    else:
        module.to(dtype)
    plan = pbgen.plan(module, Z.to(example), threshold=1000)
    assert plan == chosen(plain) and plan.binary == ["0"]
    binarize(module, plan)
    kept = {name: value.clone() for name, value in module.state_dict().items()}
    assert pbgen.plan(module, Z.to(example), threshold=1000) == plan
    names, images = pack(module, tmp_path, Z.to(example))
    assert names == plan.binary
    with torch.no_grad():
        expected = copy.deepcopy(module).float().eval()(Z)
    torch.testing.assert_close(images, expected, atol=1e-4, rtol=0)
    for name, value in module.state_dict().items():
        assert value.dtype == kept[name].dtype and torch.equal(value, kept[name])


class Gridded(nn.Module):
    """Tensors that torch does not convert with the module."""

    def __init__(self):
        super().__init__()
        self.layer, self.grid = nn.Linear(3, 3).double(), torch.linspace(1, 2, 3, dtype=torch.float64)

    def forward(self, x):
        return self.layer(self.grid * x)


def test_plain_attributes_are_converted_too(tmp_path):
    module = Gridded()
    path = tmp_path / "g.safetensors"
    assert pbgen.plan(module, torch.zeros(1, 3)).float == ["layer"]
    pbgen.pack(module, torch.ones(1, 3), path)
    assert module.grid.dtype == torch.float64
    expected = module(torch.ones(1, 3).double()).detach().float()
    torch.testing.assert_close(torch.from_numpy(pbgen.Engine(path)(torch.ones(1, 3).numpy())), expected)


# --- weights that are computed ---------------------------------------------------------------------------------------


class OwnNorm(nn.Conv2d):
    """Computes its weight in forward and keeps it, with its gradient."""

    def __init__(self, *args):
        super().__init__(*args)
        self.direction = self.weight
        del self.weight

    def forward(self, x):
        self.weight = self.direction / self.direction.norm()
        self.seen = {"weights": [self.weight]}
        return self._conv_forward(x, self.weight, self.bias)


NORMS = {
    "weight_norm": weight_norm,
    "spectral_norm": spectral_norm,
    "pruning": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "parametrizations.weight_norm": parametrizations.weight_norm,
    "parametrizations.spectral_norm": parametrizations.spectral_norm,
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("name", NORMS)
def test_norms_of_weights_after_a_backward_pass(name, tmp_path):
    module = binarize(network(), ["0"])
    NORMS[name](module[3])
    module(Z).sum().backward()
    plan = chosen(module)
    assert plan == chosen(network())
    info = pbgen.pack(module, Z, tmp_path / "g.safetensors")
    assert [layer.name for layer in info.layers if layer.binary] == ["0"]
    plain = nn.Sequential(*(copy.deepcopy(module[i]) if i != 3 else nn.Conv2d(8, 8, 3) for i in range(6))).eval()
    with torch.no_grad():
        module.eval()(Z)  # the hooks' weights become those of evaluation
        plain[3].weight.copy_(module[3].weight)
        plain[3].bias.copy_(module[3].bias)
    images = torch.from_numpy(pbgen.Engine(tmp_path / "g.safetensors")(Z.numpy()))
    torch.testing.assert_close(images, plain(Z).detach(), atol=1e-4, rtol=0)
    parameters = sum(latent.numel() for latent in plain.parameters())
    assert info.float_bytes == 4 * (parameters + 2 * 8)  # and the statistics: the norm's own numbers are not counted


def test_a_weight_that_forward_computes_and_keeps(tmp_path):
    module = nn.Sequential(OwnNorm(6, 8, 3))
    module(Z).sum().backward()
    assert [row.fan_in for row in chosen(module).layers] == [54]
    _, images = pack(module, tmp_path)
    torch.testing.assert_close(images, module(Z).detach(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("method", ["bwn", "learned-scale", "irnet"])
def test_a_norm_over_a_binary_layer_keeps_it_binary(method, tmp_path):
    module = binarize(network(), ["0", "3"], method)
    for layer in (module[0], module[3]):
        parametrizations.spectral_norm(layer)
    module(Z).sum().backward()
    names, images = pack(module, tmp_path)
    assert names == ["0", "3"]
    torch.testing.assert_close(images, module.eval()(Z).detach(), atol=1e-4, rtol=0)


class Shuffled(nn.Module):
    def forward(self, weight):
        return weight + torch.linspace(0, 1, weight.shape[-1])


def test_a_binary_layer_that_would_be_packed_as_float_is_named(tmp_path):
    module = binarize(network(), ["0", "3"])
    nn.utils.parametrize.register_parametrization(module[3], "weight", Shuffled())
    with pytest.raises(PBGenError, match=r"^layer '3': its binary weights are not what the module computes with, "):
        pack(module, tmp_path)


class Equalized(nn.Conv2d):
    def forward(self, x):
        return self._conv_forward(x, self.weight * 0.3, self.bias)


def test_a_binary_weight_scaled_in_forward_stays_binary(tmp_path):
    module = binarize(nn.Sequential(Equalized(6, 8, 3)), "all")
    names, images = pack(module, tmp_path)
    assert names == ["0"]
    torch.testing.assert_close(images, module(Z).detach(), atol=1e-4, rtol=0)


class Aside(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Conv2d(6, 3, 1), nn.Conv2d(6, 3, 1)

    def forward(self, x):
        return self.used(x)


def test_binary_layers_that_take_no_part(tmp_path):
    assert pack(binarize(Aside(), "all"), tmp_path)[0] == ["used"]
    with pytest.raises(PBGenError, match=r"^none of the binary layers, unused, takes part in the output$"):
        pack(binarize(Aside(), ["unused"]), tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (NORMS["pruning"], r'made by pruning; call torch.nn.utils.prune.remove\(layer, "weight"\) first'),
        (parametrizations.orthogonal, r"made by a parametrization, Orthogonal; call .*remove_parametrizations\("),
        (
            lambda layer: OwnNorm(8, 8, 3),
            "not a parameter but computed in code of its own, OwnNorm or who calls it; give",
        ),
    ],
)
def test_what_to_do_about_a_computed_weight(make, message):
    module = network()
    module[3] = make(module[3])
    with pytest.raises(PBGenError, match=f"^layer '3': its weight is {message}"):
        binarize(module, "all")


class Functional(nn.Module):
    """Layers of the user's own code, with weights that it scales."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Parameter(torch.randn(8, 6, 3, 3))
        self.up = nn.ParameterList([nn.Parameter(torch.randn(8, 4, 2, 2))])
        self.mix = nn.Parameter(torch.randn(4, 3))

    def forward(self, x):
        x = F.conv2d(x, self.conv * 0.2, padding=1).relu()
        x = F.conv_transpose2d(x, self.up[0] / self.up[0].square().mean(), stride=2)
        return torch.tanh(x.permute(0, 2, 3, 1) @ self.mix).permute(0, 3, 1, 2)


def test_functional_layers_are_planned_binarized_and_packed(tmp_path):
    torch.manual_seed(0)
    module = Functional()
    plan = pbgen.plan(module, Z, threshold=1)
    assert plan.binary == ["conv", "up.0", "mix"]
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    binarize(module, plan)
    assert pbgen.plan(module, Z, threshold=1) == plan
    before = {name: weight.detach().clone() for name, weight in latent_weights(module).items()}
    module(Z).square().mean().backward()
    optimizer.step()
    assert all(not torch.equal(weight, before[name]) for name, weight in latent_weights(module).items())
    info = pbgen.pack(module, Z, tmp_path / "g.safetensors")
    assert [layer.binary for layer in info.layers] == [True] * 3
    images = torch.from_numpy(pbgen.Engine(tmp_path / "g.safetensors")(Z.numpy()))
    torch.testing.assert_close(images, module.eval()(Z).detach(), atol=1e-4, rtol=0)
    other = Functional()
    state = module.state_dict()
    other.load_state_dict({k.replace("parametrizations.", "").replace(".original", ""): state[k] for k in state})
    again = binarize(Functional(), plan)
    again.load_state_dict(other.state_dict())
    torch.testing.assert_close(again.eval()(Z), module(Z))


class Silent(nn.Sequential):
    def eval(self):
        super().eval()


def test_eval_that_returns_nothing():
    assert chosen(Silent(*network())) == chosen(network())


def test_a_plan_that_chooses_nothing_says_why():
    plan = pbgen.plan(network(), Z)
    with pytest.raises(
        PBGenError, match=r"^nothing to binarize: the plan has no binary layer, as the largest degree of "
    ):
        binarize(network(), plan)
    with pytest.raises(
        PBGenError, match=r"\(layer '0'\) and its threshold 10,000; plan with a lower threshold, or name"
    ):
        binarize(network(), plan)


# --- copies ----------------------------------------------------------------------------------------------------------


def test_a_copy_shares_nothing_and_keeps_what_is_shared():
    module = OwnNorm(6, 8, 3)
    module.again = module.direction
    module(Z).sum().backward()
    twin = duplicate(module)
    assert twin.weight is twin.seen["weights"][0] and twin.again is twin.direction
    assert torch.equal(twin.weight, module.weight) and not twin.weight.requires_grad
    assert twin.weight.data_ptr() != module.weight.data_ptr() and module.weight.grad_fn is not None
    assert twin.direction.requires_grad and twin.direction.data_ptr() != module.direction.data_ptr()


def test_what_cannot_be_copied_is_told():
    module = network()
    module.lock = threading.Lock()
    with pytest.raises(PBGenError, match=r"^Sequential: cannot be copied: cannot pickle '_thread.lock' object$"):
        chosen(module)


def test_parameters_without_a_shape_are_told(tmp_path):
    module = nn.Sequential(nn.LazyConv2d(3, 1))
    for use in (chosen, lambda module: pack(module, tmp_path)):
        with pytest.raises(
            PBGenError, match=r"^Sequential: its '0.weight' has no shape yet; run the module once first$"
        ):
            use(module)


def test_a_module_without_numbers_is_planned():
    with torch.device("meta"):
        module = network()
    assert pbgen.plan(module, Z.to("meta"), threshold=1000) == chosen(network())
    assert inference_copy(module)[0].weight.is_meta


class Settings(dict):
    """A configuration whose entries are attributes, as vocoders have it."""

    def __init__(self, **entries):
        super().__init__(entries)
        self.__dict__ = self


class Configured(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.h = nn.Conv2d(6, 3, 1), Settings(slope=0.1)

    def forward(self, x):
        return F.leaky_relu(self.layer(x), self.h.slope)


def test_settings_that_are_their_own_attributes(tmp_path):
    module = Configured().eval()
    _, images = pack(module, tmp_path)
    assert torch.allclose(images, module(Z), atol=1e-5)
