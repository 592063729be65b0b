"""A small float network and what it is run on."""

import pytest
import torch
from small_network import make_network
from torch import Tensor, nn


@pytest.fixture
def network() -> nn.Sequential:
    return make_network()


@pytest.fixture
def batches() -> list[Tensor]:
    return list(torch.rand(8, 4, 3, 8, 8, generator=torch.Generator().manual_seed(1)))
