"""Many small images as one picture."""

import os
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pbgen.errors import PBGenError
from pbgen.files import write_atomically

if TYPE_CHECKING:
    from PIL import Image

GAP = 2
"""Pixels between neighbouring images, before scaling."""

MAX_BYTES = 512 << 20
"""Of a picture's pixels, as in core/run/grid.cpp."""

LONGEST = {"PNG": inf, "JPEG": 65500, "WEBP": 16383, "GIF": 65535, "TIFF": inf, "BMP": inf, "PPM": inf}
"""The formats of pictures, and how many pixels long and wide they can be at most."""


class Grid:
    """Images of one size row by row on white, `columns` to a row, small gaps between them, put there one by one.

    count: for how many there is room. channels: 1 (`picture` is grayscale, mode "L") or 3 (colour, mode "RGB").
    scale: every pixel becomes a square of `scale` x `scale` pixels, gaps too, so that small images stay crisp.

    Raises PBGenError where a number is not possible, or the picture would be larger than MAX_BYTES or the memory.
    """

    def __init__(self, count: int, channels: int, height: int, width: int, columns: int = 8, scale: int = 1) -> None:
        from PIL import Image

        if channels not in (1, 3) or min(count, height, width) < 1:
            raise PBGenError(
                f"image grid: {count} images of shape {(channels, height, width)}; give some, of 1 or 3 channels"
            )
        if columns < 1 or scale < 1:
            raise PBGenError(f"image grid: columns {columns}, scale {scale}; give at least 1")
        self._columns, self._scale = min(columns, count), scale
        self._step = (width + GAP) * scale, (height + GAP) * scale
        rows = -(-count // self._columns)
        size = self._columns * self._step[0] - GAP * scale, rows * self._step[1] - GAP * scale
        told = f"count {count}: the picture would have {size[0]} x {size[1]} pixels"
        if size[0] * size[1] * channels > MAX_BYTES:
            raise PBGenError(f"{told}, more than {MAX_BYTES >> 20} MiB; give a smaller count or scale")
        try:
            self.picture = Image.new("L" if channels == 1 else "RGB", size, "white")
        except MemoryError:
            raise PBGenError(f"{told}, more than there is memory for; give a smaller count or scale") from None

    def place(self, first: int, images: NDArray[np.uint8]) -> None:
        """Put `images`, uint8 (n, C, H, W), in the places from number `first` on."""
        from PIL import Image

        for i, image in enumerate(images, first):
            pixels = image.transpose(1, 2, 0).repeat(self._scale, axis=0).repeat(self._scale, axis=1)
            at = i % self._columns * self._step[0], i // self._columns * self._step[1]
            self.picture.paste(Image.fromarray(pixels[:, :, 0] if len(image) == 1 else pixels), at)


def image_grid(images: NDArray[np.uint8], columns: int = 8, scale: int = 1) -> "Image.Image":
    """The picture of a Grid that holds all `images`, uint8 (N, C, H, W) with C 1 or 3.

    Raises PBGenError for any other array, for no images, and as Grid does.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise PBGenError(
            f"image grid: got {images.dtype} of shape {tuple(images.shape)}; give uint8 (N, C, H, W) with C 1 or 3"
        )
    count, channels, height, width = images.shape
    grid = Grid(count, channels, height, width, columns, scale)
    grid.place(0, images)
    return grid.picture


def to_pixels(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A generator's output, floats in [-1, 1], as pixels: uint8 of the same shape. What lies outside is clipped."""
    return ((values.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)


def beside(left: "Image.Image", right: "Image.Image", gap: int = 16) -> "Image.Image":
    """Two pictures of the same mode as one, on white, `gap` pixels apart."""
    from PIL import Image

    size = (left.width + gap + right.width, max(left.height, right.height))
    both = Image.new(left.mode, size, "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width + gap, 0))
    return both


def picture_format(picture: "Image.Image", path: str | os.PathLike[str]) -> str:
    """Pillow's name of the format that the ending of `path` says, one of LONGEST.

    Raises PBGenError where it says none, or one that holds no picture of this size.
    """
    from PIL import Image

    ending = Path(path).suffix
    kind = Image.registered_extensions().get(ending.lower(), "")
    if kind not in LONGEST:
        raise PBGenError(f"{path}: the ending '{ending}' is no picture's; give a name such as grid.png")
    if max(picture.size) > LONGEST[kind]:
        raise PBGenError(
            f"{path}: {kind} holds at most {LONGEST[kind]} pixels a side, and the picture has {picture.width} x "
            f"{picture.height}; give a name such as grid.png, or fewer images"
        )
    return kind


def save_picture(picture: "Image.Image", path: str | os.PathLike[str]) -> None:
    """Write a picture atomically, in the format that the name's ending says.

    Raises PBGenError as `picture_format` does, and where the file cannot be written.
    """
    kind = picture_format(picture, path)

    def write(file: Any) -> None:
        try:
            picture.save(file, kind)
        except (OSError, ValueError) as error:  # of the encoder; where the file is at fault, that is told instead
            raise PBGenError(f"{path}: cannot be written as {kind}: {error}; give a name such as grid.png") from None

    write_atomically(path, write)
