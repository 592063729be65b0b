"""Standard output and standard error as a command finds them: of any encoding, closed, full, or a pipe nobody reads."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO, cast

from pbgen.visible import PLAIN


class OutputError(Exception):
    """What the command has to say cannot be written to standard output. `cause` says why."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"standard output: cannot be written: {cause.strerror or cause}; give it another place to go")
        self.cause = cause


class _Stream:
    """A text stream with the characters that it has, and from its first failure on without a reader or a failure."""

    def __init__(self, stream: TextIO) -> None:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=PLAIN)
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, call: Callable[[], object]) -> None:
        try:
            call()
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # Python and others flush again what is left
            os.close(nowhere)
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        """Nothing: a message or a progress bar that nobody can read is no reason to give up the work."""


class _Output(_Stream):
    """Results: where they cannot be told, the command has failed."""

    def _failed(self, error: OSError) -> None:
        raise OutputError(error)


@contextmanager
def standard_streams() -> Iterator[None]:
    """While entered, standard output raises OutputError where it fails, and standard error falls silent."""
    _open_closed()
    usual = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast(TextIO, _Output(_existing(sys.stdout))), cast(TextIO, _Stream(_existing(sys.stderr)))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = usual


def _open_closed() -> None:
    """Open to nowhere what the shell has closed (`>&-`), lest the next file to be opened take its place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free: this one


def _existing(stream: TextIO | None) -> TextIO:
    return stream or Path(os.devnull).open("w")
