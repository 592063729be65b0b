"""What users are meant to read."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pbgen.visible import visible


class PBGenError(Exception):
    """Something the user gave is wrong, or cannot be done.

    The message is one line that names the culprit (file, option, layer, operator), what is wrong with it and what
    would be right. The command line prints it and exits with code 2. Names in it may come from anywhere, so that what
    cannot be seen of it is escaped (`visible`).
    """

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))


class PBGenWarning(UserWarning):
    """Something the user gave is not all as it should be, and the work goes on. The message is one line, as above."""

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))


@contextmanager
def enough_memory(remedy: str) -> Iterator[None]:
    """What fails inside for want of memory raises PBGenError, with this remedy."""
    try:
        yield
    except (MemoryError, RuntimeError, ImportError) as error:  # torch and the loader of libraries have no own type
        if not isinstance(error, MemoryError) and not _NO_MEMORY.search(str(error)):
            raise
        raise PBGenError(f"out of memory; {remedy}") from None


_NO_MEMORY = re.compile("out of memory|allocate memory|failed to map segment")
