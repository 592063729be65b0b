"""One image file to one array of pixels."""

import re
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError, features
from PIL import __version__ as pillow_version
from PIL.Image import Transpose

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

_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""What undoes each orientation that EXIF knows."""


class Crop(NamedTuple):
    """The centre square that is kept: `side` pixels, or all of the shorter side where None.

    The odd pixel is left out at the right or the bottom. `frame`: the only (width, height) accepted.
    """

    side: int | None = None
    frame: tuple[int, int] | None = None


def decode(file: BinaryIO, size: int, channels: int, crop: Crop) -> npt.NDArray[np.uint8]:
    """The first frame, turned upright, cropped to a centre square and resized: uint8 (channels, size, size).

    Transparency is laid over white, 16-bit grey divided by 257. The resampling is Pillow's Lanczos, up or down.
    Raises whatever Pillow does where the file is no such image, and ValueError where it is a picture of another kind.
    """
    with _open(file) as opened:
        upright = _upright(opened)
    if crop.frame is not None and upright.size != crop.frame:
        raise ValueError("{}x{} pixels, not {}x{}".format(*upright.size, *crop.frame))
    image = _opaque(upright).convert("RGB" if channels == 3 else "L")
    side = crop.side or min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
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


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF makes Pillow raise anything, and the pixels are whole
        turn = None
    return image if turn is None else image.transpose(turn)


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
