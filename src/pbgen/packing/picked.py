"""What `x[mask]` picks: as many values as the mask has places, which no file can say, until they are written where the
same mask says, as `y[mask] = 2 * x[mask]` does."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pbgen.packing.step import Numbers, Step
from pbgen.packing.term import Term

REFUSED = (
    "reads as many values as a mask has places; write them where that mask says (y[mask] = ...), or use torch.where"
)


@dataclass(frozen=True, eq=False)
class Picked:
    """The values of `whole` where the mask says, whose first axis is this one of theirs."""

    whole: Step
    mask: Step
    axis: int

    def beside(self, other: Any) -> bool:
        """Whether an operator may read the other value, or number, element by element with these."""
        if isinstance(other, Picked):
            return self.written_by(other.mask, other.axis) and other.whole.shape == self.whole.shape
        return not isinstance(other, Step) or set(other.shape) <= {1}

    def written_by(self, mask: Step, axis: int) -> bool:
        return axis == self.axis and _same(mask, self.mask, {})


def _same(a: Step, b: Step, known: dict[tuple[Step, Step], bool]) -> bool:
    """Whether two steps make the same, as far as their operators tell: layers only if they are one."""
    if a is b or (a, b) in known:
        return known.get((a, b), True)
    alike = (a.op, a.shape, a.attributes) == (b.op, b.shape, b.attributes) and a.op != "input" and not a.is_layer
    alike = alike and len(a.reads) == len(b.reads) and _same_term(a.term, b.term)
    alike = alike and _same_numbers(a.numbers, b.numbers)
    known[a, b] = alike and all(_same(one, other, known) for one, other in zip(a.reads, b.reads, strict=True))
    return known[a, b]


def _same_numbers(a: Numbers | None, b: Numbers | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def _same_term(a: Term | None, b: Term | None) -> bool:
    if a is b or a is None or b is None:
        return a is b
    alike = (a.op, a.value, len(a.operands)) == (b.op, b.value, len(b.operands))
    return alike and all(map(_same_term, a.operands, b.operands))
