"""Generators of several inputs and outputs, of free sizes, of integers and of noise, in Python."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pbgen import Engine, PBGenError
from pbgen.latents import latents, uniform
from pbgen.packing import file
from pbgen.packing.graph import Graph, Input, Node, Size


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Of an image, a label and noise twice: the image cropped and with noise, and what the label picks from a table."""
    inputs = (
        Input("image", (1, 2, "H", "W")),
        Input("grain", (1, 2, "h", "W"), noise="normal"),
        Input("label", (1, 3), integer=True),
        Input("mask", (1, "H"), noise="uniform"),
    )
    sizes = (Size("h", "-", "H", 1),)
    table = np.arange(10, dtype=np.float32).reshape(5, 2)
    nodes = (
        Node("slice", "crop", (0,), (1, 2, "h", "W"), {"axis": 2, "start": 1, "step": 1}),
        Node("map", "noisy", (4, 1), (1, 2, "h", "W"), {"program": [["add", 0, 1]]}),
        Node("constant", "table", (), (5, 2), {"tensor": "table"}),
        Node("take", "embedding", (6, 2), (1, 3, 2), {"axis": 0}),
        Node("map", "mask twice", (3,), (1, "H"), {"program": [["add", 0, 0]]}),
    )
    outputs = (("picture", 5), ("features", 7), ("twice", 8))
    path = tmp_path_factory.mktemp("inputs") / "g.safetensors"
    file.write(path, Graph(inputs, sizes, nodes, outputs), {"table": table})
    return Engine(path, threads=2)


def image(*size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, 2, *size)).astype(np.float32)


LABEL = np.array([[0, 4, 2], [1, 1, 3]])


def test_what_it_takes_and_gives(engine: Engine) -> None:
    assert [(source.name, source.shape, source.integer, source.noise) for source in engine.inputs] == [
        ("image", (2, None, None), False, None),
        ("label", (3,), True, None),
    ]
    assert [(source.name, source.shape, source.noise) for source in engine.noise] == [
        ("grain", (2, None, None), "normal"),
        ("mask", (None,), "uniform"),
    ]
    assert engine.outputs == {"picture": (2, None, None), "features": (3, 2), "twice": (None,)}
    assert engine.input_shape == ((2, None, None), (3,))
    assert engine.output_shape == ((2, None, None), (3, 2), (None,))
    assert engine.output_shape_for((2, 5, 7), (3,)) == ((2, 4, 7), (3, 2), (5,))


def test_noise_that_is_given(engine: Engine) -> None:
    x = image(4, 3)
    grain, mask = np.full((2, 2, 3, 3), 2), np.full((2, 4), 0.25)
    picture, features, twice = engine(x, LABEL, noise={"grain": grain, "mask": mask})
    np.testing.assert_array_equal(picture, x[:, :, 1:] + 2)
    np.testing.assert_array_equal(features, np.arange(10).reshape(5, 2)[LABEL])
    np.testing.assert_array_equal(twice, np.full((2, 4), 0.5))


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
def test_noise_that_is_drawn(seed: int, engine: Engine) -> None:
    """Of each input's own seed, by its place among all inputs."""
    x, step = image(4, 3), 0xD1B54A32D192ED03
    picture, _, twice = engine(x, LABEL, seed=seed)
    grain, mask = latents((seed + step) % 2**64, 2, (2, 3, 3)), uniform((seed + 3 * step) % 2**64, 2, (4,))
    np.testing.assert_array_equal(picture, x[:, :, 1:] + grain)
    np.testing.assert_array_equal(twice, mask + mask)


def test_one_kind_of_noise_may_be_given_and_the_other_drawn(engine: Engine) -> None:
    x = image(4, 3)
    picture, _, twice = engine(x, LABEL, seed=3, noise={"mask": np.zeros((2, 4))})
    np.testing.assert_array_equal(picture, engine(x, LABEL, seed=3)[0])
    assert not twice.any()
    assert (picture != engine(x, LABEL, seed=4)[0]).all()


def test_seeds_that_are_none(engine: Engine) -> None:
    for seed in (-1, 2**64):
        with pytest.raises(PBGenError, match=f"seed {seed}: must be 0 to 18446744073709551615"):
            engine(image(4, 3), LABEL, seed=seed)


WRONG = {
    "too few": (lambda: (image(4, 3),), {}, "1 arrays given where the generator takes 2: image, label"),
    "noise as an input": (lambda: (image(4, 3), LABEL, LABEL), {}, "3 arrays given where the generator takes 2"),
    "another number": (lambda: (image(4, 3), LABEL[:1]), {}, "different numbers of images"),
    "another rank": (lambda: (image(4), LABEL), {}, r"image: has the shape \(2, 2, 4\); it must be \(N, 2, any, any\)"),
    "another fixed size": (
        lambda: (image(4, 3), LABEL[:, :2]),
        {},
        r"label: has the shape \(2, 2\); it must be \(N, 3\)",
    ),
    "fractions": (lambda: (image(4, 3), LABEL + 0.5), {}, "label: holds numbers that are no integers"),
    "large integers": (
        lambda: (image(4, 3), LABEL + 2**24),
        {},
        "label: holds numbers that are no integers of at most",
    ),
    "not a number": (lambda: (image(4, 3), np.full((2, 3), np.nan)), {}, "label: holds numbers that are no integers"),
    "too small": (lambda: (image(1, 3), LABEL), {}, "its dimension 2 would be 0; give a larger input"),
    "of no pixels": (lambda: (image(4, 0), LABEL), {}, "its dimension 3 is 0, outside 1"),
    "an index outside": (lambda: (image(4, 3), LABEL + 1), {}, "`embedding`: is given an index that is not in 0 .. 4"),
    "a negative index": (lambda: (image(4, 3), LABEL - 1), {}, "`embedding`: is given an index that is not in 0 .. 4"),
    "unknown noise": (lambda: (image(4, 3), LABEL), {"rain": LABEL}, "noise 'rain': the generator draws grain, mask"),
    "noise of another shape": (lambda: (image(4, 3), LABEL), {"grain": image(4, 3)}, "`grain`: has the shape"),
    "noise of another number": (
        lambda: (image(4, 3), LABEL),
        {"mask": np.zeros((1, 4))},
        "different numbers of images",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(name: str, engine: Engine) -> None:
    make, noise, message = WRONG[name]
    with pytest.raises(PBGenError, match=message) as error:
        engine(*make(), noise=noise)
    assert "\n" not in str(error.value)
    assert len(engine(image(4, 3), LABEL)) == 3  # and then works as before


def test_shapes_that_it_does_not_take(engine: Engine) -> None:
    with pytest.raises(PBGenError, match="1 shapes given where the generator has 2 inputs"):
        engine.output_shape_for((2, 5, 7))
    with pytest.raises(PBGenError, match="input `image`: its dimension 1 is 3 and must be 2"):
        engine.output_shape_for((3, 5, 7), (3,))


def test_no_images(engine: Engine) -> None:
    picture, features, twice = engine(image(4, 3)[:0], LABEL[:0])
    assert (picture.shape, features.shape, twice.shape) == ((0, 2, 3, 3), (0, 3, 2), (0, 4))


def expected(x: np.ndarray) -> np.ndarray:
    return x[:, :, 1:] + latents(0xD1B54A32D192ED03, 2, (2, x.shape[2] - 1, x.shape[3]))


def test_many_sizes_one_after_another(engine: Engine) -> None:
    """More than arrangements are kept, and again."""
    for _ in range(2):
        for height in range(2, 24):
            x = image(height, 25 - height, seed=height)
            np.testing.assert_array_equal(engine(x, LABEL)[0], expected(x))


def test_many_sizes_at_once(engine: Engine) -> None:
    def call(i: int) -> bool:
        x = image(2 + i % 20, 3 + i % 3, seed=i)
        return np.array_equal(engine(x, LABEL)[0], expected(x))

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(call, range(400)))
