from pathlib import Path

import pytest
import torch

import pbgen


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small packed generator, most of its layers binary."""
    torch.manual_seed(0)
    generator, _ = pbgen.models.create("dcgan32", width=32, latent=8)
    example = torch.randn(2, 8)
    pbgen.binarize(generator, pbgen.plan(generator, example, threshold=1000))
    with torch.no_grad():
        for _ in range(50):  # batch norm learns its statistics: without them the images are grey
            generator(torch.randn(64, 8))
    file = tmp_path_factory.mktemp("bench") / "g.safetensors"
    pbgen.pack(generator.eval(), example, file)
    return file
