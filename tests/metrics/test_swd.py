"""Sliced Wasserstein distance against a slow reference, written from the definition in float64; and its properties."""

import numpy as np
import pytest
import torch

from pbgen.errors import PBGenError
from pbgen.metrics import SlicedWasserstein, pyramid, sliced_wasserstein, swd

BINOMIAL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def filtered(plane: np.ndarray) -> np.ndarray:
    padded = np.pad(plane, 2, mode="reflect")  # NumPy's reflect does not repeat the border
    out = np.zeros_like(plane)
    for row in range(plane.shape[0]):
        for column in range(plane.shape[1]):
            out[row, column] = np.sum(padded[row : row + 5, column : column + 5] * BINOMIAL)
    return out


def down(plane: np.ndarray) -> np.ndarray:
    return filtered(plane)[::2, ::2]


def up(plane: np.ndarray) -> np.ndarray:
    spread = np.zeros((2 * plane.shape[0], 2 * plane.shape[1]))
    spread[::2, ::2] = plane
    return 4 * filtered(spread)


def levels(plane: np.ndarray) -> list[np.ndarray]:
    out = []
    while plane.shape[0] % 2 == 0 and plane.shape[0] // 2 >= 16:
        smaller = down(plane)
        out.append(plane - up(smaller))
        plane = smaller
    return [*out, plane]


def normalized_patches(images: np.ndarray, places: np.ndarray) -> np.ndarray:
    patches = np.array(
        [image[:, y : y + 7, x : x + 7] for image, own in zip(images, places, strict=True) for y, x in own]
    )
    for channel in range(patches.shape[1]):
        values = patches[:, channel]
        patches[:, channel] = (values - values.mean()) / values.std()
    return patches.reshape(len(patches), -1)


def reference(real: np.ndarray, fake: np.ndarray, seed: int) -> dict[int, float]:
    pyramids = [[[levels(plane) for plane in image] for image in x.astype(np.float64)] for x in (real, fake)]
    sizes = [len(plane) for plane in pyramids[0][0][0]]
    result = {}
    for level, (size, drawn) in enumerate(zip(sizes, swd.draw(seed, *real.shape[:2], sizes), strict=True)):
        sets = [np.array([[planes[level] for planes in image] for image in images]) for images in pyramids]
        directions = drawn.directions.double().numpy()
        one, other = (
            normalized_patches(images, places.numpy()) for images, places in zip(sets, drawn.places, strict=True)
        )
        distances = [np.mean(np.abs(np.sort(one @ d) - np.sort(other @ d))) for d in directions]
        result[size] = 1000 * float(np.mean(distances))
    return result


def noise(n: int, channels: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, channels, size, size), dtype=np.uint8)


def smooth(n: int, channels: int, size: int, seed: int = 0) -> np.ndarray:
    """Blurred noise, which fills every level of the pyramid."""
    small = noise(n, channels, size // 4 + 1, seed).repeat(4, 2).repeat(4, 3)
    return small[:, :, :size, :size] // 2 + noise(n, channels, size, seed + 1) // 4


@pytest.mark.parametrize(
    ("n", "channels", "size", "sizes"),
    [
        (3, 3, 16, [16]),
        (2, 1, 32, [32, 16]),
        (2, 3, 64, [64, 32, 16]),
        (3, 2, 34, [34, 17]),
        (2, 1, 50, [50, 25]),
        (1, 3, 40, [40, 20]),
    ],
)
def test_equals_the_slow_reference(n: int, channels: int, size: int, sizes: list[int]) -> None:
    real, fake = smooth(n, channels, size, 1), noise(n, channels, size, 2)
    expected = reference(real, fake, seed=n)
    result = sliced_wasserstein(real, fake, seed=n)
    assert list(result.levels) == sizes
    assert result.levels == pytest.approx(expected, rel=1e-4)
    assert result.mean == pytest.approx(np.mean(list(expected.values())), rel=1e-4)


@pytest.mark.parametrize("size", [4, 10, 16, 64])
def test_pyramid_matrices_are_the_filter(size: int) -> None:
    image = np.random.default_rng(0).random((size, size))
    matrix = pyramid.down(size).double().numpy()
    np.testing.assert_allclose(matrix @ image @ matrix.T, down(image), atol=1e-12)
    matrix = pyramid.up(size).double().numpy()
    np.testing.assert_allclose(matrix @ image @ matrix.T, up(image), atol=1e-12)


def test_levels_add_up_to_the_image() -> None:
    images = torch.from_numpy(smooth(2, 3, 64)).float()
    total = pyramid.laplacian(images, 2, last=True)
    for level in (1, 0):
        detail = pyramid.laplacian(images, level, last=False)
        matrix = pyramid.up(total.shape[-1])
        total = matrix @ total @ matrix.T + detail
    torch.testing.assert_close(total, images, atol=1e-3, rtol=0)


def test_what_is_drawn() -> None:
    """Places all over each level, others for each image and set, and unit vectors that are no two alike."""
    draws = swd.draw(3, 50, 3, [32, 16])
    for size, drawn in zip([32, 16], draws, strict=True):
        for places in drawn.places:
            assert places.shape == (50, 128, 2)
            assert (places.min(), places.max()) == (0, size - 7)
            assert len({tuple(of_image.flatten().tolist()) for of_image in places}) == 50
        assert not torch.equal(*drawn.places)
        assert drawn.directions.shape == (512, 3 * 49)
        torch.testing.assert_close(drawn.directions.norm(dim=1), torch.ones(512))
        assert len(drawn.directions.unique(dim=0)) == 512


def test_the_real_sets_places_and_the_directions_are_the_first_of_the_seed() -> None:
    """As they were when both sets were cut at the same places, so that older figures compare."""
    generator = torch.Generator().manual_seed(5)
    for size, drawn in zip([32, 16], swd.draw(5, 4, 1, [32, 16]), strict=True):
        assert torch.equal(drawn.places[0], torch.randint(0, size - 6, (4, 128, 2), generator=generator))
        directions = torch.nn.functional.normalize(torch.randn(512, 49, generator=generator))
        assert torch.equal(drawn.directions, directions)


def test_a_set_of_noise_is_as_far_from_itself_as_the_original_has_it() -> None:
    images = noise(256, 3, 64)
    assert sliced_wasserstein(images, images.copy()).mean == pytest.approx(9.9, abs=0.4)


def test_is_nearly_symmetric_and_takes_tensors_and_arrays() -> None:
    one, other = smooth(60, 1, 32), noise(60, 1, 32)
    forth = sliced_wasserstein(one, other)
    assert sliced_wasserstein(other, one).mean == pytest.approx(forth.mean, rel=0.05)
    assert sliced_wasserstein(torch.from_numpy(one), torch.from_numpy(other)) == forth


def test_depends_on_the_seed_alone() -> None:
    one, other = smooth(6, 1, 16), noise(6, 1, 16)
    torch.manual_seed(1)
    first = sliced_wasserstein(one, other, seed=1)
    state = torch.get_rng_state()
    assert sliced_wasserstein(one, other, seed=1) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert sliced_wasserstein(one, other, seed=2) != first


def test_the_block_size_moves_the_last_digits_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = smooth(70, 3, 32), noise(70, 3, 32)
    usual = sliced_wasserstein(one, other).levels
    monkeypatch.setattr(swd, "_BLOCK", 7)
    assert sliced_wasserstein(one, other).levels == pytest.approx(usual, rel=1e-5)


@pytest.mark.parametrize("number", [1, 3])
def test_the_number_of_threads_changes_nothing(number: int) -> None:
    one, other = smooth(130, 1, 16), noise(130, 1, 16)
    usual, threads = sliced_wasserstein(one, other), torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        assert sliced_wasserstein(one, other) == usual
        assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)


def test_the_order_of_the_images_hardly_matters() -> None:
    one, other = smooth(100, 1, 16), noise(100, 1, 16)
    usual = sliced_wasserstein(one, other).mean
    shuffled = other[np.random.default_rng(0).permutation(100)]
    assert sliced_wasserstein(one, shuffled).mean == pytest.approx(usual, rel=0.03)


def test_a_channels_contrast_and_brightness_cannot_be_seen() -> None:
    one, other = smooth(8, 3, 32) // 4, noise(8, 3, 32) // 4
    brighter = other * np.array([1, 2, 3], np.uint8)[:, None, None] + np.array([5, 0, 9], np.uint8)[:, None, None]
    usual = sliced_wasserstein(one, other).levels
    assert sliced_wasserstein(one, brighter).levels == pytest.approx(usual, rel=1e-4)


def test_the_floor_falls_as_the_root_of_the_number_of_images() -> None:
    images = smooth(1280, 1, 16)
    few = np.mean([sliced_wasserstein(images[i : i + 40], images[i + 40 : i + 80]).mean for i in range(0, 400, 80)])
    many = sliced_wasserstein(images[:640], images[640:]).mean
    assert few / many == pytest.approx(4, rel=0.3)


def test_sees_at_each_level_what_differs_there() -> None:
    base = noise(32, 1, 8).repeat(4, 2).repeat(4, 3).astype(int) // 2 + 60
    stripes = 20 * (-1) ** np.arange(32)  # too fine for the level below
    upright, lying = (base + stripes).astype(np.uint8), (base + stripes[:, None]).astype(np.uint8)
    result, floor = sliced_wasserstein(upright, lying).levels, sliced_wasserstein(upright, upright).levels
    assert result[32] > 10 * floor[32]
    assert result[16] == pytest.approx(floor[16], rel=0.01)


def test_constant_images_give_a_number() -> None:
    grey = np.full((4, 3, 32, 32), 93, np.uint8)
    result = sliced_wasserstein(grey, smooth(4, 3, 32))
    assert all(100 < value < 2000 for value in result.levels.values())
    assert sliced_wasserstein(grey, grey + 1).levels == {32: 0.0, 16: 0.0}


def test_prints_as_a_line() -> None:
    assert str(SlicedWasserstein({32: 1.0, 16: 2.5})) == "1.75 (32 px 1.00, 16 px 2.50)"


GOOD = noise(2, 3, 16)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (GOOD.astype(np.float32), GOOD, "real images: got torch.float32 of shape (2, 3, 16, 16); give uint8"),
        (GOOD, GOOD[0], "fake images: got torch.uint8 of shape (3, 16, 16); give uint8 (N, C, H, W)"),
        (GOOD, [[1]], "fake images: got list; give uint8"),
        (GOOD[:1], GOOD, "real (1, 3, 16, 16), fake (2, 3, 16, 16): give as many images of the same shape"),
        (GOOD, GOOD[:, :1], "give as many images of the same shape"),
        (GOOD, noise(2, 3, 32), "give as many images of the same shape"),
        (noise(2, 3, 14), noise(2, 3, 14), "real images: 14x14 pixels; give square ones of an even size, 16 or more"),
        (noise(2, 3, 17), noise(2, 3, 17), "17x17 pixels"),
        (noise(2, 3, 32)[..., :16], noise(2, 3, 32)[..., :16], "32x16 pixels"),
        (GOOD[:0], GOOD[:0], "real images: there are none in (0, 3, 16, 16)"),
    ],
)
def test_unfit_images_are_refused(real: np.ndarray, fake: np.ndarray, message: str) -> None:
    with pytest.raises(PBGenError) as refusal:
        sliced_wasserstein(real, fake)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
