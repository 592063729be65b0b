"""CelebA's layout and crop, on files of the same form."""

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbgen.data import open_images

LISTS = {"list_eval_partition.txt": b"000001.jpg 0\n", "Anno/list_attr_celeba.txt": b"202599\n", "README.png": b"no"}


def aligned(seed: int, width: int = 178, height: int = 218) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (11, 9, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR).save(file, "JPEG", quality=95)
    return file.getvalue()


FACES = {f"{number:06}.jpg": aligned(number) for number in (1, 2, 10, 202599)}


def expected(size: int) -> np.ndarray:
    images = []
    for name in sorted(FACES):
        whole = Image.open(BytesIO(FACES[name]))
        square = Image.fromarray(np.asarray(whole)[55:163, 35:143])
        images.append(np.asarray(square.resize((size, size), Image.Resampling.LANCZOS)).transpose(2, 0, 1))
    return np.stack(images)


def write(folder: Path, contents: dict[str, bytes]) -> None:
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def pack(path: Path, contents: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for name, data in contents.items():
            file.writestr(name, data)


def under(folder: str, contents: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in contents.items()}


@pytest.fixture(params=["folder", "folder around", "nested", "zip", "flat zip", "zip by another name", "download"])
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """CelebA as people have it."""
    inner = under("img_align_celeba", FACES)
    match request.param:
        case "folder":
            write(tmp_path, inner)
            return tmp_path / "img_align_celeba"
        case "folder around":
            write(tmp_path / "celeba", inner | LISTS)
            return tmp_path / "celeba"
        case "nested":
            write(tmp_path, under("img_align_celeba", inner) | LISTS)
            return tmp_path / "img_align_celeba"
        case "zip":
            pack(tmp_path / "img_align_celeba.zip", inner | {"__MACOSX/img_align_celeba/._000001.jpg": b"x"})
            return tmp_path / "img_align_celeba.zip"
        case "flat zip":
            pack(tmp_path / "img_align_celeba.zip", FACES)
            return tmp_path / "img_align_celeba.zip"
        case "zip by another name":
            pack(tmp_path / "celeba.zip", inner | LISTS)
            return tmp_path / "celeba.zip"
        case _:
            write(tmp_path / "celeba", LISTS)
            pack(tmp_path / "celeba" / "img_align_celeba.zip", inner)
            return tmp_path / "celeba"


@pytest.mark.parametrize("size", [64, 108, 33])
def test_the_centre_108_pixels(layout: Path, size: int) -> None:
    source = open_images(layout, size, 3)
    assert (source.count, source.skipped) == (4, [])
    np.testing.assert_array_equal(source.images(np.arange(4)), expected(size))


def test_other_sizes_in_the_layout_are_skipped(tmp_path: Path) -> None:
    write(tmp_path, under("img_align_celeba", FACES | {"000003.jpg": aligned(3, 128, 128), "000004.jpg": b"x"}))
    source = open_images(tmp_path, 64, 3)
    assert source.skipped == [
        "img_align_celeba/000003.jpg: 128x128 pixels, not 178x218",
        "img_align_celeba/000004.jpg: not an image",
    ]
    np.testing.assert_array_equal(source.images(np.arange(4)), expected(64))


@pytest.mark.parametrize("name", ["portraits/000001.jpg", "img_align_celeba/1.jpg", "img_align_celeba/000001.png"])
def test_other_layouts_keep_the_whole_square(name: str, tmp_path: Path) -> None:
    write(tmp_path, {name: aligned(1)})
    whole = np.asarray(Image.open(BytesIO(aligned(1))))[20:198]
    np.testing.assert_array_equal(open_images(tmp_path, 178, 3).images(np.array([0]))[0], whole.transpose(2, 0, 1))
