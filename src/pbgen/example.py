"""An input such as a generator takes, where one has to be run to see what it does."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def example_input(generator: nn.Module, count: int = 2) -> Tensor | tuple[Tensor, ...]:
    """What `models.load` found beside the generator, its `example_input`; else the same `count` random latents each
    time, float32 (count, *generator.input_shape), a tuple of such where there are several shapes."""
    example: Tensor | tuple[Tensor, ...] | None = getattr(generator, "example_input", None)
    if example is not None:
        return example
    shapes: Any = generator.input_shape
    random = torch.Generator().manual_seed(0)
    if several(shapes):
        return tuple(torch.randn(count, *shape, generator=random) for shape in shapes)
    return torch.randn(count, *shapes, generator=random)


def several(shapes: Sequence[Any]) -> bool:
    """Whether an `input_shape` holds the shapes of several inputs."""
    return bool(shapes) and isinstance(shapes[0], tuple)
