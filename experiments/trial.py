"""A trial: one training and its judgement. The settings decide the outcome; trials that are equal are run once."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

DATA = {"faces": "faces", "cells": "pbc-blood-cells", "cats": "cat-avatars"}
"""The name of a set of images, and its folder in that of all images; faces are built in."""

JUDGED = 2048
"""Images of each set that a sliced Wasserstein distance compares, and those that a supervised network is tested on."""


@dataclass(frozen=True)
class Trial:
    """What is trained and how. `layers` are the binary ones of the generator; none: it is float.

    `teacher`: the network of the float generator that this one imitates, of the trial that is else the same, and
    `imitation` the weight of that: 30 in the first trainings, from which PBGen's default, 300, was not yet known.
    """

    network: str
    data: str = "faces"
    layers: tuple[str, ...] = ()
    seed: int = 0
    discriminator: str = "float"
    loss: str = "nonsaturating"
    method: str = "bwn"
    teacher: str | None = None
    imitation: float = 30.0
    steps: int = 2000
    batch_size: int = 64
    learning_rate: float = 1e-3  # at PBGen's usual 2e-4, float generators have not settled after so few steps
    latent_rate: float = 10.0
    average: float = 0.999
    generator_steps: int = 1
    precision: str = "32-true"
    bits: int = 1  # of a weight of `layers`

    @property
    def taught_by(self) -> "Trial | None":
        """The trial of the teacher."""
        alone = replace(self, teacher=None, imitation=Trial.imitation)
        return replace(alone, network=self.teacher, layers=(), bits=1) if self.teacher else None

    @property
    def folder(self) -> str:
        """A name for its files, told apart from all others by a checksum."""
        settings = json.dumps(asdict(self)).encode()
        layers = "+".join(self.layers) or "float"
        return f"{self.network}-{self.data}-{layers}-{self.seed}-{hashlib.sha256(settings).hexdigest()[:8]}"

    def __str__(self) -> str:
        shown = {f.name: getattr(self, f.name) for f in fields(self)[3:] if getattr(self, f.name) != f.default}
        options = "".join(f", {name} {value}" for name, value in shown.items())
        return f"{self.network}, {self.data}, {' '.join(self.layers) or 'float'}{options}"


@dataclass(frozen=True)
class Result:
    """What came of a trial: `measured`, or why it failed; and on what it ran."""

    trial: Trial
    measured: dict[str, Any]
    failure: str | None
    machine: dict[str, str]

    @property
    def score(self) -> float:
        """How bad the generator is: its sliced Wasserstein distance x 1000, or the error that it was trained on."""
        return float(self.measured["swd"] if "swd" in self.measured else self.measured["error"])

    def score_at(self, pixels: int | None) -> float:
        """The same of one level of the image pyramid, of what is seen at that size and no smaller; None: of all."""
        return self.score if pixels is None else float(self.measured["swd_levels"][str(pixels)])


def append(path: Path, result: Result) -> None:
    """Add a line to the results."""
    line = json.dumps(asdict(result)) + "\n"
    with path.open("ab") as file:
        file.write(line.encode())


def load(path: Path) -> dict[Trial, Result]:
    """All results. A last line that was cut off in writing is no result."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    results = (_result(json.loads(line)) for line in lines if line.endswith("\n"))
    return {result.trial: result for result in results}


def _result(content: dict[str, Any]) -> Result:
    settings = content.pop("trial")
    return Result(Trial(**{**settings, "layers": tuple(settings["layers"])}), **content)
