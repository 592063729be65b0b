"""Several runs at once, each in a process of its own.

Small networks gain little from a second thread: on two cores, three runs with one thread each are done sooner than one
after another with two threads.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from pbgen.errors import PBGenError
from pbgen.training.config import TrainConfig
from pbgen.training.loop import TrainingStopped
from pbgen.training.processes import torch_threads
from pbgen.training.run import CONFIG, train

Row = Mapping[str, float | None]
Message = tuple[int, int, Row] | PBGenError  # progress or failure; a run that is complete only ends


def train_side_by_side(
    runs: Mapping[Path, TrainConfig], progress: Callable[[Path, int, int, Row], object] | None = None
) -> None:
    """Train each configuration in its folder, all at once; a run that was begun before goes on from its checkpoint.

    `progress(folder, step, steps, row)` is called after each step of each run, see `train`. Call this from a file's
    `if __name__ == "__main__":`, for it starts processes.

    Where it is left early, by Ctrl-C or because a run fails, every run has completed its step and is saved. Raises
    PBGenError where a run does, or where its process dies.
    """
    threads = torch_threads(len(runs))
    started: dict[Connection, tuple[Path, BaseProcess]] = {}
    try:
        for out, config in runs.items():
            _start(started, out, config, threads)
        for out, message in _until_done(started):
            if isinstance(message, PBGenError):
                raise message
            if progress:
                progress(out, *message)
    finally:
        for _, process in started.values():
            process.terminate()  # a training takes this as the request to complete its step, save and stop
        for connection, (_, process) in started.items():
            _drain(connection)
            process.join()


def _start(started: dict[Connection, tuple[Path, BaseProcess]], out: Path, config: TrainConfig, threads: int) -> None:
    """Start a run's process. Each has a pipe of its own: one that is killed must not keep a lock from the others."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(config, out, threads, theirs))
    process.start()
    started[ours] = out, process
    theirs.close()  # so that the pipe ends with the process


def _until_done(started: Mapping[Connection, tuple[Path, BaseProcess]]) -> Iterator[tuple[Path, Message]]:
    working = set(started)
    while working:
        for connection in wait(list(working)):
            assert isinstance(connection, Connection)
            out, process = started[connection]
            try:
                message = connection.recv()
            except (EOFError, OSError):  # OSError: in the midst of a message
                process.join()
                if process.exitcode:
                    raise PBGenError(f"{out}: its process died; run again to go on from the last checkpoint") from None
                working.remove(connection)
            else:
                yield out, message


def _drain(connection: Connection) -> None:
    """Read a pipe to its end: a process that finds it full would wait, and never save."""
    with suppress(EOFError, OSError):
        while True:
            connection.recv_bytes()


def _train(config: TrainConfig, out: Path, threads: int, parent: Connection) -> None:
    os.setpgrp()  # Ctrl-C reaches the first process alone, which asks the others to stop
    torch.set_num_threads(threads)

    def progress(step: int, steps: int, row: Row) -> None:
        try:
            parent.send((step, steps, row))
        except BrokenPipeError:  # the first process is gone
            signal.raise_signal(signal.SIGTERM)

    try:
        train(config, out, resume=(out / CONFIG).exists(), progress=progress)
    except TrainingStopped:
        sys.exit(1)  # not complete
    except PBGenError as error:
        parent.send(error)
