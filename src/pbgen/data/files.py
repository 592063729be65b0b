"""Images of a folder or a zip, of any sizes and modes.

Read are PNG, JPEG, WebP, AVIF, JPEG 2000, BMP, GIF (first frame), TIFF and PNM files, some only where Pillow was built
with them, whatever their names end in, in the order of their names. Each is turned upright (EXIF), laid over
white, cropped to its centre square and resized by Lanczos (`decode`); CelebA's are cropped to their centre 108 x 108
pixels instead (`celeba`). Links are followed. Hidden files, what macOS adds to zips, other kinds of files, broken
images, and files and folders that may not be read are skipped, and named.
"""

import hashlib
import os
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import UnidentifiedImageError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pbgen.data import celeba
from pbgen.data.cache import Outcome, cached, key_of
from pbgen.data.decode import READ, RULES, Crop, decode
from pbgen.data.listing import Entry, Listing, list_files
from pbgen.errors import PBGenError
from pbgen.processors import usable_processors
from pbgen.visible import visible

_TOGETHER = 256  # files handed to the threads at a time: what an interruption waits for
_PATIENCE = 1.0  # seconds before a progress bar appears


class _Picture(NamedTuple):
    pixels: npt.NDArray[np.uint8]
    digest: bytes  # of the file


class _Skip(NamedTuple):
    why: str
    lasting: bool = True  # another try would end the same


Result = _Picture | _Skip


class Files:
    """The images of a folder or a zip, decoded once (`cache`)."""

    def __init__(self, path: Path, size: int, channels: int) -> None:
        """Raises PBGenError where `path` is neither a folder nor a zip, or where no image of it can be read."""
        self.name, self.size, self.channels = path.name or str(path), size, channels
        packed = celeba.zip_inside(path)
        listing = list_files(packed or path)
        aligned = celeba.aligned_images(listing)
        crop = celeba.CROP if aligned else Crop()
        decoder = _Decoder(listing, aligned or listing.entries, size, channels, crop)
        place = key_of(str(listing.root.resolve()), size, channels, crop)
        decoded = cached(place, key_of(RULES, decoder.entries), (channels, size, size), decoder.write)
        self._images, self.digest = decoded.images, decoded.digest
        self.skipped = [f"{name}: {why}" for name, why in sorted((listing.missed | decoded.skipped).items())]
        self.count = len(self._images)
        if self.count == 0:
            example = f", such as {self.skipped[0]}" if self.skipped else ""
            none = f"{path}: none of its {len(self.skipped)} files is an image{example}"
            raise PBGenError(f"{none}; give one with images, of {', '.join(READ)}")

    def images(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Images number `indices` (n,): uint8 (n, channels, size, size)."""
        return np.asarray(self._images[indices])


class _Decoder:
    """Some files of a listing on their way into an array."""

    def __init__(self, listing: Listing, entries: list[Entry], size: int, channels: int, crop: Crop) -> None:
        self.listing, self.entries, self.size, self.channels, self.crop = listing, entries, size, channels, crop

    def write(self, file: BinaryIO) -> Outcome:
        """Write what can be read as .npy."""
        skipped: dict[str, str] = {}
        digest, lasting = hashlib.sha256(), True
        file.write(self._header(len(self.entries)))
        for entry, result in zip(self.entries, self._watched(self._results()), strict=True):
            if isinstance(result, _Skip):
                skipped[entry.name] = result.why
                lasting &= result.lasting
            else:
                file.write(result.pixels.tobytes())
                digest.update(os.fsencode(entry.name) + b"\0" + result.digest)
        file.seek(0)
        file.write(self._header(len(self.entries) - len(skipped)))
        return Outcome(skipped, digest.hexdigest(), lasting)

    def _header(self, count: int) -> bytes:
        """Of a .npy file of `count` images: NumPy pads it, so that its length does not depend on the count."""
        shape = (count, self.channels, self.size, self.size)
        header = BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return header.getvalue()

    def _watched(self, results: Iterator[Result]) -> Iterator[Result]:
        """The same, with a progress bar on a terminal if it takes a while."""
        begun = time.monotonic()
        console = Console(stderr=True)
        what = TextColumn("{task.description}", markup=False)
        columns = (what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            name = visible(self.listing.root.name)
            task = progress.add_task(f"reading {name}", total=len(self.entries), visible=False)
            for result in results:
                yield result
                progress.update(task, advance=1, visible=time.monotonic() - begun > _PATIENCE)

    def _results(self) -> Iterator[Result]:
        with warnings.catch_warnings(), ThreadPoolExecutor(usable_processors()) as pool:
            warnings.simplefilter("ignore")  # about odd but readable files
            for start in range(0, len(self.entries), _TOGETHER):
                yield from pool.map(self._decode, self.entries[start : start + _TOGETHER])

    def _decode(self, entry: Entry) -> Result:
        if any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(entry.name).parts):
            return _Skip("hidden")
        try:
            with self.listing.open(entry) as file:
                pixels = decode(file, self.size, self.channels, self.crop)
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]  # it has readinto
                return _Picture(pixels, digest.digest())
        except UnidentifiedImageError:
            return _Skip("not an image")
        except MemoryError:
            return _Skip("not enough memory", lasting=False)
        except Exception as error:  # a broken file makes a decoder raise anything
            if isinstance(error, OSError) and error.errno:  # the system's; Pillow's own have no number
                return _Skip(error.strerror or "cannot be read", lasting=False)
            return _Skip(" ".join(str(error).split()) or type(error).__name__)
