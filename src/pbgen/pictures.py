"""Many small images as one picture."""

import os
import warnings
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pbgen.errors import PBGenError, PBGenWarning
from pbgen.files import write_atomically

if TYPE_CHECKING:
    from PIL import Image

GAP = 2
"""Pixels between neighbouring images, before scaling."""

MAX_BYTES = 512 << 20
"""Of a picture's pixels, as in core/run/grid.cpp."""

LONGEST = {"PNG": inf, "JPEG": 65500, "WEBP": 16383, "GIF": 65535, "TIFF": inf, "BMP": inf, "PPM": inf}
"""The formats of pictures, and how many pixels long and wide they can be at most."""

FEW = 0.05
"""Of a picture's numbers: more do not lie outside its range by chance, as those beside sharp edges do."""


@dataclass(frozen=True)
class Range:
    """What a network has for black and for white."""

    low: float
    high: float

    @staticmethod
    def parse(text: str) -> "Range":
        """From "low:high". Raises PBGenError where it is no such pair."""
        low, _, high = text.partition(":")
        try:
            found = Range(float(low), float(high))
        except ValueError:
            found = Range(0, 0)
        if not -1e6 <= found.low < found.high <= 1e6:
            raise PBGenError(f"--range {text}: give the numbers for black and white, such as 0:1, -1:1 or 0:255")
        return found

    def outside(self, values: NDArray[np.float32]) -> int:
        """How many numbers lie outside by more than a tenth of its width: few, unless the network has another range."""
        tenth = (self.high - self.low) / 10
        return int(np.count_nonzero((values < self.low - tenth) | (values > self.high + tenth)))

    def doubt(self, share: float, picture: str | os.PathLike[str]) -> None:
        """Warns where so large a share, 0 to 1, of a picture's numbers lie outside that it is another network's."""
        if share > FEW:
            warnings.warn(
                f"--range {self.low:g}:{self.high:g}: {share:.0%} of the numbers of {os.fspath(picture)} lie outside"
                " it, and are black or white; give what the network has for black and for white, such as 0:1, -1:1 or"
                " 0:255",
                PBGenWarning,
                stacklevel=2,
            )


SIGNED = Range(-1, 1)
"""What a generator's last tanh makes."""


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


def to_pixels(values: NDArray[np.float32], ends: Range = SIGNED) -> NDArray[np.uint8]:
    """A network's numbers as pixels: uint8 of the same shape. What lies outside the range is clipped."""
    scale = 255 / (ends.high - ends.low)
    return ((values.clip(ends.low, ends.high) - ends.low) * scale).round().astype(np.uint8)


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
