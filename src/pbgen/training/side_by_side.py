"""Several runs at once, each in a process of its own.

Small networks gain little from a second thread: on two cores, three runs with one thread each are done sooner than one
after another with two threads.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING

import torch

from pbgen.errors import PBGenError
from pbgen.training.config import TrainConfig
from pbgen.training.loop import TrainingStopped
from pbgen.training.run import CONFIG, train

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

Row = Mapping[str, float | None]
Message = tuple[int, int, Row] | PBGenError | None  # progress, failure, completion


def train_side_by_side(
    runs: Mapping[Path, TrainConfig], progress: Callable[[Path, int, int, Row], object] | None = None
) -> None:
    """Train each configuration in its folder, all at once; a run that was begun before goes on from its checkpoint.

    `progress(folder, step, steps, row)` is called after each step of each run, see `train`. Call this from a file's
    `if __name__ == "__main__":`, for it starts processes.

    Where it is left early, by Ctrl-C or because a run fails, every run has completed its step and is saved. Raises
    PBGenError where a run does, or where its process dies.
    """
    context = multiprocessing.get_context("spawn")
    messages: Queue[tuple[Path, Message]] = context.Queue()
    threads = max(1, torch.get_num_threads() // len(runs))
    processes = {
        out: context.Process(target=_train, args=(config, out, threads, messages)) for out, config in runs.items()
    }
    for process in processes.values():
        process.start()
    try:
        for out, message in _until_done(processes, messages):
            if isinstance(message, PBGenError):
                raise message
            if message and progress:
                progress(out, *message)
    finally:
        for process in processes.values():
            process.terminate()  # a training takes this as the request to complete its step, save and stop
        for process in processes.values():
            process.join()


def _until_done(
    processes: Mapping[Path, BaseProcess], messages: "Queue[tuple[Path, Message]]"
) -> Iterator[tuple[Path, Message]]:
    working = set(processes)
    while working:
        try:
            out, message = messages.get(timeout=1)
        except Empty:
            for out in working:
                if processes[out].exitcode is not None:
                    raise PBGenError(f"{out}: its process died; run again to go on from the last checkpoint") from None
            continue
        if message is None:
            working.remove(out)
        yield out, message


def _train(config: TrainConfig, out: Path, threads: int, messages: "Queue[tuple[Path, Message]]") -> None:
    os.setpgrp()  # Ctrl-C reaches the first process alone, which asks the others to stop
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()

    def progress(step: int, steps: int, row: Row) -> None:
        messages.put((out, (step, steps, row)))
        if parent and not parent.is_alive():
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        train(config, out, resume=(out / CONFIG).exists(), progress=progress)
    except TrainingStopped:
        return
    except PBGenError as error:
        messages.put((out, error))
    else:
        messages.put((out, None))
