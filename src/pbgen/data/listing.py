"""The files of a folder or of a zip, by name."""

import zipfile
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from pbgen.errors import PBGenError

_MAX_BYTES = 2**28  # of one packed image: a zip may claim anything


class Entry(NamedTuple):
    """A file: its name with "/" between folders, its size in bytes, and what else changes with its content."""

    name: str
    bytes: int
    stamp: int


class Listing(Protocol):
    """Files in the order of their names."""

    root: Path
    entries: list[Entry]

    def open(self, entry: Entry) -> BinaryIO:
        """The file's content. Raises OSError and zipfile's errors; thread-safe."""


class Folder:
    """Every file of a folder and of the folders in it, links to folders not followed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        found = (path for path in root.rglob("*") if path.is_file())
        entries = []
        for path in found:
            status = path.stat()
            entries.append(Entry(path.relative_to(root).as_posix(), status.st_size, status.st_mtime_ns))
        self.entries = sorted(entries)

    def open(self, entry: Entry) -> BinaryIO:
        return (self.root / entry.name).open("rb")


class Zip:
    """Every file of a zip."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            self._zip = zipfile.ZipFile(root)
        except (zipfile.BadZipFile, OSError) as error:
            raise PBGenError(f"{root}: not a readable zip ({error}); give a folder or a zip of images") from None
        self._members = {member.filename: member for member in self._zip.infolist() if not member.is_dir()}
        self.entries = sorted(Entry(name, member.file_size, member.CRC) for name, member in self._members.items())

    def open(self, entry: Entry) -> BinaryIO:
        if entry.bytes > _MAX_BYTES:
            raise OSError(f"{entry.bytes} bytes unpacked; at most {_MAX_BYTES} are read")
        return BytesIO(self._zip.read(self._members[entry.name]))


def list_files(path: Path) -> Listing:
    """The files of a folder or a zip. Raises PBGenError where `path` is neither."""
    return Folder(path) if path.is_dir() else Zip(path)
