"""A generator between torch and the file: steps that point at the steps whose values they read.

The numbers stay arrays, sizes stay expressions, and references stay objects, until everything that can be folded is.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbgen.packing.sizes import Counts
from pbgen.packing.term import Term
from pbgen.redundancy import FLOAT_BITS

Numbers = NDArray[np.float64]

LAYERS = ("conv", "conv_transpose", "linear")
_order = itertools.count()


@dataclass(eq=False)
class Weight:
    """A layer's weights in the file's canonical order, output channel first; several steps may share one.

    `values` is float32, or int8 of odd levels from -(2^bits - 1) to 2^bits - 1 where it is binary, +1 and -1 for one
    bit.
    """

    values: NDArray[Any]
    bits: int = FLOAT_BITS

    @property
    def binary(self) -> bool:
        return self.bits < FLOAT_BITS


@dataclass(eq=False)
class Step:
    """One operation of docs/format.md; `shape` is that of its value.

    `inputs` are what the operator itself reads, `operands` those of its program: all that a map or a reduction reads,
    of a layer what follows its sum. `term` is the program; of a layer, input 0 is the sum and input 1 + i operand i.
    """

    op: str
    name: str
    shape: Counts
    inputs: list[Step] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    operands: list[Step] = field(default_factory=list)
    term: Term | None = None
    weight: Weight | None = None
    scale: Numbers | None = None  # of a layer, one for each output channel
    shift: Numbers | None = None
    numbers: Numbers | None = None  # of a constant
    order: int = field(default_factory=lambda: next(_order))

    @property
    def reads(self) -> list[Step]:
        return self.inputs + self.operands

    @property
    def is_layer(self) -> bool:
        return self.op in LAYERS

    @property
    def channels(self) -> int:
        """Those that a layer makes."""
        return int(self.shape[-1 if self.op == "linear" else 1])


@dataclass(eq=False)
class Flow:
    """What goes in, steps of op "input" in the module's order, and what comes out, by name."""

    inputs: list[Step]
    outputs: list[tuple[str, Step]]

    def steps(self) -> list[Step]:
        """The inputs, and the steps that outputs need, each after those that it reads, else in the module's order."""
        needed: dict[Step, int] = {}
        readers: dict[Step, list[Step]] = {}
        waiting = [step for _, step in self.outputs]
        while waiting:
            step = waiting.pop()
            if step in needed or step.op == "input":
                continue
            sources = [source for source in dict.fromkeys(step.reads) if source.op != "input"]
            needed[step] = len(sources)
            for source in sources:
                readers.setdefault(source, []).append(step)
            waiting.extend(sources)
        # The parts of a constant have its order: of these, that which is met first.
        turns = {step: (step.order, met) for met, step in enumerate(needed)}
        ready = [(turns[step], step) for step, missing in needed.items() if missing == 0]
        heapq.heapify(ready)
        order = list(self.inputs)
        while ready:
            _, step = heapq.heappop(ready)
            order.append(step)
            for reader in readers.get(step, []):
                needed[reader] -= 1
                if needed[reader] == 0:
                    heapq.heappush(ready, (turns[reader], reader))
        return order

    def readers(self) -> Counter[Step]:
        """How often each value is read, by steps and as an output."""
        found = Counter(source for step in self.steps() for source in step.reads)
        found.update(step for _, step in self.outputs)
        return found


def is_half(numbers: NDArray[np.float32]) -> bool:
    """Whether float16 holds these numbers exactly."""
    with np.errstate(over="ignore"):
        return bool(np.array_equal(numbers.astype(np.float16), numbers))


def is_constant(step: Step) -> bool:
    return step.op == "constant"
