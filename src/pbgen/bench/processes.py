"""The engines' processes as seen from outside, and the files that they read."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pbgen.bench.engines import ENGINES, Floats
from pbgen.engine import Engine
from pbgen.errors import PBGenError


@dataclass(frozen=True)
class Inputs:
    """What the processes are given, in a folder of its own: the packed file, the same as ONNX, and z."""

    packed: Path
    folder: Path

    @property
    def onnx(self) -> Path:
        return self.folder / "generator.onnx"

    @property
    def z(self) -> Path:
        return self.folder / "z.npy"

    def prepare(self, engines: Sequence[str], batch: int) -> None:
        """Write what these engines need. Raises PBGenError where the packed file is none, or cannot be exported."""
        input_shape = Engine(self.packed).input_shape
        np.save(self.z, np.random.default_rng(0).standard_normal((batch, *input_shape), np.float32))
        if any(ENGINES[name].reads_onnx for name in engines):
            command = [sys.executable, "-m", "pbgen.bench.export", str(self.packed), str(self.onnx), str(batch)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise PBGenError(f"{self.packed}: cannot be exported to ONNX: {_last_line(done.stderr)}")


class EngineProcess:
    """A process that runs `pbgen.bench.worker`: it loads an engine at the start, and times runs when asked.

    A context manager: leaving it ends the process.
    """

    def __init__(self, engine: str, inputs: Inputs, threads: int) -> None:
        self.engine = engine
        self.file = inputs.onnx if ENGINES[engine].reads_onnx else inputs.packed
        self._images = inputs.folder / f"{engine}.npy"
        self._errors = (inputs.folder / f"{engine}.txt").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pbgen.bench.worker", engine, self.file, str(threads), inputs.z, self._images],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )

    def __enter__(self) -> "EngineProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def start(self) -> tuple[float, int]:
        """Wait until it has made its first images: seconds that this took, and the memory. To be called once, first."""
        told = self._hear()
        return told["cold_start"], told["resident_bytes"]

    def images(self) -> Floats:
        """Its first images."""
        images: Floats = np.load(self._images)
        return images

    def time(self, runs: int) -> list[float]:
        """The seconds of each of `runs` runs."""
        assert self._process.stdin
        self._process.stdin.write(f"{runs}\n")
        self._process.stdin.flush()
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


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["no message"])[-1].removeprefix("pbgen.errors.PBGenError: ")
