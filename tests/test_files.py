"""Files are written whole or not at all."""

import errno
import os
import resource
import socket
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from pbgen import PBGenError
from pbgen.arrays import write_arrays
from pbgen.files import check_writable, write_atomically


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for contents in (b"old", b"new"):
        write_atomically(path, lambda file, contents=contents: file.write(contents))
        assert path.read_bytes() == contents
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("broken"), OSError(errno.ENOSPC, "No space left")])
def test_what_fails_leaves_the_old_file_and_no_other(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise error

    expected = PBGenError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))  # a short name: the long one may not fit
    for name, said in [
        ("missing/file", r"missing/file: there is no folder .*missing; make it first"),
        ("folder", "folder: is a folder; give a file in it"),
        ("socket", "socket: is a socket"),
        ("loop", "loop: cannot be written: Too many levels of symbolic links"),
        ("a" * 256, "cannot be written: File name too long; give a shorter name"),
        ("zero\0", "no file has a zero byte in its name"),
    ]:
        for attempt in (check_writable, lambda path: write_atomically(path, lambda file: file.write(b"new"))):
            with pytest.raises(PBGenError, match=said):
                attempt(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "loop", "socket"}


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, os.fsdecode(b"\xff"), "a b\n"])
def test_every_name_that_the_disk_takes(name: str, tmp_path: Path) -> None:
    for contents in (b"old", b"new"):
        check_writable(tmp_path / name)
        write_atomically(tmp_path / name, lambda file, contents=contents: file.write(contents))
        assert (tmp_path / name).read_bytes() == contents
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_trying_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    for name in ("old", "new"):
        check_writable(tmp_path / name)
    assert list(tmp_path.iterdir()) == [tmp_path / "old"] and (tmp_path / "old").read_bytes() == b"old"


@pytest.mark.parametrize("exists", [True, False])
def test_links_are_followed(exists: bool, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "target"
    if exists:
        target.write_bytes(b"old")
    (tmp_path / "folder" / "near").symlink_to("target")
    (tmp_path / "far").symlink_to("folder/near")
    check_writable(tmp_path / "far")
    write_atomically(tmp_path / "far", lambda file: file.write(b"new"))
    assert target.read_bytes() == b"new" and not target.is_symlink()
    assert (tmp_path / "far").is_symlink() and (tmp_path / "folder" / "near").is_symlink()


def test_a_pipe_takes_the_bytes(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_writable(pipe)

    def write(file: BinaryIO) -> None:
        file.write(b"0bc")
        file.seek(0)
        file.write(b"a")

    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_bytes)
        write_atomically(pipe, write)
        assert read.result() == b"abc"
    assert pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]


def test_devices_stay(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to(os.devnull)
    check_writable(tmp_path / "null")
    write_atomically(tmp_path / "null", lambda file: file.write(b"new"))
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)
    if Path("/dev/full").exists():
        with pytest.raises(PBGenError, match="/dev/full: cannot be written: No space left on device; make room"):
            write_atomically("/dev/full", lambda file: file.write(b"new"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files have no names here")
def test_an_open_file_without_a_name(tmp_path: Path) -> None:
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        write_atomically(f"/proc/self/fd/{file.fileno()}", lambda file: file.write(b"new"))
        assert file.read() == b"new"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_makes_the_mode_of_a_new_file_and_an_old_one_keeps_its_own(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        new, old = tmp_path / "new", tmp_path / "old"
        old.write_bytes(b"old")
        old.chmod(0o604)
        during: list[list[int]] = []

        def write(_: BinaryIO) -> None:
            during.append([path.stat().st_mode & 0o777 for path in tmp_path.glob(".pbgen-*")])

        for path in (new, old):
            write_atomically(
                path, lambda file: during.append([p.stat().st_mode & 0o777 for p in tmp_path.glob(".pb*")])
            )
        assert new.stat().st_mode & 0o777 == 0o666 & ~umask
        assert old.stat().st_mode & 0o777 == 0o604
        assert during == [[0o666 & ~umask], [0o604]]  # nobody can read it meanwhile, either
    finally:
        os.umask(before)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 1234, 4321)
    write_atomically(path, lambda file: file.write(b"new"))
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everything")
def test_what_may_not_be_written_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(PBGenError, match="file: cannot be written: Permission denied; choose another place"):
        check_writable(path)
    tmp_path.chmod(0o555)
    with pytest.raises(PBGenError, match="new: cannot be written: Permission denied"):
        check_writable(tmp_path / "new")
    tmp_path.chmod(0o755)


@pytest.mark.parametrize("hide", [ValueError, RuntimeError, None])
def test_a_full_disk_is_told_whatever_a_library_makes_of_it(hide: type[Exception] | None, tmp_path: Path) -> None:
    """As torch and Pillow do. The limit of a file's size stands in for a small disk."""

    def write(file: BinaryIO) -> None:
        try:
            file.write(bytes(10**6))
        except OSError:
            if hide:
                raise hide("something else") from None

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, limits[1]))
    try:
        with pytest.raises(PBGenError, match="file: cannot be written: File too large; make room"):
            write_atomically(tmp_path / "file", write)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_arrays_have_whatever_names_they_have(tmp_path: Path) -> None:
    """`file` and `allow_pickle` are options of NumPy's own function."""
    arrays = {"file": np.arange(6.0).reshape(2, 3), "allow_pickle": np.zeros(0), "x/y": np.float32([1])}
    write_arrays(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz") as read:
        assert list(read) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(read[name], array, strict=True)
