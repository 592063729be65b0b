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

from pbgen.bench.agreement import check, largest_difference, psnr
from pbgen.bench.engines import ENGINES, Floats, Kind
from pbgen.bench.layers import LayerTimes, time_layers
from pbgen.bench.processes import EngineProcess, Inputs
from pbgen.errors import PBGenError

TURN_SECONDS = 0.1
"""About how long an engine's turn lasts."""
PAUSE_SECONDS = 0.05
"""Between turns: threads that wait by spinning fall asleep."""
LAYER_RUNS = 10
"""Runs for each round in which the layers are timed."""
OURS = {"pbgen": "float32", "pbgen-int8": "int8"}
"""Our engine's activations."""


@dataclass(frozen=True)
class Measurement:
    """One engine. Times are seconds a run of one batch: median over all runs of all rounds, 10th and 90th percentile.

    cold_start: seconds from importing the engine to the first images. resident_bytes: memory taken meanwhile, beyond an
    interpreter with NumPy. file_bytes: what it reads (for PyTorch the float32 weights). difference: largest absolute
    difference of its images from our float32 ones. psnr: of engines with int8 activations, in dB, against the same.
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
    psnr: float | None


@dataclass(frozen=True)
class Comparison:
    """Engines on the same packed file, machine, threads and batch, measured in turn in the same minutes.

    The first measurement is that of our engine with float32 activations. left_out: why an engine that is installed is
    not among them, by its title. layers: where our engine's time goes, if that was asked for.
    """

    file: str
    processor: str
    threads: int
    batch: int
    rounds: int
    measurements: tuple[Measurement, ...]
    left_out: dict[str, str]
    layers: tuple[LayerTimes, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)


def compare(
    path: str | os.PathLike[str],
    engines: Sequence[str] | None = None,
    threads: int = 2,
    batch: int = 1,
    rounds: int = 20,
    layers: bool = False,
    sizes: tuple[int, ...] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Measure the packed file `path` with our engine and every other of ENGINES that is installed, in turn.

    engines: only these beside ours. layers: also time the layers of ours, one by one.
    sizes: of the inputs' free dimensions, one for each or one for all of them; None: 64, or more where
    it must be.
    progress: called with the steps done and their number; a step is an engine made ready, or a round.
    Raises PBGenError where the file is no packed file, an engine is unknown or not installed, ours fails, or one makes
    other images than ours. Another that cannot run the file, or rounds it to other images, is left out.
    """
    names = _names(engines)
    steps = len(names) + rounds
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        inputs = Inputs(Path(path), Path(folder), batch, sizes)
        arrays = inputs.draw()
        processes, left_out = [], {}
        for done, name in enumerate(names):
            progress(done, steps)
            try:
                processes.append(_started(name, inputs, threads, stack))
            except PBGenError as error:
                if name in OURS:
                    raise
                left_out[ENGINES[name].title] = str(error)
        ours = processes[0].images()
        processes = [process for process in processes if _agrees(process, ours, left_out)]
        seconds = _rounds(processes, rounds, lambda done: progress(len(names) + done, steps))
        measurements = tuple(_measurement(process, ours, seconds[process.engine]) for process in processes)
    kinds = [OURS[name] for name in names if name in OURS] if layers else []
    times = tuple(time_layers(path, kind, threads, arrays, LAYER_RUNS * rounds) for kind in kinds)
    return Comparison(str(path), processor(), threads, batch, rounds, measurements, left_out, times)


def processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _names(engines: Sequence[str] | None) -> list[str]:
    """Our float32 engine, the measure of the others, and those of `engines`, or else all that are installed."""
    for name in engines or []:
        if name not in ENGINES:
            raise PBGenError(f"engine {name!r}: unknown; choose from {', '.join(ENGINES)}")
        if missing := ENGINES[name].missing:
            raise PBGenError(f"engine {name!r}: not installed; install {', '.join(missing)} first")
    chosen = {name for name, kind in ENGINES.items() if not kind.missing} if engines is None else set(engines)
    return [name for name in ENGINES if name in chosen | {"pbgen"}]


def _started(name: str, inputs: Inputs, threads: int, stack: ExitStack) -> EngineProcess:
    """An engine's process that has made its first images, before the next one begins."""
    process = stack.enter_context(EngineProcess(name, inputs.file(name), inputs, threads))
    process.start()
    return process


def _agrees(process: EngineProcess, ours: Floats, left_out: dict[str, str]) -> bool:
    """Whether it makes our images. What another's 8 bits make of a generator is no fault of the file."""
    kind = ENGINES[process.engine]
    try:
        check(process.engine, process.images(), ours)
    except PBGenError as error:
        if process.engine in OURS or not kind.int8:
            raise
        left_out[kind.title] = str(error)
        return False
    return True


def _rounds(processes: Sequence[EngineProcess], rounds: int, progress: Callable[[int], None]) -> dict[str, list[float]]:
    """The seconds of all runs of each engine. Every round begins with another engine."""
    runs = [max(1, min(50, int(TURN_SECONDS / min(process.time(2))))) for process in processes]
    seconds: dict[str, list[float]] = {process.engine: [] for process in processes}
    for done in range(rounds):
        progress(done)
        for turn in range(len(processes)):
            i = (done + turn) % len(processes)
            time.sleep(PAUSE_SECONDS)
            seconds[processes[i].engine] += processes[i].time(runs[i])
    progress(rounds)
    return seconds


def _measurement(process: EngineProcess, ours: Floats, seconds: Sequence[float]) -> Measurement:
    kind, images = ENGINES[process.engine], process.images()
    low, median, high = np.percentile(seconds, [10, 50, 90]).tolist()
    return Measurement(
        engine=process.engine,
        title=kind.title,
        version=kind.version,
        median=median,
        low=low,
        high=high,
        runs=len(seconds),
        cold_start=process.cold_start,
        resident_bytes=process.resident_bytes,
        file_bytes=_file_bytes(process, kind),
        difference=largest_difference(images, ours),
        psnr=psnr(images, ours) if kind.int8 else None,
    )


def _file_bytes(process: EngineProcess, kind: Kind) -> int:
    """What the engine reads: its file and those of the same name beside it, or the packed file; PyTorch its weights."""
    if kind.suffix:
        return sum(file.stat().st_size for file in process.file.parent.glob(f"{process.file.stem}.*"))
    return process.file.stat().st_size if process.engine in OURS else _float_bytes(process.file)


def _float_bytes(packed: Path) -> int:
    from pbgen.packing import rebuild

    return sum(4 * value.numel() for value in rebuild(packed).state_dict().values() if value.is_floating_point())
