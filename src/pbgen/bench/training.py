"""Training steps of float and of binary networks beside each other: what binary weights save while training.

    python -m pbgen.bench.training VARIANT MODEL THREADS BATCH

is the process of one variant: it says one line of JSON when it is ready, and one with the seconds of a step for every
line that it reads. The processes take turns, so that all meet the same machine.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from pbgen.bench.comparison import processor
from pbgen.bench.processes import MODULE
from pbgen.bench.worker import own_output, say
from pbgen.errors import PBGenError

VARIANTS = {
    "float": "float generator and discriminator, PyTorch",
    "binary_torch": "partial generator, binary discriminator, PyTorch",
    "binary": "partial generator, binary discriminator, PBGen",
}
PAUSE_SECONDS = 0.05
"""Between turns: threads that wait by spinning fall asleep."""


@dataclass(frozen=True)
class StepTime:
    """Seconds of a training step: median, 10th and 90th percentile, and the fastest."""

    median: float
    low: float
    high: float
    fastest: float


@dataclass(frozen=True)
class TrainingComparison:
    """Training steps of one model, in turn, with the same threads and batch.

    A step is one update of the discriminator, on `batch` real and as many generated images, and one of the generator:
    both passes forward and backward, Adam and clipping. steps: by a name in VARIANTS. speedup: the float step over the
    binary one, of the medians.
    """

    model: str
    processor: str
    threads: int
    batch: int
    rounds: int
    steps: dict[str, StepTime]

    @property
    def speedup(self) -> float:
        return self.steps["float"].median / self.steps["binary"].median

    def to_json(self) -> str:
        """The figures; times in seconds."""
        values = asdict(self)
        steps = values.pop("steps")
        medians = {f"{name}_step": step["median"] for name, step in steps.items()}
        return json.dumps({**values, **medians, "speedup": self.speedup, "spread": steps}, indent=2)


def compare_training(
    model: str, threads: int, batch: int, rounds: int, progress: Callable[[int, int], object] | None = None
) -> TrainingComparison:
    """Measure training steps of `model`, a built-in name or FILE.py:FACTORY; one of each variant a round.

    `progress(done, rounds)` is called after each round. Raises PBGenError where a variant cannot be trained.
    """
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with ExitStack() as stack:
        processes = {name: stack.enter_context(_Process(name, model, threads, batch)) for name in VARIANTS}
        for process in processes.values():
            process.hear()
        for done in range(1, rounds + 1):
            for name, process in processes.items():
                time.sleep(PAUSE_SECONDS)
                seconds[name].append(process.time())
            if progress:
                progress(done, rounds)
    steps = {name: _step_time(times) for name, times in seconds.items()}
    return TrainingComparison(model, processor(), threads, batch, rounds, steps)


def _step_time(seconds: list[float]) -> StepTime:
    low, median, high = (float(np.percentile(seconds, share)) for share in (10, 50, 90))
    return StepTime(median, low, high, min(seconds))


class _Process:
    """The process of one variant. A context manager: leaving it ends the process."""

    def __init__(self, variant: str, model: str, threads: int, batch: int) -> None:
        self._variant = variant
        self._process = subprocess.Popen(
            [*MODULE, "pbgen.bench.training", variant, model, str(threads), str(batch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def time(self) -> float:
        """The seconds of a step."""
        assert self._process.stdin
        with suppress(BrokenPipeError):  # then there is no answer either
            print(file=self._process.stdin, flush=True)
        return self.hear()

    def hear(self) -> float:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise PBGenError(f"training {VARIANTS[self._variant]}: its process died")
        message = json.loads(line)
        if "error" in message:
            raise PBGenError(message["error"])
        return float(message["seconds"])


class _OneBatch:
    """Feeds the same random pixels to every update."""

    def __init__(self, batch: int, channels: int, size: int) -> None:
        self._pixels = np.random.default_rng(0).integers(0, 256, (batch, channels, size, size), dtype=np.uint8)

    def next(self) -> npt.NDArray[np.uint8]:
        return self._pixels


def main(variant: str, model: str, threads: int, batch: int) -> None:
    """The process of one variant."""
    answers = own_output()
    try:
        step = _training_step(variant, model, threads, batch)
    except PBGenError as error:
        say(answers, {"error": str(error)})
        return
    for _ in range(2):  # the first makes the optimizer's state
        step()
    say(answers, {"seconds": 0.0})
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        say(answers, {"seconds": time.perf_counter() - start})


def _training_step(variant: str, model: str, threads: int, batch: int) -> Callable[[], object]:
    import torch
    from lightning_fabric import Fabric

    from pbgen.training import TrainConfig, networks
    from pbgen.training.step import TrainingStep

    torch.set_num_threads(threads)
    weights = ("float", "float") if variant == "float" else ("partial", "binary")
    config = TrainConfig(model, generator=weights[0], discriminator=weights[1], batch_size=batch, accelerator="cpu")
    built = networks.build(config)
    train = TrainingStep(Fabric(accelerator="cpu", devices=1), config, built, native=variant == "binary")
    feed = _OneBatch(batch, config.channels, built.size)
    return lambda: train(0, feed).tolist()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
