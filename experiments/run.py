"""Works through the trials of the study's questions, several at once, and skips what is done.

    python -m experiments.run                     all questions but full_size
    python -m experiments.run layers metric       some
    python -m experiments.run full_size --try     one seed for a few steps, to see that all runs; keeps nothing

Each result is a line of results.jsonl at once. Ctrl-C and SIGTERM keep the trainings that have begun; the same command
goes on.
"""

import multiprocessing
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import torch
import typer

import pbgen
from pbgen import training
from pbgen.bench.comparison import processor
from pbgen.cli.terminal import Terminal
from pbgen.errors import PBGenError
from pbgen.processors import usable_processors

from . import gan, supervised
from .networks import SUPERVISED
from .questions import QUESTIONS, SMALL
from .trial import DATA, JUDGED, Result, Trial, append, load

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
TRIED_STEPS, TRIED_JUDGED = 3, 64
"""Of a trial that is only tried."""
TUNABLES = "glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold=2000000000:glibc.malloc.mmap_threshold=33554432"
"""Have glibc keep freed memory, in large pages: else it fetches the tensors of each step anew from the system."""


def main(
    questions: Annotated[
        list[str] | None, typer.Argument(help=f"{', '.join(QUESTIONS)}; default: all but full_size.")
    ] = None,
    images: Annotated[Path, typer.Option(help="Folder with the folders of images that the README names.")] = Path(),
    work: Annotated[Path, typer.Option(help="Folder for trainings.")] = Path("runs"),
    jobs: Annotated[int, typer.Option(min=1, help="Trials at once, each with its share of the threads.")] = 2,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "cpu",
    attempt: Annotated[bool, typer.Option("--try", help="Try one seed for a few steps, and keep nothing.")] = False,
) -> None:
    """Run the trials that have no result yet."""
    wanted = [trial for name in questions or SMALL for trial in QUESTIONS[name].trials()]
    # All of one seed first: a study that is left half way is of some use. Then teachers, which others would wait for.
    wanted.sort(key=lambda trial: (trial.seed, trial.teacher is not None))
    trials, lacking = _with_images(dict.fromkeys(wanted), images)
    terminal = Terminal()
    if lacking:
        terminal.say(f"{images}: without {', '.join(sorted(lacking))}; their trials are left out")
    if attempt:
        with tempfile.TemporaryDirectory() as folder:
            tried = [replace(trial, steps=TRIED_STEPS) for trial in trials if trial.seed == 0]
            _work(tried, images, Path(folder), jobs, accelerator, terminal, _must_succeed, TRIED_JUDGED)
        return
    done = load(RESULTS)
    todo = [trial for trial in trials if trial not in done]
    terminal.say(f"{len(trials)} trials, {len(trials) - len(todo)} done")
    _work(todo, images, work, jobs, accelerator, terminal, lambda result: append(RESULTS, result))


def _with_images(trials: Iterable[Trial], images: Path) -> tuple[list[Trial], set[str]]:
    lacking = {name for name, folder in DATA.items() if name != "faces" and not (images / folder).is_dir()}
    trials = list(trials)
    return [t for t in trials if t.data not in lacking], lacking & {t.data for t in trials}


def _must_succeed(result: Result) -> None:
    if result.failure:
        raise PBGenError(f"{result.trial}: {result.failure}")


def _work(
    trials: Iterable[Trial],
    images: Path,
    work: Path,
    jobs: int,
    accelerator: str,
    terminal: Terminal,
    keep: Callable[[Result], None],
    judged: int = JUDGED,
) -> None:
    """Run trials, `jobs` at once, and give each result to `keep` when it is there."""
    threads = max(1, usable_processors() // jobs)
    todo: Sequence[Trial] = list(trials)
    os.environ.setdefault("GLIBC_TUNABLES", TUNABLES)  # read when the processes of the pool start
    pool = ThreadPoolExecutor(jobs)
    ended = signal.signal(signal.SIGTERM, signal.default_int_handler)  # who ends this one ends its trials, too

    def run(trial: Trial) -> Result:
        try:
            return _alone(trial, images, work, accelerator, threads, judged)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # or this thread would begin the next
            raise

    try:
        futures = {pool.submit(run, trial) for trial in todo}
        while futures:
            done, futures = wait(futures, return_when="FIRST_COMPLETED")
            for future in done:
                if future.cancelled():
                    continue  # the one that failed is yet to come
                result = future.result()
                keep(result)
                left = len(futures)
                score = result.failure or f"{result.score:.4g}"
                terminal.say(f"[{len(todo) - left}/{len(todo)}] {result.trial}: {score}")
    except (KeyboardInterrupt, PBGenError, BrokenExecutor) as error:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()  # a training takes this as the request to complete its step, save and stop
        terminal.say(f"{str(error) or 'interrupted'}; what was trained is kept, and the same command goes on")
        raise typer.Exit(130 if isinstance(error, KeyboardInterrupt) else 2) from None
    finally:
        pool.shutdown(cancel_futures=True)
        signal.signal(signal.SIGTERM, ended)


def _alone(trial: Trial, images: Path, work: Path, accelerator: str, threads: int, judged: int) -> Result:
    """Run a trial in a process of its own, whose memory goes with it. Raises BrokenExecutor where it is killed."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, _set_up, (threads, judged)) as process:
        return process.submit(judge, trial, images, work, accelerator).result()


def _set_up(threads: int, judged: int) -> None:
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True  # shapes never change
    gan.JUDGED = supervised.JUDGED = judged
    os.setpgrp()  # Ctrl-C goes to the first process alone, which decides when to stop


def judge(trial: Trial, images: Path, work: Path, accelerator: str) -> Result:
    """Run one trial in a folder of its own in `work`. A training that diverges is a result."""
    data = images_of(trial.data, images)
    folder = work / trial.folder
    machine = {
        "processor": torch.cuda.get_device_name() if accelerator == "cuda" else processor(),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "pbgen": version("pbgen"),
        "kernels": pbgen._core.kernels(),
        "commit": COMMIT,
    }
    whole, start = not folder.exists(), time.process_time()
    try:
        if trial.network in SUPERVISED:
            measured = supervised.run(trial, data, folder, _quietly)
        else:
            measured = gan.run(trial, data, folder, _quietly, accelerator)
    except training.DivergedError as error:
        return Result(trial, {}, str(error), machine)
    if whole:  # what an interrupted training took before is not known
        measured["cpu_seconds"] = time.process_time() - start
    return Result(trial, measured, None, machine)


def images_of(data: str, images: Path) -> str:
    """Where PBGen finds a set of images: those of faces are built in, others in the folder `images`."""
    return "faces" if data == "faces" else str(_archive(images / DATA[data]))


def _archive(folder: Path) -> Path:
    """The zip in a folder that has just one, or else the folder itself."""
    zips = list(folder.glob("*.zip"))
    return zips[0] if len(zips) == 1 else folder


def _quietly(step: int, steps: int, row: object) -> None:
    """A trial's steps are not shown; its end is."""


def commit() -> str:
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


COMMIT = commit()
"""Of the code that this process has loaded, whatever becomes of the files."""

if __name__ == "__main__":
    typer.run(main)
