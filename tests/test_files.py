"""Files are written whole or not at all."""

import errno
from pathlib import Path
from typing import BinaryIO

import pytest

from pbgen import PBGenError
from pbgen.files import write_atomically


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
    def nothing(file: BinaryIO) -> None:
        pass

    with pytest.raises(PBGenError, match=r"missing/file: cannot write there: No such file"):
        write_atomically(tmp_path / "missing" / "file", nothing)
    (tmp_path / "folder").mkdir()
    with pytest.raises(PBGenError, match=r"folder: cannot be written: Is a directory"):
        write_atomically(tmp_path / "folder", nothing)
