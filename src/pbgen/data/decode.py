"""One image file to one array of pixels."""

from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from PIL import __version__ as pillow_version

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # some of Pillow's others run programs
RULES = ("1", pillow_version)  # the first is to change when the same file comes to give other pixels
Image.init()  # or else Pillow knows but half of them


class Crop(NamedTuple):
    """The centre square that is kept: `side` pixels, or all of the shorter side where None.

    The odd pixel is left out at the right or the bottom. `frame`: the only (width, height) accepted.
    """

    side: int | None = None
    frame: tuple[int, int] | None = None


def decode(file: BinaryIO, size: int, channels: int, crop: Crop) -> npt.NDArray[np.uint8]:
    """The first frame, turned upright, cropped to a centre square and resized: uint8 (channels, size, size).

    Transparency is laid over white, 16-bit grey divided by 257. The resampling is Pillow's Lanczos, up or down.
    Raises whatever Pillow does where the file is no such image.
    """
    with Image.open(file, formats=FORMATS) as opened:
        upright = ImageOps.exif_transpose(opened)
    if crop.frame is not None and upright.size != crop.frame:
        raise ValueError("{}x{} pixels, not {}x{}".format(*upright.size, *crop.frame))
    image = _opaque(upright).convert("RGB" if channels == 3 else "L")
    side = crop.side or min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    pixels = np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))
    return np.ascontiguousarray(pixels.reshape(size, size, channels).transpose(2, 0, 1))


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
