"""The latent vectors of a seed: the published formulas, one number after another, in Python and in C++."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from builds import core, needs_cmake, run

from pbgen.errors import PBGenError
from pbgen.latents import latents, noise, uniform

SEEDS = [0, 1, 12345, 2**63, 2**64 - 1]

GOLDEN = {
    0: [-0.45275775, 0.20776604, 2.650606, -0.49042282, -0.9886041],
    1: [-0.028249746, -1.0656177, -0.22791952, 0.08309417, 0.10309095],
    2**64 - 1: [0.40389818, -0.24716993, -1.5578115, 0.7785845, 0.37761974],
}


def splitmix64(seed: int) -> Iterator[int]:
    """The generator as it was published: with a state that goes on."""
    mask = 2**64 - 1
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        x = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        yield x ^ (x >> 31)


def box_muller(bits: Iterator[int]) -> Iterator[float]:
    for first, second in zip(bits, bits, strict=False):
        radius = math.sqrt(-2 * math.log(((first >> 11) + 1) / 2**53))
        angle = 2 * math.pi * (second >> 11) / 2**53
        yield radius * math.cos(angle)
        yield radius * math.sin(angle)


def reference(seed: int, count: int) -> np.ndarray:
    numbers = box_muller(splitmix64(seed))
    return np.array([next(numbers) for _ in range(count)]).astype(np.float32)


def assert_same(numbers: np.ndarray, expected: np.ndarray) -> None:
    """To one unit in the last place: logarithms and sines of other libraries may be rounded in another way."""
    assert numbers.dtype == expected.dtype == np.float32
    np.testing.assert_array_max_ulp(numbers, expected, maxulp=1)


def test_the_reference_is_the_published_generator() -> None:
    bits = splitmix64(0)
    assert [next(bits) for _ in range(3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


@pytest.mark.parametrize("seed", GOLDEN)
def test_golden_numbers(seed: int) -> None:
    assert_same(latents(seed, 1, (len(GOLDEN[seed]),))[0], np.array(GOLDEN[seed], np.float32))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_formula(seed: int) -> None:
    assert_same(latents(seed, 1001, (1,))[:, 0], reference(seed, 1001))


@needs_cmake
@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_in_cpp(seed: int) -> None:
    program = core() / "tests" / "pbgen_latents"
    for first, count in ((0, 1000), (7, 100), (2**20 + 1, 2)):
        lines = run(program, "normal", str(seed), str(first), str(count)).split()
        expected = latents(seed, first + count, (1,))[first:, 0]
        assert_same(np.array(lines, np.float32), expected)
        lines = run(program, "uniform", str(seed), str(first), str(count)).split()
        expected = uniform(seed, first + count, (1,))[first:, 0]
        np.testing.assert_array_equal(np.array(lines, np.float32), expected)


def test_more_begin_with_the_same() -> None:
    np.testing.assert_array_equal(latents(3, 9, (5, 1, 1))[:4], latents(3, 4, (5, 1, 1)))
    assert latents(3, 0, (7,)).shape == (0, 7)


def test_they_are_normal_and_independent() -> None:
    z = latents(0, 100_000, (4,)).astype(np.float64)
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01 and abs((z**4).mean() - 3) < 0.1
    assert np.abs(np.corrcoef(np.c_[z, latents(1, 100_000, (4,))].T) - np.eye(8)).max() < 0.015


@pytest.mark.parametrize("seed", SEEDS)
def test_uniform_numbers(seed: int) -> None:
    bits = splitmix64(seed)
    expected = np.array([(next(bits) >> 40) / 2**24 for _ in range(1001)], np.float32)
    np.testing.assert_array_equal(uniform(seed, 1001, (1,))[:, 0], expected, strict=True)


def test_uniform_numbers_are_uniform() -> None:
    u = uniform(0, 100_000, (2,)).astype(np.float64)
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 0.01 and abs(u.var() - 1 / 12) < 0.001
    assert abs(np.corrcoef(u.T)[0, 1]) < 0.015


def test_noise_inputs_have_seeds_of_their_own() -> None:
    np.testing.assert_array_equal(noise("normal", 5, 0, 2, (3,)), latents(5, 2, (3,)))
    second = (2**64 - 1 + 2 * 0xD1B54A32D192ED03) % 2**64
    np.testing.assert_array_equal(noise("uniform", 2**64 - 1, 2, 2, (3,)), uniform(second, 2, (3,)))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_other_seeds_are_refused(seed: int) -> None:
    for draw in (
        lambda: latents(seed, 1, (1,)),
        lambda: uniform(seed, 1, (1,)),
        lambda: noise("normal", seed, 0, 1, ()),
    ):
        with pytest.raises(PBGenError, match=f"seed {seed}: must be 0 to 18446744073709551615"):
            draw()


@pytest.mark.parametrize("size", [3, 4])
def test_later_vectors_are_those_of_the_whole(size: int) -> None:
    whole = latents(7, 9, (size,))
    for first in range(9):
        assert_same(latents(7, 9 - first, (size,), first).ravel(), whole[first:].ravel())
