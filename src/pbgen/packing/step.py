"""A generator between torch and the file: steps that point at the steps whose values they read.

The numbers stay arrays, and references stay objects, until everything that can be folded has been.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(eq=False)
class Weight:
    """A layer's weights in the file's canonical order, output channel first; several steps may share one.

    `values` is float32, or int8 of +1 and -1 where `binary`.
    """

    values: NDArray[Any]
    binary: bool


@dataclass(frozen=True, eq=False)
class Epilogue:
    """activation(scale[c] * s + shift[c]) for every channel c, in float64."""

    scale: Numbers
    shift: Numbers
    activation: str = "none"
    slope: float | None = None

    @property
    def same_for_all(self) -> bool:
        """Whether it leaves alone which channel is which: no scale and no shift."""
        return bool(np.all(self.scale == 1) and np.all(self.shift == 0))

    @property
    def does_nothing(self) -> bool:
        return self.same_for_all and self.activation == "none"

    def then(self, other: Epilogue) -> Epilogue:
        """Both in one, exact where this one has no activation."""
        scale, shift = other.scale * self.scale, other.scale * self.shift + other.shift
        return Epilogue(scale, shift, other.activation, other.slope)


def plain(channels: int, activation: str = "none", slope: float | None = None) -> Epilogue:
    return Epilogue(np.ones(channels), np.zeros(channels), activation, slope)


@dataclass(eq=False)
class Step:
    """One operation of docs/format.md. `shape` is that of its value for one image."""

    op: str
    name: str
    inputs: list[Step]
    shape: tuple[int, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    weight: Weight | None = None
    epilogue: Epilogue | None = None


@dataclass(eq=False)
class Flow:
    """Steps in an order in which each stands after those it reads; `input` is the first of them, with op "input"."""

    steps: list[Step]
    output: Step

    @property
    def input(self) -> Step:
        return self.steps[0]


def live(steps: Iterable[Step], output: Step) -> list[Step]:
    """The steps that the output needs, and the input."""
    steps = list(steps)
    needed = {output, steps[0]}
    for step in reversed(steps):
        if step in needed:
            needed.update(step.inputs)
    return [step for step in steps if step in needed]
