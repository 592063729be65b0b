"""The built-in models and those from a user's file."""

import pytest
import torch
from torch import nn

from pbgen import models
from pbgen.errors import PBGenError
from pbgen.example import example_input


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("kernel_size", [4, 5])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_shapes(name, kernel_size, channels, norm):
    size = int(name.removeprefix("dcgan"))
    generator, discriminator = models.create(
        name, channels=channels, kernel_size=kernel_size, width=size // 4, latent=7, discriminator_norm=norm
    )
    assert generator.input_shape == (7,)
    assert generator.output_shape == (channels, size, size)
    with torch.no_grad():
        images = generator(torch.randn(2, 7))
        assert images.shape == (2, channels, size, size)
        assert images.abs().max() <= 1
        assert discriminator(images).shape == (2,)
    assert any(isinstance(part, nn.BatchNorm2d) for part in discriminator) == (norm == "batch" and size > 8)


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("dcgan32", [512, 256, 128, 3]),
        ("dcgan64", [1024, 512, 256, 128, 3]),
        ("dcgan128", [1024, 512, 256, 128, 64, 3]),
        ("dcgan256", [1024, 512, 256, 128, 64, 32, 3]),
    ],
)
def test_usual_widths(name, widths):
    generator, discriminator = models.create(name)
    deconvs = [part for part in generator if isinstance(part, nn.ConvTranspose2d)]
    convs = [part for part in discriminator if isinstance(part, nn.Conv2d)]
    assert [layer.out_channels for layer in deconvs] == widths
    assert [layer.in_channels for layer in convs] == widths[::-1]
    assert [layer.bias is not None for layer in deconvs] == [False] * (len(widths) - 1) + [True]
    assert [layer.bias is not None for layer in convs] == [True] + [False] * (len(widths) - 2) + [True]


def test_dcgan64_is_the_paper_size():
    generator, _ = models.create("dcgan64")
    assert sum(parameter.numel() for parameter in generator.parameters()) == 18_855_043
    assert generator.input_shape == (100,)


def test_layers_are_named_by_their_size():
    generator, discriminator = models.create("dcgan32", width=8)
    with torch.no_grad():
        value = torch.randn(2, 100)
        for name, layer in generator.named_children():
            value = layer(value)
            if name.startswith("deconv"):
                assert name == f"deconv{value.shape[-1]}"
        for name, layer in discriminator.named_children():
            value = layer(value)
            if name.startswith("conv"):
                assert name == f"conv{value.shape[-1]}"


def test_initial_weights():
    torch.manual_seed(0)
    for module in models.create("dcgan32", width=64):
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                assert parameter.eq(0).all()
            else:
                mean = 1 if "norm" in name else 0
                assert parameter.mean().item() == pytest.approx(mean, abs=0.02)
                assert parameter.std().item() == pytest.approx(0.02, rel=0.4)


def test_fresh_weights_follow_the_seed():
    first, second, other = (torch.manual_seed(seed) and models.create("dcgan32", width=8)[0] for seed in (1, 1, 2))
    assert torch.equal(first.deconv8.weight, second.deconv8.weight)
    assert not torch.equal(first.deconv8.weight, other.deconv8.weight)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dcgan48", {}, "model 'dcgan48': unknown; choose one of dcgan32, dcgan64, dcgan128, dcgan256 or give file"),
        ("dcgan64", {"channels": 4}, "channels 4: dcgan64 makes images of 1 or 3 channels"),
        ("dcgan64", {"kernel_size": 3}, "kernel size 3: dcgan64 has kernels of size 4 or 5"),
        ("dcgan64", {"width": 100}, "width 100: dcgan64 halves it 3 times; choose a multiple of 8"),
        ("dcgan256", {"width": 48}, "width 48: dcgan256 halves it 5 times; choose a multiple of 32"),
        ("dcgan64", {"width": 0}, "width 0: dcgan64 halves it"),
        ("dcgan64", {"width": 2**40}, "width 1099511627776, latent 100: the weights of dcgan64 would take"),
        ("dcgan32", {"latent": 2**62}, "width 512, latent 4611686018427387904: the weights of dcgan32 would take"),
        ("dcgan64", {"latent": 0}, "latent 0: dcgan64 needs a latent vector"),
        ("dcgan64", {"discriminator_norm": "instance"}, "discriminator norm 'instance': choose batch or layer"),
    ],
)
def test_refused_options(name, options, message):
    with pytest.raises(PBGenError) as caught:
        models.load(name, **options)
    assert str(caught.value).startswith(message)


def test_load_a_built_in():
    generator, discriminator = models.load("dcgan32", channels=1, kernel_size=4, width=8, latent=5)
    assert generator.output_shape == (1, 32, 32)
    assert isinstance(discriminator, nn.Module)


FILE = """
import dataclasses
import torch
from torch import nn
from neighbour import LATENT

@dataclasses.dataclass
class Options:
    latent: int = LATENT

class Generator(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(Options().latent, 12), nn.Unflatten(1, (3, 2, 2)))
        self.input_shape = (Options().latent,)

def alone(): return Generator()
def pair(): return Generator(), nn.Flatten()
def triple(): return Generator(), nn.Flatten(), nn.Flatten()
def number(): return 3
def shapeless(): return nn.Linear(3, 4)
def odd_shape():
    generator = Generator()
    generator.input_shape = (3.5,)
    return generator
def exampled(): return nn.Linear(3, 4), torch.ones(2, 3)
def mixing(): return nn.Bilinear(3, 4, 5), (torch.ones(2, 3), torch.zeros(2, 4))
def two_shapes():
    generator = nn.Bilinear(3, 4, 5)
    generator.input_shape = (3,), (4,)
    return generator
def flagged(): return nn.Linear(3, 4), (torch.ones(2, 3), True)
def unbatched(): return nn.Linear(3, 4), torch.ones(())
def odd_shapes():
    generator = nn.Bilinear(3, 4, 5)
    generator.input_shape = (3,), 4
    return generator
def failing(): raise ValueError("on two\\nlines")
def silent(): raise RuntimeError
def needing(argument): return Generator()
value = 3
"""


@pytest.fixture
def model_file(tmp_path):
    (tmp_path / "neighbour.py").write_text("LATENT = 5")
    (tmp_path / "my_model.py").write_text(FILE)
    return tmp_path / "my_model.py"


def test_load_a_file(model_file):
    generator, discriminator = models.load(f"{model_file}:alone")
    assert generator(torch.zeros(1, *generator.input_shape)).shape == (1, 3, 2, 2)
    assert discriminator is None
    generator, discriminator = models.load(f"{model_file}:pair", channels=1, discriminator_norm="layer")
    assert isinstance(discriminator, nn.Flatten)


@pytest.mark.parametrize(
    ("factory", "shapes"), [("exampled", [(2, 3)]), ("mixing", [(2, 3), (2, 4)]), ("two_shapes", [(2, 3), (2, 4)])]
)
def test_any_module_with_an_example_or_shapes(model_file, factory, shapes):
    generator, discriminator = models.load(f"{model_file}:{factory}")
    example = example_input(generator)
    values = example if isinstance(example, tuple) else (example,)
    assert [tuple(value.shape) for value in values] == shapes
    assert len(generator(*values)) == 2 and discriminator is None
    assert "example_input" not in generator.state_dict()


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("missing", "has no function 'missing'; it has "),
        ("value", "has no function 'value'"),
        ("", "has no function ''"),
        ("triple", "the factory returned (Generator, Flatten, Flatten); return a torch generator, or a pair"),
        ("unbatched", "the factory returned (Linear, Tensor); return a torch generator, or a pair"),
        ("flagged", "the factory's example input[1]: bool is no tensor; give a tensor or a tuple of them, and for"),
        ("odd_shapes", "its generator needs input_shape"),
        ("number", "the factory returned int; return a torch generator"),
        ("shapeless", "its generator needs input_shape, a tuple without the batch"),
        ("odd_shape", "its generator needs input_shape"),
        ("failing", "the factory fails: ValueError: on two lines"),
        ("silent", "the factory fails: RuntimeError"),
        ("needing", "the factory fails: TypeError: needing() missing 1 required positional argument"),
    ],
)
def test_refused_factories(model_file, factory, reason):
    with pytest.raises(PBGenError) as caught:
        models.load(f"{model_file}:{factory}")
    assert str(caught.value).startswith(f"{model_file}:{factory}: ")
    assert reason in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("nowhere.py", None, "there is no file"),
        ("broken.py", "def (", "fails when imported: SyntaxError"),
        ("needy.py", "import no_such_package", "fails when imported: ModuleNotFoundError: No module named"),
        ("model.txt", "", "is not a Python file; its name must end in .py"),
    ],
)
def test_refused_files(tmp_path, name, text, reason):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(PBGenError) as caught:
        models.load(f"{tmp_path / name}:factory")
    assert reason in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"width": 64}, {"kernel_size": 4}, {"latent": 10}])
def test_options_that_a_file_cannot_heed(model_file, options):
    with pytest.raises(PBGenError, match="kernel size, width and latent are for built-in models"):
        models.load(f"{model_file}:alone", **options)
