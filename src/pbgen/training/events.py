"""Figures and images for TensorBoard (https://www.tensorflow.org/tensorboard).

TensorBoard's own writer has a thread, which loses the reason where a file cannot be written, and takes no folder whose
name is not UTF-8.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]  # made by protoc, without types
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]  # made by protoc, without types
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]  # made by protoc, without types

from pbgen.files import told_as

_PREFIX = "events.out.tfevents."  # by which TensorBoard knows its files; it reads them in the order of their names


class EventFile:
    """A new event file in `folder`, going on after `step`: TensorBoard drops what older files say of later steps.

    All methods raise PBGenError where it cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / f"{_PREFIX}{time.time_ns()}"
        with told_as(self._path):
            self._file = self._path.open("xb")
        self._records = RecordWriter(self._file)
        self._write(step, file_version="brain.Event:2")
        self._write(step + 1, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add figures by their names."""
        self._write(step, summary=Summary(value=[Summary.Value(tag=k, simple_value=v) for k, v in values.items()]))

    def image(self, step: int, name: str, png: bytes) -> None:
        """Add a PNG file's content."""
        self._write(step, summary=Summary(value=[Summary.Value(tag=name, image={"encoded_image_string": png})]))

    def close(self) -> None:
        """All is written already."""
        self._file.close()

    def _write(self, step: int, **content: Any) -> None:
        with told_as(self._path):
            self._records.write(Event(wall_time=time.time(), step=step, **content).SerializeToString())
            self._file.flush()
