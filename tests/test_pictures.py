from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbgen.errors import PBGenError
from pbgen.pictures import Grid, beside, image_grid, picture_format, save_picture, to_pixels

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("count, columns, rows", [(1, 8, 1), (5, 2, 3), (6, 3, 2), (7, 7, 1)])
@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB")])
@pytest.mark.parametrize("scale", [1, 3])
def test_every_pixel_is_in_its_place(count: int, columns: int, rows: int, channels: int, mode: str, scale: int) -> None:
    height, width = 4, 5
    images = RNG.integers(0, 255, (count, channels, height, width), dtype=np.uint8)  # never 255, the background
    grid = image_grid(images, columns, scale)
    assert grid.mode == mode
    used = min(columns, count)
    assert grid.size == ((used * (width + 2) - 2) * scale, (rows * (height + 2) - 2) * scale)
    pixels = np.asarray(grid).reshape(grid.height, grid.width, channels)
    covered = 0
    for i in range(count):
        for y in range(height * scale):
            for x in range(width * scale):
                top, left = (i // used) * (height + 2) * scale, (i % used) * (width + 2) * scale
                assert (pixels[top + y, left + x] == images[i, :, y // scale, x // scale]).all()
                covered += 1
    white = (pixels == 255).all(axis=2).sum()
    assert white == grid.width * grid.height - covered


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 3, 4, 4), np.float32),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros((0, 3, 4, 4), np.uint8),
    ],
)
def test_other_arrays_are_refused(images: np.ndarray) -> None:
    with pytest.raises(PBGenError, match=r"give uint8 \(N, C, H, W\)"):
        image_grid(images)


def test_no_columns_are_refused() -> None:
    with pytest.raises(PBGenError, match="columns 0, scale 1; give at least 1"):
        image_grid(np.zeros((1, 1, 2, 2), np.uint8), columns=0)


def test_floats_become_pixels() -> None:
    values = np.array([-2, -1, -0.5, 0, 0.9999, 1, 3], np.float32)
    assert to_pixels(values).tolist() == [0, 0, 64, 128, 255, 255, 255]


def test_two_pictures_stand_beside_each_other() -> None:
    left = image_grid(np.full((1, 3, 4, 5), 10, np.uint8))
    right = image_grid(np.full((1, 3, 6, 2), 20, np.uint8))
    both = np.asarray(beside(left, right, gap=3))
    assert both.shape == (6, 10, 3)
    assert (both[:4, :5] == 10).all() and (both[:, 8:] == 20).all()
    assert (both[4:, :5] == 255).all() and (both[:, 5:8] == 255).all()


def test_a_picture_is_saved_in_the_format_of_its_name(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (2, 3, 4, 4), dtype=np.uint8)
    save_picture(image_grid(images), tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as read:
        assert read.format == "PNG" and (np.asarray(read) == np.asarray(image_grid(images))).all()
    assert [file.name for file in tmp_path.iterdir()] == ["grid.png"]


@pytest.mark.parametrize("name", ["grid", "grid.safetensors", "grid."])
def test_a_picture_needs_a_picture_s_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(PBGenError, match=r"give a name such as grid\.png"):
        save_picture(image_grid(np.zeros((1, 1, 2, 2), np.uint8)), tmp_path / name)


def test_images_are_put_into_the_picture_one_after_another() -> None:
    images = RNG.integers(0, 256, (7, 3, 4, 5), dtype=np.uint8)
    grid = Grid(7, 3, 4, 5, columns=3, scale=2)
    for first in (4, 0):
        grid.place(first, images[first : first + 4])
    assert grid.picture.tobytes() == image_grid(images, 3, 2).tobytes()


def test_what_is_too_large_is_refused_before_it_is_made() -> None:
    with pytest.raises(
        PBGenError, match=r"count 100000000\d*: the picture .* more than 512 MiB; give a smaller count or"
    ):
        Grid(10**12, 3, 64, 64)


@pytest.mark.parametrize("kind, longest", [("jpg", 65500), ("webp", 16383), ("gif", 65535)])
def test_the_longest_picture_of_each_format(kind: str, longest: int, tmp_path: Path) -> None:
    save_picture(Image.new("L", (longest, 1)), tmp_path / f"grid.{kind}")
    for size in ((longest + 1, 1), (1, longest + 1)):
        with pytest.raises(PBGenError, match=rf"grid\.{kind}: \w+ holds at most {longest} pixels a side"):
            picture_format(Image.new("L", size), tmp_path / f"grid.{kind}")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "tif", "bmp", "ppm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_keeps_the_size(kind: str, channels: int, tmp_path: Path) -> None:
    picture = image_grid(np.zeros((5, channels, 300, 2), np.uint8))
    save_picture(picture, tmp_path / f"grid.{kind}")
    with Image.open(tmp_path / f"grid.{kind}") as read:
        assert read.size == picture.size


@pytest.mark.parametrize("name", ["grid.ico", "grid.h5", "grid.palm"])
def test_formats_that_hold_no_such_picture_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PBGenError, match="is no picture's"):
        save_picture(image_grid(np.zeros((1, 3, 2, 2), np.uint8)), tmp_path / name)
