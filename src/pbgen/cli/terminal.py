"""What the commands show while they work and when they are done."""

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from pbgen.errors import PBGenError
from pbgen.files import check_writable
from pbgen.report.tables import Table
from pbgen.visible import PLAIN, visible

WIDE = 160
"""Columns of a table where the output is no terminal: enough that rows stay whole."""


class Terminal:
    """Results on standard output, progress on standard error, where it does not get among them.

    While it is entered, progress is shown as bars; where standard error is no terminal, as a line for every tenth. Both
    tell the time that is left.
    """

    def __init__(self) -> None:
        console, errors = Console(), Console(stderr=True)
        self._results = console if console.is_terminal else Console(width=WIDE)
        self._errors = errors if errors.is_terminal else Console(stderr=True, width=WIDE)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._errors,
            disable=not errors.is_terminal,
        )

    def __enter__(self) -> "Terminal":
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What went wrong is told in one line: no bar stays above it.
        self._bars.live.transient = kind is not None and issubclass(kind, Exception)
        self._bars.stop()

    def say(self, words: str) -> None:
        """A line of results."""
        self._results.print(Text(_shown(words, self._results)), soft_wrap=True)

    def show(self, table: Table) -> None:
        """A table of results, and an empty line."""
        shown = table.map(lambda cell: _shown(cell, self._results))
        self._results.print(shown.to_rich(self._results.width))
        self._results.print()

    def task(self, title: str, total: int) -> Callable[[int, int], None]:
        """A task to show: call the result with what is done and the total."""
        update = self._task(title, total)
        return lambda done, total: update(done, total, "")

    def training(self, title: str, steps: int) -> Callable[[int, int, Mapping[str, float | None]], None]:
        """A task for `training.train`, with losses and speed."""
        update = self._task(title, steps)
        return lambda step, steps, row: update(step, steps, _losses(row))

    def compressing(self) -> Callable[[int, int, Mapping[str, float]], None]:
        """Of `compress`: layers are measured and fitted, it learns, with the PSNR, and engines may be compared."""
        begun: dict[str, Callable[[int, int, str], None]] = {}

        def update(done: int, total: int, row: Mapping[str, float]) -> None:
            titles = {"engines": "comparing engines", "fitted": "fitting layers", "psnr": "learning"}
            title = next((titles[key] for key in row), "measuring layers")
            note = f"{row['psnr']:.2f} dB" if "psnr" in row else ""
            if title not in begun:
                begun[title] = self._task(title, total)
            begun[title](done, total, note)

        return update

    @contextmanager
    def doing(self) -> Iterator[Callable[[str], None]]:
        """Steps of which nobody knows how long they take: call the result with each as it begins. The newest is shown
        while it lasts; where standard error is no terminal, each is a line."""
        console = Console(file=sys.stderr)  # this one, whatever libraries put in its place meanwhile
        if not console.is_terminal:
            yield lambda step: self._errors.print(Text(_shown(step, self._errors)))
            return
        with console.status("") as status:
            yield lambda step: status.update(Text(_shown(step, console)))

    def _task(self, title: str, total: int) -> Callable[[int, int, str], None]:
        title = _shown(title, self._errors)
        task, begun, first, tenths = self._bars.add_task(title, total=total, note=""), time.perf_counter(), -1, 0

        def update(done: int, total: int, note: str) -> None:
            nonlocal first, tenths
            self._bars.update(task, completed=done, total=total, note=note)
            first = done if first < 0 else first  # what goes on does not begin at 0
            before, tenths = tenths, done * 10 // total
            if self._bars.disable and tenths > before:
                left = _left(time.perf_counter() - begun, done - first, total - done)
                self._errors.print(Text("  ".join(filter(None, (f"{title} {done}/{total}", note, left)))))

        return update


def _left(seconds: float, done: int, missing: int) -> str:
    """How long what is missing takes, if it goes on as it did."""
    if done <= 0 or missing <= 0:
        return ""
    left = seconds / done * missing
    return f"{left:.0f} s left" if left < 120 else f"{left / 60:.0f} min left"


def check_output(option: str, path: Path) -> None:
    """Find out before the work, not after it, that a file cannot be written. Raises PBGenError then."""
    try:
        check_writable(path)
        if _is_standard_output(path):
            raise PBGenError(f"{path}: is where the command writes what it says; give another file")
    except PBGenError as error:
        raise PBGenError(f"{option} {error}") from None


def _is_standard_output(path: Path) -> bool:
    """A terminal or /dev/null may be both."""
    with suppress(OSError):
        status = path.stat()
        return os.path.samestat(status, os.fstat(1)) and not stat.S_ISCHR(status.st_mode)
    return False


def _shown(text: str, console: Console) -> str:
    """`text` as the console can show it, before it is laid out: its own escapes would not fit the columns."""
    return visible(text).encode(console.encoding, PLAIN).decode(console.encoding)


def _losses(row: Mapping[str, float | None]) -> str:
    """The newest row of a training log in a few words."""
    words = {"generator_loss": "G {:.2f}", "discriminator_loss": "D {:.2f}", "images_per_second": "{:.0f} images/s"}
    values = ((words[name], row.get(name)) for name in words)
    return "  ".join(word.format(value) for word, value in values if value is not None)
