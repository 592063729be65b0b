"""Many small images as one picture."""

import os
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


def image_grid(images: NDArray[np.uint8], columns: int = 8, scale: int = 1) -> "Image.Image":
    """Lay out `images` row by row on white, `columns` to a row, small gaps between them.

    images: uint8 (N, C, H, W) with C 1 (the grid is grayscale, mode "L") or 3 (colour, mode "RGB").
    scale: every pixel becomes a square of `scale` x `scale` pixels, gaps too, so that small images stay crisp.

    Raises PBGenError for any other array, for no images, and where `columns` or `scale` is below 1.
    """
    from PIL import Image

    _check(images, columns, scale)
    count, channels, height, width = images.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels)
    canvas = np.full(shape, 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    canvas = canvas.repeat(scale, axis=0).repeat(scale, axis=1)
    return Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas)


def _check(images: Any, columns: int, scale: int) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise PBGenError(
            f"image grid: got {images.dtype} of shape {tuple(images.shape)}; give uint8 (N, C, H, W) with C 1 or 3"
        )
    if columns < 1 or scale < 1:
        raise PBGenError(f"image grid: columns {columns}, scale {scale}; give at least 1")


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


def save_picture(picture: "Image.Image", path: str | os.PathLike[str]) -> None:
    """Write a picture atomically, in the format that the name's ending says.

    Raises PBGenError where the ending says none, or the folder cannot be written to.
    """
    from PIL import Image

    kind = Image.registered_extensions().get(Path(path).suffix.lower())
    if kind is None or kind not in Image.SAVE:
        raise PBGenError(f"{path}: the ending '{Path(path).suffix}' is no picture's; give a name such as grid.png")
    write_atomically(path, lambda file: picture.save(file, kind))
