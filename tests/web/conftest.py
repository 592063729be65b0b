"""What the tests of the browser's side share: small generators, Node, and a browser."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pbgen
from pbgen.web.bundle import FOLDER, MODULES

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
RELAXED = "--experimental-wasm-relaxed-simd"  # what Node 20 has it behind; later ones have it as it is

torch.set_num_threads(1)


class Mixed(nn.Module):
    """Two inputs of any size, noise, two outputs."""

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x + y * torch.randn_like(x), x * y


def _packed(module: nn.Module, inputs: Tensor | tuple[Tensor, ...], file: Path) -> Path:
    pbgen.pack(module.eval(), inputs, file)
    return file


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("web")


@pytest.fixture(scope="session")
def latents(folder: Path) -> Path:
    """Makes 3x32x32 of 8 numbers; all layers but the last are binary."""
    torch.manual_seed(0)
    generator, _ = pbgen.models.create("dcgan32", width=16, latent=8)
    z = torch.randn(64, 8)
    pbgen.binarize(generator, pbgen.plan(generator, z[:1], threshold=50))
    with torch.no_grad():  # as untrained, everything is grey
        for layer in generator.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 1.0
        generator.train()(z)
        list(generator.modules())[-2].weight *= 10
    return _packed(generator, z[:1], folder / "latents.safetensors")


@pytest.fixture(scope="session")
def picture(folder: Path) -> Path:
    """Makes pictures of any size twice as large; has no padding, so two pixels a side are lost."""
    torch.manual_seed(0)
    upscaler = nn.Sequential(nn.Conv2d(3, 8, 3), nn.LeakyReLU(0.1), nn.ConvTranspose2d(8, 3, 4, 2, 3), nn.Sigmoid())
    return _packed(upscaler, torch.rand(2, 3, 20, 24), folder / "picture.safetensors")


@pytest.fixture(scope="session")
def sound(folder: Path) -> Path:
    """Makes mono sounds of any length louder by what is learned."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(1, 8, 9, padding=4), nn.ReLU(), nn.Conv1d(8, 1, 9, padding=4), nn.Tanh())
    return _packed(network, torch.rand(2, 1, 400), folder / "sound.safetensors")


@pytest.fixture(scope="session")
def mixed(folder: Path) -> Path:
    return _packed(Mixed(), (torch.rand(2, 3, 5), torch.rand(2, 3, 5)), folder / "mixed.safetensors")


@pytest.fixture(scope="session")
def modules() -> Path:
    """The folder of the compiled engine."""
    missing = [file for file in MODULES.values() if not (FOLDER / file).exists()]
    if missing:
        pytest.skip(f"src/pbgen/web/{missing[0]} is missing: make wasm")
    return FOLDER


@pytest.fixture(scope="session")
def node(modules: Path) -> Callable[..., Any]:
    """Runs a script in Node that says one line of JSON: it imports from `web`, the folder of the engine's scripts."""
    program = shutil.which("node")
    if not program:
        pytest.skip("needs Node")
    known = subprocess.run([program, "--v8-options"], capture_output=True, text=True, check=True).stdout

    def run(script: str, relaxed: bool = False) -> Any:
        flags = [RELAXED] if relaxed and RELAXED in known else []
        code = script.replace('"web/', f'"{modules.as_uri()}/')
        command = [program, *flags, "--input-type=module", "-"]
        done = subprocess.run(command, input=code, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, with a camera that shows a moving pattern."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: the dev extra")
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if not program:
        pytest.skip("needs Chromium")
    flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=program, args=flags)
        yield chromium
        chromium.close()
