"""Runs the engines in turn and sums up what they say."""

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pbgen.bench.engines import ENGINES
from pbgen.bench.processes import EngineProcess, Inputs
from pbgen.errors import PBGenError

TURN_SECONDS = 0.1
"""About how long an engine's turn lasts."""
PAUSE_SECONDS = 0.05
"""Between turns: threads that wait by spinning fall asleep."""
TOLERANCE = 1e-3
"""Largest difference from our images, absolute, at which another engine still counts as computing the same."""


@dataclass(frozen=True)
class Measurement:
    """One engine. Times are seconds a run of one batch: median over all runs of all rounds, 10th and 90th percentile.

    cold_start: seconds from importing the engine to the first images. resident_bytes: memory taken meanwhile, beyond an
    interpreter with NumPy. file_bytes: what it reads (for PyTorch the float32 weights). difference: largest absolute
    difference of its images from ours.
    """

    engine: str
    title: str
    version: str
    median: float
    low: float
    high: float
    runs: int
    cold_start: float
    resident_bytes: int
    file_bytes: int
    difference: float


@dataclass(frozen=True)
class Comparison:
    """Engines on the same packed file, machine, threads and batch, measured in turn in the same minutes."""

    file: str
    processor: str
    threads: int
    batch: int
    rounds: int
    measurements: tuple[Measurement, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)


def compare(
    path: str | os.PathLike[str],
    engines: Sequence[str] | None = None,
    threads: int = 2,
    batch: int = 1,
    rounds: int = 20,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Measure the packed file `path` with every installed engine of ENGINES (or those of `engines`), in turn.

    progress: called with the rounds done and their number.
    Raises PBGenError where the file is no packed file, an engine fails or makes other images than the first.
    """
    names = [name for name in ENGINES if ENGINES[name].installed and (engines is None or name in engines)]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        inputs = Inputs(Path(path), Path(folder))
        inputs.prepare(names, batch)
        processes, starts = [], []
        for name in names:
            processes.append(stack.enter_context(EngineProcess(name, inputs, threads)))
            starts.append(processes[-1].start())  # before the next one begins
        differences = _differences(processes)
        seconds = _rounds(processes, rounds, progress)
        sizes = [_float_bytes(p.file) if p.engine == "pytorch" else p.file.stat().st_size for p in processes]
    measurements = map(_measurement, names, seconds, starts, sizes, differences)
    return Comparison(str(path), processor(), threads, batch, rounds, tuple(measurements))


def processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _rounds(processes: Sequence[EngineProcess], rounds: int, progress: Callable[[int, int], None]) -> list[list[float]]:
    """The seconds of all runs of each engine. Every round begins with another engine."""
    runs = [max(1, min(50, int(TURN_SECONDS / min(process.time(2))))) for process in processes]
    seconds: list[list[float]] = [[] for _ in processes]
    for done in range(rounds):
        progress(done, rounds)
        for turn in range(len(processes)):
            i = (done + turn) % len(processes)
            time.sleep(PAUSE_SECONDS)
            seconds[i] += processes[i].time(runs[i])
    progress(rounds, rounds)
    return seconds


def _differences(processes: Sequence[EngineProcess]) -> list[float]:
    ours = processes[0].images()
    differences = [float(np.abs(process.images() - ours).max()) for process in processes]
    for process, difference in zip(processes, differences, strict=True):
        if not difference <= TOLERANCE:
            titles = ENGINES[process.engine].title, ENGINES[processes[0].engine].title
            raise PBGenError(f"{titles[0]} makes other images than {titles[1]}: they differ by up to {difference:.2g}")
    return differences


def _measurement(
    name: str, seconds: list[float], start: tuple[float, int], file_bytes: int, difference: float
) -> Measurement:
    low, median, high = np.percentile(seconds, [10, 50, 90]).tolist()
    return Measurement(
        engine=name,
        title=ENGINES[name].title,
        version=ENGINES[name].version,
        median=median,
        low=low,
        high=high,
        runs=len(seconds),
        cold_start=start[0],
        resident_bytes=start[1],
        file_bytes=file_bytes,
        difference=difference,
    )


def _float_bytes(packed: Path) -> int:
    from pbgen.packing import rebuild

    return sum(4 * value.numel() for value in rebuild(packed).state_dict().values() if value.is_floating_point())
