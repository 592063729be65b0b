"""One file to pixels: every mode, the crop, the resize, the turning."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, UnidentifiedImageError

from pbgen.data.decode import FORMATS, READ, Crop, decode, picture

RED, GREEN = (255, 0, 0), (0, 255, 0)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> BytesIO:
    file = BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def flat(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (20, 20), colour)


def palette(transparent: bool = False) -> Image.Image:
    image = Image.new("P", (20, 20), 1)
    image.putpalette([0, 0, 0, 255, 128, 0])
    if transparent:
        image.info["transparency"] = 1
    return image


def deep(value: int) -> Image.Image:
    return Image.fromarray(np.full((20, 20), value, dtype=np.uint16))


MODES = {  # name: (file, colour of every pixel in RGB, in grey); grey is ITU-R 601-2 luma
    "RGB": (encoded(flat("RGB", (10, 20, 30))), (10, 20, 30), 18),
    "L": (encoded(flat("L", 77)), (77, 77, 77), 77),
    "one bit": (encoded(flat("1", 1)), (255, 255, 255), 255),
    "palette": (encoded(palette()), (255, 128, 0), 151),
    "palette, transparent": (encoded(palette(transparent=True)), (255, 255, 255), 255),
    "RGBA, half": (encoded(flat("RGBA", (200, 100, 0, 51))), (244, 224, 204), 228),
    "RGBA, hidden colour": (encoded(flat("RGBA", (200, 100, 0, 0))), (255, 255, 255), 255),
    "grey and alpha": (encoded(flat("LA", (55, 51))), (215, 215, 215), 215),
    "RGB with a transparent colour": (encoded(flat("RGB", (1, 2, 3)), transparency=(1, 2, 3)), (255, 255, 255), 255),
    "16 bits": (encoded(deep(25700)), (100, 100, 100), 100),
    "16 bits, rounded": (encoded(deep(25700 + 129)), (101, 101, 101), 101),
    "16 bits, white": (encoded(deep(65535)), (255, 255, 255), 255),
    "16 bits, TIFF": (encoded(deep(25700), "TIFF"), (100, 100, 100), 100),
    "CMYK": (encoded(flat("CMYK", (255, 0, 255, 0)), "TIFF"), (0, 255, 0), 150),
    "WebP": (encoded(flat("RGBA", (200, 100, 0, 51)), "WEBP", lossless=True), (244, 224, 204), 228),
    "BMP": (encoded(flat("RGB", (10, 20, 30)), "BMP"), (10, 20, 30), 18),
    "PPM": (encoded(flat("RGB", (10, 20, 30)), "PPM"), (10, 20, 30), 18),
    "GIF, first frame": (
        encoded(flat("RGB", RED), "GIF", save_all=True, append_images=[flat("RGB", GREEN)]),
        RED,
        76,
    ),
}


@pytest.mark.parametrize("name", MODES)
def test_modes(name: str) -> None:
    file, colour, grey = MODES[name]
    for channels, expected in ((3, colour), (1, (grey,))):
        file.seek(0)
        pixels = decode(file, 16, channels, Crop())
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        wanted = np.broadcast_to(np.array(expected, dtype=np.uint8)[:, None, None], (channels, 16, 16))
        np.testing.assert_array_equal(pixels, wanted)


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("MPO", "RGB")])
def test_jpeg_of_any_mode(kind: str, mode: str) -> None:
    image = flat("RGB", (120, 60, 200)).convert(mode)
    second = {"save_all": True, "append_images": [flat("RGB", GREEN)]} if kind == "MPO" else {}
    pixels = decode(encoded(image, kind, quality=98, **second), 20, 3, Crop()).astype(int)
    expected = np.array(image.convert("RGB"))[0, 0]
    assert np.abs(pixels - expected[:, None, None]).max() <= 3


def test_a_whole_picture_is_upright_and_opaque() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 7000, 4), dtype=np.uint8)  # of several strips
    image = Image.fromarray(pixels)
    white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    exif = Image.Exif()
    exif[0x112] = 3  # upside down
    for channels, mode in ((3, "RGB"), (1, "L")):
        expected = np.asarray(white.convert(mode)).reshape(50, 7000, channels)
        np.testing.assert_array_equal(picture(encoded(image), channels), expected)
        np.testing.assert_array_equal(picture(encoded(image, exif=exif), channels), expected[::-1, ::-1])


@pytest.mark.parametrize(("width", "height"), [(20, 20), (21, 20), (33, 20), (20, 33), (20, 21), (300, 20)])
def test_the_centre_square_is_kept(width: int, height: int) -> None:
    """No resampling where the square has the size asked for: the pixels are those of the file."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    top, left = (height - 20) // 2, (width - 20) // 2
    decoded = decode(encoded(Image.fromarray(pixels)), 20, 3, Crop())
    np.testing.assert_array_equal(decoded, pixels[top : top + 20, left : left + 20].transpose(2, 0, 1))


def lanczos(line: np.ndarray, size: int) -> np.ndarray:
    """Lanczos-3 along the last axis, from its formula: the kernel stretched when reducing, cut at the border."""
    scale = line.shape[-1] / size
    stretch = max(scale, 1.0)
    out = []
    for i in range(size):
        t = (np.arange(line.shape[-1]) + 0.5 - (i + 0.5) * scale) / stretch
        weight = np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0)
        out.append(line @ (weight / weight.sum()))
    return np.clip(np.round(np.stack(out, axis=-1)), 0, 255)


@pytest.mark.parametrize(("side", "size"), [(64, 16), (50, 16), (20, 33), (218, 64)])
def test_resizing_is_lanczos(side: int, size: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (side, side), dtype=np.uint8)
    expected = lanczos(lanczos(pixels.astype(float), size).T, size).T  # across first, rounded between, as Pillow does
    decoded = decode(encoded(Image.fromarray(pixels)), size, 1, Crop())[0]
    assert np.abs(decoded - expected).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(orientation: int) -> None:
    upright = np.zeros((20, 20, 3), dtype=np.uint8)
    upright[:10, :10] = RED
    upright[:10, 10:] = GREEN
    stored = {  # what a camera stores so that the orientation makes it upright
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encoded(Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(decode(file, 20, 3, Crop()), upright.transpose(2, 0, 1))


@pytest.mark.filterwarnings("ignore")  # Pillow tells of what is broken
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_costs_no_image(kind: str) -> None:
    """A field that is off by a byte, or all of it: the pixels are whole, and turned where that can still be read."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 3, "what it shows"
    good = exif.tobytes()
    image = flat("RGB", RED)
    image.paste(GREEN, (0, 0, 20, 10))
    upright = decode(encoded(image, kind, exif=good), 20, 3, Crop())
    assert upright[0, 0].mean() > 250
    rng = np.random.default_rng(0)
    for _ in range(300):
        bad = bytearray(good[: rng.integers(len(good) // 2, len(good) + 1)])
        bad[rng.integers(len(bad))] = rng.integers(256)
        decoded = decode(encoded(image, kind, exif=bytes(bad)), 20, 3, Crop())
        assert decoded.shape == (3, 20, 20)
    unreadable = good.replace(b"what", b"\0\0\0\0").replace(b"\x01\x0e\x00\x02", b"\x01\x0e\x00\x05")
    np.testing.assert_array_equal(decode(encoded(image, kind, exif=unreadable), 20, 3, Crop()), upright)


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000"])
def test_what_this_pillow_was_built_with(kind: str) -> None:
    if kind not in FORMATS:
        pytest.skip(f"this Pillow reads no {kind}")
    decoded = decode(encoded(flat("RGB", (120, 60, 200)), kind), 16, 3, Crop()).astype(int)
    assert np.abs(decoded - np.array([120, 60, 200])[:, None, None]).max() <= 3


def test_other_pictures_are_named() -> None:
    for start, name in {b"\0\0\0\x18ftypheic": "HEIC", b"\xff\x0a": "JPEG XL", b"8BPS": "PSD"}.items():
        assert name not in READ
        with pytest.raises(ValueError, match=f"{name}, which is not read; convert it to PNG or JPEG"):
            decode(BytesIO(start + bytes(40)), 16, 3, Crop())


def test_a_smaller_crop_and_a_wrong_frame() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    decoded = decode(encoded(Image.fromarray(pixels)), 16, 3, Crop(side=16, frame=(30, 40)))
    np.testing.assert_array_equal(decoded, pixels[12:28, 7:23].transpose(2, 0, 1))
    with pytest.raises(ValueError, match="30x40 pixels, not 40x30"):
        decode(encoded(Image.fromarray(pixels)), 16, 3, Crop(side=16, frame=(40, 30)))


def test_what_is_no_image_of_ours() -> None:
    with pytest.raises(UnidentifiedImageError):
        decode(BytesIO(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), 16, 3, Crop())
    with pytest.raises(ValueError, match="floating-point"):
        decode(encoded(Image.fromarray(np.ones((20, 20), dtype=np.float32)), "TIFF"), 16, 3, Crop())


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_smaller(orientation: int) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((1216, 960), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x112] = orientation
    file = encoded(image, "JPEG", quality=95, exif=exif)
    whole = ImageOps.exif_transpose(Image.open(file)).crop(
        (128, 0, 1088, 960) if orientation == 1 else (0, 128, 960, 1088)
    )
    expected = np.asarray(whole.resize((24, 24), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
    assert np.abs(decode(file, 24, 3, Crop()).astype(int) - expected).max() <= 6


def test_too_many_pixels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbgen.data.decode.MAX_PIXELS", 400)
    assert decode(encoded(Image.new("RGB", (20, 20))), 16, 3, Crop()).shape == (3, 16, 16)
    with pytest.raises(ValueError, match="20x21 pixels; at most 400 pixels are read"):
        decode(encoded(Image.new("RGB", (20, 21))), 16, 3, Crop())


MEMORY = """
import re, sys, threading
from pathlib import Path
from pbgen.data.decode import Crop, decode
def highest(): return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
def work():
    with open(sys.argv[1], "rb") as file: decode(file, 64, 3, Crop())
before = highest()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print((highest() - before) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="is about Linux")
def test_the_memory_for_decoding_is_bounded(tmp_path: Path) -> None:
    """Four threads with pictures of 64 MB each, that could be decoded one at a time in 128 MB and four in 512 MB."""
    Image.new("RGB", (4000, 4000), "teal").save(tmp_path / "large.png", compress_level=1)
    code = "import pbgen.data.decode as d; from pbgen.data.room import Room; d._ROOM = Room(2**27)\n" + MEMORY
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "large.png"], capture_output=True, check=True)
    assert 100 < int(done.stdout) < 200
