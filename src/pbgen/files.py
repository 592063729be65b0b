"""Writing files so that a crash leaves the old one or the new one, never half of one."""

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pbgen.errors import PBGenError

_REMEDIES = {
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EBUSY: "it is mounted by itself, so mount its folder",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room, or choose another place"),
}
_ACL = "system.posix_acl_access"  # rights of further users and groups, where Linux keeps them


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Call `write` on a temporary file, flush it to the disk and rename it to `path`, or to where links there lead.

    A new file gets the mode that the umask says. One that takes an old one's place gets its mode, and its owner, group
    and ACL as far as this user may give them. A pipe or device is not replaced: it takes what was written, at the end.

    Whatever goes wrong, a file that was at `path` stays. Raises PBGenError where the folder does not exist, where it or
    the old file cannot be written to, or where there is no room.
    """
    with told_as(path):
        place = _find(Path(path))
        if place.takes_bytes:
            _send(place, write)
        else:
            _replace(place, write)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Find out before the work, not after it, that `write_atomically` would fail at `path`. Raises PBGenError then."""
    with told_as(path):
        place = _find(Path(path))
        if place.takes_bytes:
            if not os.access(place.path, os.W_OK):  # to open a pipe would tell its reader that all has been said
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        elif place.old:
            with _temporary(place) as (handle, _):
                os.close(handle)
        else:
            os.close(os.open(place.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL))  # a disk may not take every name
            place.file.unlink()


@contextmanager
def told_as(path: str | os.PathLike[str]) -> Iterator[None]:
    """What keeps the file `path` from being written inside raises PBGenError, with its name and a remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "choose another place")
        raise PBGenError(f"{os.fspath(path)}: cannot be written: {error.strerror or error}; {remedy}") from None


@dataclass(frozen=True)
class _Place:
    """What a path leads to. file: where its links end. old: what is there. takes_bytes: it is not to be replaced."""

    path: Path
    file: Path
    old: os.stat_result | None
    takes_bytes: bool


def _find(path: Path) -> _Place:
    if "\0" in str(path):
        raise PBGenError(f"{str(path)!r}: no file has a zero byte in its name")
    old = None
    with suppress(FileNotFoundError):
        old = path.stat()
    file = path
    while file.is_symlink():
        file = file.parent / file.readlink()
    if old is None:
        if not file.parent.is_dir():
            raise PBGenError(f"{path}: there is no folder {file.parent}; make it first")
        return _Place(path, file, None, False)
    if stat.S_ISDIR(old.st_mode):
        raise PBGenError(f"{path}: is a folder; give a file in it")
    if stat.S_ISSOCK(old.st_mode) or stat.S_ISBLK(old.st_mode):
        raise PBGenError(f"{path}: is a socket or a whole disk; give a file")
    # What is open as /dev/fd/3 may have been deleted: then its link ends nowhere.
    has_name = file.exists() and os.path.samestat(file.stat(), old)
    return _Place(path, file, old, not (stat.S_ISREG(old.st_mode) and has_name))


def _send(place: _Place, write: Callable[[BinaryIO], object]) -> None:
    content = io.BytesIO()  # `write` may go back and forth
    write(content)
    with os.fdopen(os.open(place.path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(content.getbuffer())


def _replace(place: _Place, write: Callable[[BinaryIO], object]) -> None:
    with _temporary(place) as (handle, name):
        raw = _Raw(handle, "w")
        try:
            with io.BufferedWriter(raw) as file:
                write(file)
                file.flush()
                os.fsync(handle)
        finally:
            if raw.failure:
                raise raw.failure
        name.replace(place.file)


class _Raw(io.FileIO):
    """A file that remembers why it could not be written: torch and Pillow say something else, or nothing.

    They get no file number, by which they would write past it.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


@contextmanager
def _temporary(place: _Place) -> Iterator[tuple[int, Path]]:
    """A new file beside another, open to write, with a short name of its own; in the end it is gone if still there."""
    if place.old:
        os.close(os.open(place.file, os.O_WRONLY))  # what may not be written may not be replaced either
    name = place.file.with_name(f".pbgen-{os.urandom(8).hex()}")
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if place.old else 0o666)
    try:
        if place.old:
            _make_alike(handle, place.file, place.old)
        yield handle, name
    finally:
        name.unlink(missing_ok=True)


def _make_alike(handle: int, file: Path, old: os.stat_result) -> None:
    """Give a new file the old one's owner, group, mode and ACL, as far as this user may and the disk knows of them."""
    mode = old.st_mode & 0o777
    try:
        try:
            os.fchown(handle, old.st_uid, old.st_gid)
        except PermissionError:
            os.fchown(handle, -1, old.st_gid)
    except OSError:
        mode = mode & 0o707 | (mode & 0o007) << 3  # another group may do no more than everybody
    with suppress(OSError, AttributeError):
        os.fchmod(handle, mode)
        os.setxattr(handle, _ACL, os.getxattr(file, _ACL))
