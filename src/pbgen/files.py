"""Writing files so that a crash leaves the old one or the new one, never half of one."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from pbgen.errors import PBGenError


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Call `write` on a temporary file beside `path`, flush it to the disk and rename it to `path`.

    Whatever goes wrong, what was at `path` stays. Raises PBGenError where the folder does not exist, cannot be written
    to, or is full.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise PBGenError(f"{path}: cannot write there: {error.strerror}; choose a folder that exists") from None
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise PBGenError(f"{path}: cannot be written: {error.strerror}; nothing was changed") from None
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
