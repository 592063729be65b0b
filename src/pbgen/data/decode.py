"""One image file to one array of pixels."""

import re
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError, features
from PIL import __version__ as pillow_version

from pbgen.data.room import Room

Image.init()  # or else Pillow knows but half of its formats
_NAMES = {
    "PNG": "PNG", "JPEG": "JPEG", "WEBP": "WebP", "AVIF": "AVIF", "JPEG2000": "JPEG 2000", "BMP": "BMP", "GIF": "GIF",
    "TIFF": "TIFF", "PPM": "PNM",
}  # fmt: skip
_NEEDED = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}  # what some builds of Pillow lack

FORMATS = tuple(name for name in _NAMES if name not in _NEEDED or features.check(_NEEDED[name]))
"""Some of Pillow's others run programs."""

READ = tuple(_NAMES[name] for name in FORMATS)
"""The same by their usual names."""

MAX_PIXELS = 2**30 // 12  # of a picture; Pillow warns of more

RULES = ("2", pillow_version, FORMATS)  # the first is to change when the same file comes to give other pixels

_UNREAD = {
    "HEIC": rb"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)",
    "AVIF": rb"....ftypavi[fs]",
    "WebP": rb"RIFF....WEBP",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "JPEG XL": rb"\0\0\0\x0cJXL |\xff\x0a",
    "PSD": rb"8BPS",
}
"""How pictures begin that Pillow does not read, or that some builds of it do not."""

_ROOM = Room(2**29)  # bytes for all pictures that are decoded at a time
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # in Pillow's memory; 4 in other modes
_STRIP = 2**18  # pixels that are converted at a time
_DRAFT = 4  # how many times larger than asked for a JPEG is decoded at least


class Crop(NamedTuple):
    """The centre square that is kept: `side` pixels, or all of the shorter side where None.

    The odd pixel is left out at the right or the bottom. `frame`: the only (width, height) accepted.
    """

    side: int | None = None
    frame: tuple[int, int] | None = None


def decode(file: BinaryIO, size: int, channels: int, crop: Crop) -> npt.NDArray[np.uint8]:
    """The first frame, turned upright, cropped to a centre square and resized: uint8 (channels, size, size).

    Transparency is laid over white, 16-bit grey divided by 257. The resampling is Pillow's Lanczos, up or down. A JPEG
    that is far larger is decoded at a half, a quarter or an eighth, to no less than 4 times `size`.
    Raises whatever Pillow does where the file is no such image, and ValueError where it is a picture of another kind or
    has too many pixels.
    """
    with _open(file) as opened:
        whole = opened.width * opened.height
        if whole > MAX_PIXELS:
            raise ValueError("{}x{} pixels; at most {:,} pixels are read".format(*opened.size, MAX_PIXELS))
        if crop == Crop():
            opened.draft(None, (_DRAFT * size, _DRAFT * size))
        with _ROOM.take(_bytes(opened, whole, channels)):
            _turn_upright(opened)
            return _square(opened, size, channels, crop)


def _bytes(opened: Image.Image, whole: int, channels: int) -> int:
    """About what decoding takes at most: what the decoder itself needs for a file of `whole` pixels, the picture as it
    is stored, and its square, or the picture once more while it is turned."""
    stored = _PIXEL_BYTES.get(opened.mode, 4)
    own = 12 if opened.format == "WEBP" else 3 if opened.info.get("progressive") else 0
    return own * whole + opened.width * opened.height * (stored + max(stored, 4 if channels == 3 else 1))


def _square(upright: Image.Image, size: int, channels: int, crop: Crop) -> npt.NDArray[np.uint8]:
    """The picture's pixels as `decode` gives them. It is converted strip by strip, so that one copy is enough."""
    if crop.frame is not None and upright.size != crop.frame:
        raise ValueError("{}x{} pixels, not {}x{}".format(*upright.size, *crop.frame))
    mode = "RGB" if channels == 3 else "L"
    side = crop.side or min(upright.size)
    left, top = (upright.width - side) // 2, (upright.height - side) // 2
    square = Image.new(mode, (side, side))
    height = max(1, _STRIP // side)
    for first in range(0, side, height):
        last = min(first + height, side)
        strip = upright.crop((left, top + first, left + side, top + last))
        square.paste(_opaque(strip).convert(mode), (0, first))
    pixels = np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))
    return np.ascontiguousarray(pixels.reshape(size, size, channels).transpose(2, 0, 1))


def _open(file: BinaryIO) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        start = file.read(16)
        for name, pattern in _UNREAD.items():
            if name not in READ and re.match(pattern, start, re.DOTALL):
                raise ValueError(f"{name}, which is not read; convert it to PNG or JPEG") from None
        raise


def _turn_upright(image: Image.Image) -> None:
    image.load()
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # broken EXIF makes Pillow raise anything, and the pixels are whole
        pass


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # Pillow's own conversion clips 16 bits at 255
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA"))
    return image
