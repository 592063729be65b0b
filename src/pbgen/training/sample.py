"""Images from a generator."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pbgen.pictures import to_pixels


@torch.no_grad()
def sample(generator: nn.Module, n: int, seed: int = 0, batch: int = 64) -> npt.NDArray[np.uint8]:
    """`n` images, uint8 (n, C, H, W), of `generator` as it is in evaluation, from the latents that `seed` gives.

    The latents are `numpy.random.default_rng(seed).standard_normal((n, *generator.input_shape), float32)`. Sums may
    be taken in another order at another `batch`, which can move a value to the neighbouring one of the 256.
    """
    shape: tuple[int, ...] = tuple(generator.input_shape)  # type: ignore[arg-type]  # a tuple, says the interface
    latents = torch.from_numpy(np.random.default_rng(seed).standard_normal((n, *shape), dtype=np.float32))
    device = next(generator.parameters()).device
    training = generator.training
    generator.eval()
    images = [to_pixels(generator(z.to(device)).float().cpu().numpy()) for z in torch.split(latents, batch)]
    generator.train(training)
    return np.concatenate(images)
