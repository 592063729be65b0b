"""The files of a folder or of a zip, by name."""

import os
import stat
import time
import zipfile
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from pbgen.data.room import Room
from pbgen.errors import PBGenError

_MAX_BYTES = 2**28  # of one packed image: a zip may claim anything
_ROOM = Room(_MAX_BYTES)  # bytes for all members of zips that are unpacked at a time
_TICK = 0.02  # seconds; the clock of a file system's stamps moves every 1 to 10 ms

Seen = set[tuple[int, int]]  # folders: device and inode


class Stamp(NamedTuple):
    """What no change of a file leaves as it was.

    Its size and the time of the last writing can be given to any file (cp -p, rsync -t, touch -r, unzip); the time of
    the last change (ctime) and the inode are the system's alone. The content itself would be the same to the bit,
    but all images would have to be read at each start.
    """

    inode: int
    written: int  # nanoseconds
    changed: int  # nanoseconds
    checksum: int  # of a member of a zip

    @classmethod
    def of(cls, status: os.stat_result, checksum: int = 0) -> "Stamp":
        return cls(status.st_ino, status.st_mtime_ns, status.st_ctime_ns, checksum)


class Entry(NamedTuple):
    """A file: its name with "/" between folders, its size in bytes, and its stamp, of a zip's member with the zip's."""

    name: str
    bytes: int
    stamp: Stamp


class Listing(Protocol):
    """Files in the order of their names.

    missed: what else was met and cannot be read, by name, and why.
    """

    root: Path
    entries: list[Entry]
    missed: dict[str, str]

    def open(self, entry: Entry) -> AbstractContextManager[BinaryIO]:
        """The file's content. Raises OSError, and of a zip anything; thread-safe."""


class Folder:
    """Every file of a folder and of the folders in it. Links are followed; each folder is read once, so none in a
    circle, and by its own name rather than by that of a link to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: list[Entry] = []
        self.missed: dict[str, str] = {}
        seen: Seen = set()
        folders, links = deque([""]), deque[str]()
        while folders or links:
            if folders:
                self._read(folders.popleft(), False, seen, folders, links)
            else:
                self._read(links.popleft(), True, seen, folders, links)
        self.entries.sort()

    def open(self, entry: Entry) -> BinaryIO:
        return (self.root / entry.name).open("rb")

    def _read(self, folder: str, link: bool, seen: Seen, folders: deque[str], links: deque[str]) -> None:
        """Read one folder: add its files to the entries, and the folders in it to `folders` or `links`."""
        try:
            status = (self.root / folder).stat()
            identity = status.st_dev, status.st_ino
            if link and identity in seen:
                self.missed[folder] = "a link to a folder that is read already"
                return
            seen.add(identity)
            found = sorted(os.scandir(self.root / folder), key=lambda item: item.name)
        except OSError as error:
            if not folder:
                raise PBGenError(f"{self.root}: cannot be read: {error.strerror}; give a folder of images") from None
            self.missed[folder] = f"a folder that cannot be read ({error.strerror})"
            return
        for item in found:
            name = f"{folder}/{item.name}" if folder else item.name
            try:
                if item.is_dir():
                    (links if item.is_symlink() else folders).append(name)
                else:
                    self._add(name, item.stat())
            except OSError as error:
                dangling = item.is_symlink() and isinstance(error, FileNotFoundError)
                self.missed[name] = "a link to nothing" if dangling else str(error.strerror)

    def _add(self, name: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            self.missed[name] = "a device, pipe or socket"
        elif not os.access(self.root / name, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
            self.missed[name] = "may not be read"
        else:
            self.entries.append(Entry(name, status.st_size, Stamp.of(status)))


class Zip:
    """Every file of a zip."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.missed: dict[str, str] = {}
        try:
            if not root.is_file():
                raise OSError("a device, pipe or socket")
            status = root.stat()
            self._zip = zipfile.ZipFile(root)
        except Exception as error:  # a broken or strange zip makes zipfile raise anything
            why = " ".join(str(error).split()) or type(error).__name__
            raise PBGenError(f"{root}: not a readable zip ({why}); give a folder or a zip of images") from None
        self._members = {member.filename: member for member in self._zip.infolist()}
        self.entries = sorted(
            Entry(name, member.file_size, Stamp.of(status, member.CRC))
            for name, member in self._members.items()
            if not name.endswith("/")  # a folder
        )

    @contextmanager
    def open(self, entry: Entry) -> Iterator[BinaryIO]:
        if entry.bytes > _MAX_BYTES:
            raise ValueError(f"{entry.bytes} bytes unpacked; at most {_MAX_BYTES} are read")
        with _ROOM.take(entry.bytes):
            yield BytesIO(self._zip.read(self._members[entry.name]))


def list_files(path: Path) -> Listing:
    """The files of a folder or a zip. Raises PBGenError where `path` is neither."""
    kind = Folder if path.is_dir() else Zip
    listing: Listing = kind(path)
    if any(time.time_ns() - entry.stamp.changed < _TICK * 1e9 for entry in listing.entries):
        # Changed once more now, a file could have the same stamp still. Not from here on.
        time.sleep(_TICK)
        listing = kind(path)
    return listing
