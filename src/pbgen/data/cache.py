"""Decoded images on the disk, so that each file is decoded once: $XDG_CACHE_HOME/pbgen, by default ~/.cache/pbgen.

One .npy file of uint8 (n, channels, size, size) for each source, size, channels and crop, opened as a memory map, and
one .json beside it with the fingerprint of the files it was made from. A changed source replaces its files.
"""

import hashlib
import json
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from pbgen.errors import PBGenError
from pbgen.files import write_atomically

Write = Callable[[BinaryIO], list[str]]


class Decoded(NamedTuple):
    """Images, uint8 (n, channels, size, size), and the files that were skipped."""

    images: npt.NDArray[np.uint8]
    skipped: list[str]


def cached(key: str, fingerprint: str, shape: tuple[int, int, int], write: Write) -> Decoded:
    """The images of `key`, read from the cache, or else made.

    fingerprint: changes whenever the images would. shape: of one image. write: puts all as .npy into a file and returns
    what it skipped. Where the cache cannot be written, the images are kept in memory.
    """
    folder = cache_folder()
    images, notes = folder / f"{key}.npy", folder / f"{key}.json"
    found = _read(images, notes, fingerprint, shape)
    if found is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        skipped: list[str] = []
        notes.unlink(missing_ok=True)  # from here on nothing vouches for the old images
        write_atomically(images, lambda file: skipped.extend(write(file)))
        record = {"fingerprint": fingerprint, "skipped": skipped}
        write_atomically(notes, lambda file: file.write(json.dumps(record).encode()))
        return Decoded(np.load(images, mmap_mode="r"), skipped)
    except (OSError, PBGenError):
        memory = BytesIO()
        skipped = write(memory)
        memory.seek(0)
        return Decoded(np.load(memory), skipped)


def cache_folder() -> Path:
    """Where decoded images are kept."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "pbgen"


def key_of(*parts: object) -> str:
    """A name for the file of these parts."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:24]


def _read(images: Path, notes: Path, fingerprint: str, shape: tuple[int, int, int]) -> Decoded | None:
    """None where there is no cache, an old one, or a damaged one."""
    try:
        record = json.loads(notes.read_bytes())
        decoded = Decoded(np.load(images, mmap_mode="r"), list(record["skipped"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    fresh = record["fingerprint"] == fingerprint
    return decoded if fresh and decoded.images.dtype == np.uint8 and decoded.images.shape[1:] == shape else None
