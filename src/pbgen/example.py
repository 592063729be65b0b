"""An input such as a generator takes, where one has to be run to see what it does."""

from typing import Any

import torch
from torch import Tensor, nn


def example_input(generator: nn.Module, count: int = 2) -> Tensor:
    """The same `count` random latents each time, float32 (count, *generator.input_shape)."""
    shape: Any = generator.input_shape
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))
