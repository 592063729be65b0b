"""Decoded images on the disk, so that each file is decoded once: $XDG_CACHE_HOME/pbgen, by default ~/.cache/pbgen.

One .npy file of uint8 (n, channels, size, size) for each source, size, channels and crop, opened as a memory map, and
one .json beside it with the fingerprint of the files it was made from. A changed source replaces its files.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from pbgen.errors import PBGenError, PBGenWarning
from pbgen.files import write_atomically


class Outcome(NamedTuple):
    """What became of the files: those that were skipped, by name, and why; a digest of those that were not; and whether
    another try would end the same, or a file was skipped for something that may pass, such as a lack of memory."""

    skipped: dict[str, str]
    digest: str
    lasting: bool


class Decoded(NamedTuple):
    """Images, uint8 (n, channels, size, size), the files that were skipped, by name, and a digest of the others."""

    images: npt.NDArray[np.uint8]
    skipped: dict[str, str]
    digest: str


Write = Callable[[BinaryIO], Outcome]


def cached(key: str, fingerprint: str, shape: tuple[int, int, int], write: Write) -> Decoded:
    """The images of `key`, read from the cache, or else made.

    fingerprint: changes whenever the images would. shape: of one image. write: puts all as .npy into a file. Where the
    cache cannot be written, the images are kept in memory, and a warning says so.
    """
    try:
        folder = cache_folder()
        images, notes = folder / f"{key}.npy", folder / f"{key}.json"
        found = _read(images, notes, fingerprint, shape)
        return found or _made(images, notes, fingerprint, write)
    except (OSError, PBGenError) as error:
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
        told = f"decoded images cannot be kept for the next time ({why}); set XDG_CACHE_HOME to a folder for them"
        warnings.warn(told, PBGenWarning, stacklevel=2)
    memory = BytesIO()
    outcome = write(memory)
    return Decoded(_in_memory(memory), outcome.skipped, outcome.digest)


def cache_folder() -> Path:
    """Where decoded images are kept. Raises PBGenError where the system knows no place."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    if Path(home).is_absolute():  # a relative one is to be ignored, says the XDG base directory specification
        return Path(home) / "pbgen"
    try:
        return Path.home() / ".cache" / "pbgen"
    except RuntimeError:
        raise PBGenError("this user has no home folder") from None


def key_of(*parts: object) -> str:
    """A name for the file of these parts."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:24]


def _made(images: Path, notes: Path, fingerprint: str, write: Write) -> Decoded:
    images.parent.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    notes.unlink(missing_ok=True)  # from here on nothing vouches for the old images
    write_atomically(images, lambda file: outcomes.append(write(file)))
    (outcome,) = outcomes
    if outcome.lasting:
        record = {"fingerprint": fingerprint, "skipped": outcome.skipped, "digest": outcome.digest}
        write_atomically(notes, lambda file: file.write(json.dumps(record).encode()))
    return Decoded(np.load(images, mmap_mode="r"), outcome.skipped, outcome.digest)


def _read(images: Path, notes: Path, fingerprint: str, shape: tuple[int, int, int]) -> Decoded | None:
    """None where there is no cache, an old one, or a damaged one."""
    try:
        record = json.loads(notes.read_bytes())
        fresh = record["fingerprint"] == fingerprint
        decoded = Decoded(np.load(images, mmap_mode="r"), dict(record["skipped"]), str(record["digest"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return decoded if fresh and decoded.images.dtype == np.uint8 and decoded.images.shape[1:] == shape else None


def _in_memory(file: BytesIO) -> npt.NDArray[np.uint8]:
    """The array of a .npy file, not copied."""
    file.seek(0)
    np.lib.format.read_magic(file)
    shape, _, kind = np.lib.format.read_array_header_1_0(file)
    return np.frombuffer(file.getbuffer(), kind, offset=file.tell()).reshape(shape)
