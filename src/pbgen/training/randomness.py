"""Every random number of a run as a function of its seed, what it is for, and when it is drawn.

No generator is carried from step to step, so there is no random state to save: a run that goes on at step t draws
what the one that never stopped draws there, whichever process draws it and however far the data was prefetched.
"""

from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Stream(IntEnum):
    """What random numbers are for. The values are part of every run's results; never change them."""

    WEIGHTS = 0
    ORDER = 1
    DISCRIMINATOR = 2
    GENERATOR = 3
    MIXING = 4
    DISCRIMINATOR_LAYERS = 5
    GENERATOR_LAYERS = 6
    STATISTICS = 7


def generator(seed: int, stream: Stream, *when: int) -> np.random.Generator:
    """A fresh generator for one draw."""
    return np.random.default_rng((seed, stream, *when))


def latents(seed: int, stream: Stream, when: int, n: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal latents, float32 (n, *shape), on the CPU."""
    return torch.from_numpy(generator(seed, stream, when).standard_normal((n, *shape), dtype=np.float32))


def uniform(seed: int, stream: Stream, when: int, n: int) -> Tensor:
    """Numbers from 0 to 1, float32 (n,), on the CPU."""
    return torch.from_numpy(generator(seed, stream, when).random(n, dtype=np.float32))


def seed_layers(seed: int, stream: Stream, *when: int) -> None:
    """Seed torch's global generators, from which stochastic layers draw."""
    torch.manual_seed(int(generator(seed, stream, *when).integers(2**63)))
