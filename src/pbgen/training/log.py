"""What a run tells of itself: log.csv, TensorBoard events, and images of the same latents as training goes on."""

import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pbgen.errors import PBGenError
from pbgen.files import told_as, write_atomically
from pbgen.pictures import image_grid
from pbgen.training.events import EventFile

Row = Mapping[str, float | None]

COLUMNS = (
    "step",
    "seconds",  # of training, over all resumptions
    "images_per_second",  # training steps x batch size, since the row before
    "discriminator_loss",  # this and the next three: mean over the steps since the row before
    "generator_loss",
    "real_output",  # the discriminator's raw output on real images
    "fake_output",  # and on generated ones
    "generator_flips",  # share of the binary weights whose sign this very step changed; empty where none are binary
    "discriminator_flips",
)


class RunLog:
    """Writes the log of the run in `folder`, going on after `step`: later rows and events are dropped.

    Raises PBGenError where a file cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._samples = folder / "samples"
        self._path = folder / "log.csv"
        with told_as(self._samples):
            self._samples.mkdir(exist_ok=True)
        kept = [row for row in read_log(self._path) if (row["step"] or 0) <= step] if self._path.exists() else []
        text = io.StringIO()
        csv.writer(text).writerows([COLUMNS, *(_cells(row) for row in kept)])
        write_atomically(self._path, lambda file: file.write(text.getvalue().encode()))
        self._file = self._path.open("a", newline="")
        self._events = EventFile(folder, step)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # all is flushed, but for what could not be, and that was told
            self._file.close()
        with suppress(OSError):
            self._events.close()

    def row(self, row: Row) -> None:
        """Add a row, a value for each of COLUMNS or None."""
        with told_as(self._path):
            csv.writer(self._file).writerow(_cells(row))
            self._file.flush()
        figures = {name: value for name, value in row.items() if name != "step" and value is not None}
        self._events.scalars(int(row["step"] or 0), figures)

    def samples(self, step: int, images: npt.NDArray[np.uint8]) -> None:
        """Write `images`, uint8 (n, C, H, W), as samples/step-XXXXXX.png and for TensorBoard."""
        png = io.BytesIO()
        image_grid(images).save(png, "PNG")
        write_atomically(self._samples / f"step-{step:06d}.png", lambda file: file.write(png.getvalue()))
        self._events.image(step, "samples", png.getvalue())


def read_log(path: Path) -> list[dict[str, float | None]]:
    """The rows of a log.csv. A last line that was cut short is left out. Raises PBGenError where it is no such file."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise PBGenError(f"{path}: cannot be read ({error}); give the folder of a training run") from None
    if not lines or tuple(lines[0]) != COLUMNS:
        raise PBGenError(f"{path}: not the log of a training run of this version of PBGen; remove it")
    rows = lines[1:-1] if len(lines[-1]) < len(COLUMNS) else lines[1:]
    try:
        return [{name: float(cell) if cell else None for name, cell in zip(COLUMNS, row, strict=True)} for row in rows]
    except ValueError:
        raise PBGenError(f"{path}: a row is not {len(COLUMNS)} numbers; remove the row") from None


def _cells(row: Row) -> list[str]:
    values = (row[name] for name in COLUMNS)
    return ["" if value is None else f"{value:.9g}" for value in values]
