"""A wheel that `make wheels` left, in fresh environments without a compiler: it makes the images of this checkout."""

import platform
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import torch

import pbgen

DIST = Path(__file__).parents[1] / "dist"
TAGS = ["cp312-abi3" if sys.version_info >= (3, 12) else "", f"cp{sys.version_info.major}{sys.version_info.minor}-cp"]
FITTING = [
    wheel
    for wheel in DIST.glob(f"pbgen-{pbgen.__version__}-*manylinux*{platform.machine()}.whl")
    if any(tag and f"-{tag}" in wheel.name for tag in TAGS)
]
RUN = "import sys, numpy, pbgen; numpy.save(sys.argv[3], pbgen.Engine(sys.argv[1])(numpy.load(sys.argv[2])))"


@pytest.mark.skipif(not FITTING, reason="dist/ has no wheel of this version for this Python and processor: make wheels")
@pytest.mark.parametrize("numpy", ["numpy==1.26.*", "numpy"])
def test_wheel_without_a_compiler(numpy: str, tmp_path: Path) -> None:
    generator, _ = pbgen.models.create("dcgan32", width=32)
    pbgen.binarize(generator, pbgen.plan(generator, torch.zeros(1, *generator.input_shape)))
    file, latents, images = (tmp_path / name for name in ("g.safetensors", "latents.npy", "images.npy"))
    pbgen.pack(generator.eval(), torch.zeros(1, *generator.input_shape), file)
    z = np.random.default_rng(0).standard_normal((3, *generator.input_shape), np.float32)
    np.save(latents, z)
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", numpy, FITTING[0]], check=True)
    subprocess.run([python, "-I", "-c", RUN, file, latents, images], check=True, env={"PATH": str(python.parent)})
    np.testing.assert_allclose(np.load(images), pbgen.Engine(file)(z), atol=1e-5)
