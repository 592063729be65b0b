"""Latent vectors and noise as a function of a seed: the same here and in the engine (core/src/latents.cpp)."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pbgen.errors import PBGenError

MAX_SEED = 2**64 - 1


def latents(seed: int, count: int, shape: Sequence[int], first: int = 0) -> NDArray[np.float32]:
    """Standard normal latent vectors first .. first + count - 1 of those that `seed` gives, float32 (count, *shape).

    Number i of all, row-major, is drawn by itself, so more vectors begin with the same ones. With SplitMix64 (Steele,
    Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014) as a function of the position k in
    its sequence, all modulo 2^64,

        x = seed + (k + 1) * 0x9E3779B97F4A7C15
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB
        bits(k) = x ^ (x >> 31)

    numbers 2j and 2j + 1 are those of Box and Muller (1958), in double precision, rounded to float32 in the end:

        radius = sqrt(-2 ln(((bits(2j) >> 11) + 1) / 2^53))
        angle = 2 pi (bits(2j + 1) >> 11) / 2^53
        number 2j = radius cos(angle), number 2j + 1 = radius sin(angle)

    Raises PBGenError unless seed is 0 .. 2^64 - 1.
    """
    _check(seed)
    size = math.prod(shape)
    begin, end = first * size, (first + count) * size
    pair = np.arange(begin // 2, (end + 1) // 2, dtype=np.uint64) * np.uint64(2)
    radius = np.sqrt(-2 * np.log(((_bits(seed, pair) >> np.uint64(11)) + np.uint64(1)) * 2.0**-53))
    angle = 2 * np.pi * ((_bits(seed, pair + np.uint64(1)) >> np.uint64(11)) * 2.0**-53)
    normal = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()
    return normal[begin % 2 : begin % 2 + end - begin].astype(np.float32).reshape(count, *shape)


def uniform(seed: int, count: int, shape: Sequence[int]) -> NDArray[np.float32]:
    """`count` arrays of numbers in 0 .. 1, 1 excluded, float32 (count, *shape), that depend on `seed` alone.

    Number i of all, row-major, is (bits(i) >> 40) / 2^24, with the bits of `latents`: so many as float32 holds, that
    none be rounded up to 1. Raises PBGenError unless seed is 0 .. 2^64 - 1.
    """
    _check(seed)
    position = np.arange(count * math.prod(shape), dtype=np.uint64)
    numbers = (_bits(seed, position) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    return numbers.reshape(count, *shape)


def noise(kind: str, seed: int, number: int, count: int, shape: Sequence[int]) -> NDArray[np.float32]:
    """What a packed file's input `number`, counted from 0 among all its inputs, is for a seed where nobody gives it.

    `kind` is "normal" or "uniform"; float32 (count, *shape). The input has a seed of its own, so that no two are
    alike: seed + number * 0xD1B54A32D192ED03 modulo 2^64. Raises PBGenError unless seed is 0 .. 2^64 - 1.
    """
    _check(seed)
    own = (seed + number * 0xD1B54A32D192ED03) % 2**64
    return (latents if kind == "normal" else uniform)(own, count, shape)


def _check(seed: int) -> None:
    if not 0 <= seed <= MAX_SEED:
        raise PBGenError(f"seed {seed}: must be 0 to {MAX_SEED}")


def _bits(seed: int, position: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 random bits for each position: SplitMix64."""
    x = np.uint64(seed) + (position + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
