"""The rendered faces: reproducible, varied, and drawn without steps."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pbgen.data import open_images
from pbgen.data.faces import canvas
from pbgen.data.faces.canvas import Canvas
from pbgen.data.faces.draws import Draws
from pbgen.data.faces.people import BALD, HAIRCUTS, People, draw_people
from pbgen.data.faces.portrait import PARTS
from pbgen.data.faces.shapes import above, bow, box, circle, convex, ellipse, joined, lens, ripple


def population(n: int, seed: int = 0) -> People:
    return draw_people(Draws.of(seed, np.arange(n)).stream("people"))


@pytest.mark.parametrize("size", [16, 17, 32, 64, 100, 256, 512])
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_range_at_any_size(size: int, channels: int) -> None:
    source = open_images("faces", size, channels)
    images = source.images(np.arange(3))
    assert images.shape == (3, channels, size, size)
    assert images.dtype == np.uint8
    assert (source.name, source.size, source.channels, source.count, source.skipped) == (
        "faces",
        size,
        channels,
        None,
        [],
    )
    assert images.std(axis=(1, 2, 3)).min() > 20  # none is blank


@pytest.mark.parametrize("size", [16, 31, 64])
def test_an_image_does_not_depend_on_its_batch(size: int) -> None:
    source = open_images("faces", size, 3, seed=4)
    many = source.images(np.arange(150))
    for chosen in ([5, 9], [149], [9, 5, 5], list(range(40, 110)), [0, 148, 3]):
        np.testing.assert_array_equal(source.images(np.array(chosen)), many[chosen])
    np.testing.assert_array_equal(open_images("faces", size, 3, seed=4).images(np.arange(7)), many[:7])


def test_no_images_and_far_images() -> None:
    source = open_images("faces", 16, 3)
    assert source.images(np.empty(0, dtype=np.int64)).shape == (0, 3, 16, 16)
    far = np.array([2**40, 2**62, 3])
    np.testing.assert_array_equal(source.images(far)[1:2], source.images(far[1:2]))


def test_threads_draw_the_same() -> None:
    source = open_images("faces", 32, 3, seed=1)
    expected = source.images(np.arange(160)).reshape(16, 10, 3, 32, 32)
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(source.images, np.arange(160).reshape(16, 10)))
    np.testing.assert_array_equal(np.stack(drawn), expected)


def test_every_number_and_seed_is_another_face() -> None:
    faces = [
        open_images("faces", 16, 3, seed=seed).images(np.arange(200)).reshape(200, -1) for seed in (0, 1, -1, 2**63)
    ]
    everyone = np.concatenate(faces)
    assert len(np.unique(everyone, axis=0)) == len(everyone)


def test_these_very_faces() -> None:
    """Runs are compared over time and over machines: the drawing must not change unnoticed."""
    means = open_images("faces", 32, 3, seed=0).images(np.arange(256)).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(means, EXPECTED_MEANS, atol=0.01)


EXPECTED_MEANS = (154.51, 140.09, 130.68)


def test_grey_is_the_luma_of_colour() -> None:
    numbers = np.arange(20)
    colour = open_images("faces", 40, 3, seed=3).images(numbers).astype(float)
    grey = open_images("faces", 40, 1, seed=3).images(numbers)[:, 0]
    luma = 0.299 * colour[:, 0] + 0.587 * colour[:, 1] + 0.114 * colour[:, 2]
    assert np.abs(grey - luma).max() <= 1.0


@pytest.mark.parametrize("size", [32, 64])
def test_edges_are_smooth_at_any_size(size: int) -> None:
    """A small picture is the large one averaged, which it would not be with jagged or doubled edges."""
    numbers = np.arange(48)
    small = open_images("faces", size, 3).images(numbers).astype(float)
    large = open_images("faces", 256, 3).images(numbers).astype(float)
    factor = 256 // size
    reduced = large.reshape(48, 3, size, factor, size, factor).mean(axis=(3, 5))
    difference = np.abs(small - reduced)
    jagged = np.abs(large[:, :, factor // 2 :: factor, factor // 2 :: factor] - reduced)  # one sample a pixel
    assert difference.mean() < 80 / size
    assert difference.mean() < 0.45 * jagged.mean()
    assert abs((small - reduced).mean()) < 0.5  # neither brighter nor darker


def test_parts_stay_inside_the_area_they_are_painted_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Painting every part over the whole picture gives the same: no part is cut off."""
    source = open_images("faces", 24, 3, seed=8)
    numbers = np.arange(1500)
    expected = source.images(numbers)
    monkeypatch.setattr(canvas, "_pixels", lambda bounds, size: (slice(0, size), slice(0, size)))
    assert np.abs(source.images(numbers).astype(int) - expected).max() <= 1


def test_each_part_is_painted_on_those_who_have_it() -> None:
    people = population(60)
    draw = Draws.of(0, np.arange(60))
    for part, flag in PARTS:
        if flag is None:
            continue
        rows = np.flatnonzero(getattr(people, flag))
        assert len(rows), flag
        rgb = np.full((60, 3, 48, 48), 0.31, dtype=np.float32)
        part(Canvas(rgb, people[rows], rows), people[rows], draw.stream(part.__name__)[rows])
        painted = (np.abs(rgb - 0.31) > 1e-3).any(axis=(1, 2, 3))
        assert set(np.flatnonzero(painted)) == set(rows), part.__name__


def test_the_population_is_varied() -> None:
    people = population(4000)
    woman = people.woman.ravel() > 0
    assert abs(woman.mean() - 0.5) < 0.03
    for number, cut in enumerate(HAIRCUTS):
        worn = people.haircut == number
        assert abs(worn[woman].mean() - cut.women) < 0.025
        assert abs(worn[~woman].mean() - cut.men) < 0.025
    shares = {
        "wears_glasses": 0.22,
        "wears_hat": 0.06,
        "wears_shirt": 0.3,
        "laughs": 0.3,
        "has_beard": 0.35 * 0.5 * 0.7,
    }
    for flag, share in shares.items():
        assert abs(getattr(people, flag).mean() - share) < 0.03, flag
    assert not people.has_beard[woman].any()
    assert (people.has_hair.ravel() == (people.haircut != BALD)).all()
    assert (people.laughs + people.closes_mouth == 1).all()


def test_shares_of_haircuts_sum_to_one() -> None:
    assert sum(cut.women for cut in HAIRCUTS) == pytest.approx(1)
    assert sum(cut.men for cut in HAIRCUTS) == pytest.approx(1)


def test_the_faces_cover_the_range_of_skins_and_stand_in_the_middle() -> None:
    people = population(2000)
    brightness = people.skin.mean(axis=(1, 2, 3))
    assert brightness.min() < 0.3
    assert brightness.max() > 0.85
    assert abs(people.shift_x.mean()) < 0.003
    assert abs(people.turn.mean()) < 0.005
    average = open_images("faces", 32, 1).images(np.arange(600))[:, 0].astype(float)
    asymmetry = np.abs(average.mean(axis=0) - average.mean(axis=0)[:, ::-1])
    assert asymmetry.max() < 12


def test_streams_are_uniform_and_unrelated() -> None:
    draw = Draws.of(5, np.arange(5000))
    numbers = np.stack([draw.uniform().ravel() for _ in range(40)] + [draw.stream("other").uniform().ravel()])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    np.testing.assert_allclose(numbers.mean(axis=1), 0.5, atol=0.02)
    np.testing.assert_allclose(numbers.var(axis=1), 1 / 12, atol=0.005)
    correlation = np.corrcoef(numbers) - np.eye(len(numbers))
    assert np.abs(correlation).max() < 0.07
    neighbours = np.corrcoef(numbers[:, 1:].ravel(), numbers[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.01


def test_pick_follows_its_shares() -> None:
    draw = Draws.of(0, np.arange(4000))
    counts = np.bincount(draw.pick([1, 0, 3]), minlength=3) / 4000
    np.testing.assert_allclose(counts, [0.25, 0, 0.75], atol=0.03)
    row_by_row = np.zeros((2, 4000))
    row_by_row[1, ::2] = row_by_row[0, 1::2] = 1
    np.testing.assert_array_equal(draw.pick(row_by_row), np.arange(4000) % 2 == 0)


GRID = np.linspace(-1, 1, 201, dtype=np.float32)
x, y = np.meshgrid(GRID, GRID)
SHAPES = {  # a distance, and the points that are inside by the shape's own definition
    "ellipse": (ellipse(x, y, 0.7, 0.4), (x / 0.7) ** 2 + (y / 0.4) ** 2 < 1),
    "circle": (circle(x, y, 0.5), x**2 + y**2 < 0.25),
    "box": (box(x, y, 0.6, 0.3, 0.0), (np.abs(x) < 0.6) & (np.abs(y) < 0.3)),
    "above": (above(x, y, -0.2, 0.5, 0.3), y < -0.2 + 0.5 * np.abs(x) + 0.3 * x**2),
    "lens": (
        np.maximum(*lens(x, y, 0.5, 0.2, 0.3)),
        (y > -0.2 * (1 - (x / 0.5) ** 2)) & (y < 0.3 * (1 - (x / 0.5) ** 2)),
    ),
    "convex": (convex(x, y, ((-0.5, -0.5), (0.5, -0.5), (0.0, 0.5))), (y > -0.5) & (y < 0.5 - 2 * np.abs(x))),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_negative_inside_and_measure_distance(name: str) -> None:
    distance, inside = SHAPES[name]
    edge = np.abs(distance) < 1e-5
    np.testing.assert_array_equal((distance < 0)[~edge], inside[~edge])
    down, across = np.gradient(distance, GRID, GRID)
    near = np.abs(distance) < 0.015
    slope = np.hypot(down, across)[near]
    assert np.median(np.abs(slope - 1)) < 0.05


def test_round_corners_bows_and_joins() -> None:
    assert box(np.float32([0.6]), np.float32([0.3]), 0.6, 0.3, 0.1)[0] == pytest.approx(
        0.1 * (np.sqrt(2) - 1), abs=1e-6
    )
    straight = bow(x, y, 0.5, 0.0)
    np.testing.assert_allclose(straight, np.hypot(np.maximum(np.abs(x) - 0.5, 0), y), atol=1e-6)
    a, b = circle(x, y, 0.3), y
    union = joined(a, b, 0.1)
    assert (union <= np.minimum(a, b) + 1e-7).all()
    apart = np.abs(a - b) > 0.1
    np.testing.assert_array_equal(union[apart], np.minimum(a, b)[apart])


def test_ripple_is_nearly_a_sine() -> None:
    t = np.linspace(-3, 3, 1001, dtype=np.float32)
    assert np.abs(ripple(t) - -np.sin(2 * np.pi * (t - 0.5))).max() < 0.06
