"""The engines' processes as seen from outside, and the files that they read."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pbgen.arrays import write_arrays
from pbgen.bench.engines import ENGINES, Arrays, Floats
from pbgen.engine import Engine
from pbgen.errors import PBGenError
from pbgen.opening import Shape

MODULE = (sys.executable, "-P", "-m")
"""Runs a module of ours, and nothing that lies in the current folder under the name of one that it imports."""

USUAL = (64, 128, 256)
"""Pixels, or samples, along a free dimension of which nothing else is said."""


@dataclass(frozen=True)
class Inputs:
    """What the processes are given, in a folder of its own: the inputs, and for each engine what it reads.

    sizes: of the free dimensions of each input, in their order; one for all of them, or None for the first of USUAL
    that the generator takes.
    """

    packed: Path
    folder: Path
    batch: int
    sizes: tuple[int, ...] | None = None

    @property
    def arrays(self) -> Path:
        return self.folder / "inputs.npz"

    def draw(self) -> Arrays:
        """Random numbers for all inputs, noise too, by their names; written as well.

        Raises PBGenError where the packed file is none, or does not take inputs of these sizes.
        """
        engine = Engine(self.packed)
        if self.sizes and not any(None in source.shape for source in engine.inputs):
            raise PBGenError(f"--size {_text(self.sizes)}: {self.packed} has no free sizes; leave it out")
        arrays = engine.draw(*self._shapes(engine), count=self.batch)
        write_arrays(self.arrays, arrays)
        return arrays

    def _shapes(self, engine: Engine) -> list[tuple[int, ...]]:
        shapes = [_at(source.shape, self.sizes or USUAL[-1:]) for source in engine.inputs]
        for size in () if self.sizes else USUAL[:-1]:
            smaller = [_at(source.shape, (size,)) for source in engine.inputs]
            with suppress(PBGenError):  # deep networks shrink small images to nothing
                engine.output_shape_for(*smaller)
                return smaller
        return shapes

    def file(self, engine: str) -> Path:
        """What the engine reads: the packed file, or the same exported. Raises PBGenError where that cannot be done."""
        kind = ENGINES[engine]
        if not kind.suffix:
            return self.packed
        file = self.folder / engine / f"generator{kind.suffix}"
        file.parent.mkdir()
        command = [
            sys.executable,
            "-P",
            "-m",
            "pbgen.bench.export",
            engine,
            str(self.packed),
            str(file),
            str(self.arrays),
        ]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            raise PBGenError(f"{self.packed}: cannot be exported for {kind.title}: {_last_line(done.stderr)}")
        return file


class EngineProcess:
    """A process that runs `pbgen.bench.worker`: it loads an engine at the start, and times runs when asked.

    A context manager: leaving it ends the process. cold_start: seconds until its first images, and resident_bytes: the
    memory that this took, both once `start` has returned.
    """

    def __init__(self, engine: str, file: Path, inputs: Inputs, threads: int) -> None:
        self.engine = engine
        self.file = file
        self.cold_start = 0.0
        self.resident_bytes = 0
        self._images = inputs.folder / f"{engine}.npy"
        self._errors = (inputs.folder / f"{engine}.txt").open("w+", errors="replace")
        self._process = subprocess.Popen(
            [*MODULE, "pbgen.bench.worker", engine, file, str(threads), inputs.arrays, self._images],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            # What PyTorch compiles is compiled afresh, so that its cold start does not hang on earlier ones.
            env=os.environ | {"OMP_NUM_THREADS": str(threads), "TORCHINDUCTOR_CACHE_DIR": str(inputs.folder / "cache")},
        )

    def __enter__(self) -> "EngineProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def start(self) -> None:
        """Wait until it has made its first images. To be called once, first.

        Raises PBGenError where the engine cannot make them.
        """
        told = self._hear()
        self.cold_start, self.resident_bytes = told["cold_start"], told["resident_bytes"]

    def images(self) -> Floats:
        """Its first images."""
        images: Floats = np.load(self._images)
        return images

    def time(self, runs: int) -> list[float]:
        """The seconds of each of `runs` runs."""
        assert self._process.stdin
        with suppress(BrokenPipeError):  # then there is no answer, and what it said last tells why
            print(runs, file=self._process.stdin, flush=True)
        seconds: list[float] = self._hear()["seconds"]
        return seconds

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            title = ENGINES[self.engine].title
            raise PBGenError(f"{title} cannot run the generator: {_last_line(self._errors.read())}")
        message: dict[str, Any] = json.loads(line)
        return message


def _at(shape: Shape, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with its free dimensions filled in. Raises PBGenError where there are not as many sizes."""
    free = shape.count(None)
    if len(sizes) not in (1, free) and free:
        raise PBGenError(f"--size {_text(sizes)}: the generator takes {_text(shape)}, so give one size, or {free}")
    left = iter(sizes if len(sizes) == free else sizes[:1] * free)
    return tuple(next(left) if size is None else size for size in shape)


def _text(sizes: Sequence[int | None]) -> str:
    return "x".join("any" if size is None else str(size) for size in sizes)


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["no message"])[-1].removeprefix("pbgen.errors.PBGenError: ")
