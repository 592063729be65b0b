"""Arithmetic of single elements as an expression, from which the programs of docs/format.md are made.

Terms are built with Python's own operators: `x * sigmoid(x)`. A term that stands in several places is one object, and
one instruction in the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import sympy
from torch.utils._sympy import functions as torch_functions

from pbgen.packing.sizes import count

LARGEST = 3.4e38  # nearly float32's largest number; stands for infinity, which a file cannot hold

_FOLDED: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}
_NEUTRAL = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0}  # as the second operand


class Term:
    """`op` is an instruction, or "input" or "number" with its `value`: which input, or a float or a size."""

    __slots__ = ("op", "operands", "value")

    def __init__(self, op: str, operands: tuple[Term, ...] = (), value: Any = None) -> None:
        self.op, self.operands, self.value = op, operands, value

    def __add__(self, other: Any) -> Term:
        return make("add", self, other)

    def __radd__(self, other: Any) -> Term:
        return make("add", other, self)

    def __sub__(self, other: Any) -> Term:
        return make("sub", self, other)

    def __rsub__(self, other: Any) -> Term:
        return make("sub", other, self)

    def __mul__(self, other: Any) -> Term:
        return make("mul", self, other)

    def __rmul__(self, other: Any) -> Term:
        return make("mul", other, self)

    def __truediv__(self, other: Any) -> Term:
        return make("div", self, other)

    def __rtruediv__(self, other: Any) -> Term:
        return make("div", other, self)

    def __neg__(self) -> Term:
        return make("neg", self)

    @property
    def number(self) -> float | None:
        """The number that it is, unless it depends on anything."""
        return self.value if self.op == "number" and isinstance(self.value, float) else None


def source(index: int) -> Term:
    return Term("input", value=index)


def number(value: Any) -> Term:
    """A number, or an expression of sizes."""
    if isinstance(value, Term):
        return value
    if isinstance(value, sympy.Basic):
        return _of_sizes(value)
    if math.isnan(value := float(value)):  # which a file cannot hold either
        return Term("div", (number(0), number(0)))
    return Term("number", value=min(max(value, -LARGEST), LARGEST))


def make(op: str, *operands: Any) -> Term:
    """An instruction, or less where its operands are numbers that make it needless."""
    terms = tuple(map(number, operands))
    if op in _FOLDED:
        a, b = (term.number for term in terms)
        if a is not None and b is not None and not (op == "div" and b == 0):
            return number(_FOLDED[op](a, b))
        if b == _NEUTRAL[op]:
            return terms[0]
        if op in ("add", "mul") and a == _NEUTRAL[op]:
            return terms[1]
    if op == "neg" and terms[0].number is not None:
        return number(-terms[0].number)
    return Term(op, terms)


def power(base: Term, exponent: Any) -> Term:
    """Powers that have a shorter way take it."""
    exponent = number(exponent)
    if base.number is not None and base.number > 0 and exponent.number is not None:
        return number(base.number**exponent.number)
    match exponent.number:
        case 0.0:
            return number(1.0)
        case 1.0:
            return base
        case 2.0:
            return base * base
        case 3.0:
            return base * base * base
        case 4.0:
            square = base * base
            return square * square
        case 0.5:
            return make("sqrt", base)
        case -0.5:
            return make("rsqrt", base)
        case -1.0:
            return 1.0 / base
    return make("pow", base, exponent)


def _of_sizes(value: sympy.Basic) -> Term:
    if value.is_number:
        return number(float(value))
    kind, operands = value.func, value.args
    if kind in (torch_functions.FloatTrueDiv, torch_functions.IntTrueDiv):
        return _of_sizes(operands[0]) / _of_sizes(operands[1])
    if kind is torch_functions.ToFloat:
        return _of_sizes(operands[0])
    if kind in (torch_functions.FloatPow, torch_functions.PowByNatural):
        return power(_of_sizes(operands[0]), _of_sizes(operands[1]))
    if kind.__name__ == "OpaqueUnaryFn_sqrt":
        return make("sqrt", _of_sizes(operands[0]))
    if kind is sympy.Mul and not value.is_integer:
        return math.prod((_of_sizes(operand) for operand in operands), start=number(1.0))
    if kind is sympy.Add and not value.is_integer:
        return sum((_of_sizes(operand) for operand in operands), start=number(0.0))
    size = count(value)
    return number(float(size)) if isinstance(size, int) else Term("number", value=size)


def replaced(term: Term, inputs: Sequence[Term], known: dict[int, Term] | None = None) -> Term:
    """The term with input `i` replaced by `inputs[i]`; what was one object stays one."""
    known = {} if known is None else known
    for part in in_order(term):
        if part.op == "input":
            known[id(part)] = inputs[part.value]
        elif part.operands:
            operands = tuple(known[id(operand)] for operand in part.operands)
            same = all(a is b for a, b in zip(operands, part.operands, strict=True))
            known[id(part)] = part if same else make(part.op, *operands)
        else:
            known[id(part)] = part
    return known[id(term)]


def in_order(term: Term) -> list[Term]:
    """The parts of a term, each once and after its operands."""
    order: list[Term] = []
    seen: set[int] = set()
    waiting: list[tuple[Term, bool]] = [(term, False)]
    while waiting:
        part, done = waiting.pop()
        if done:
            order.append(part)
        elif id(part) not in seen:
            seen.add(id(part))
            waiting.append((part, True))
            waiting.extend((operand, False) for operand in reversed(part.operands))
    return order


def instructions(term: Term) -> int:
    return sum(bool(part.operands) for part in in_order(term))


def program(term: Term, inputs: int) -> tuple[list[list[Any]], list[Any]]:
    """The instructions and numbers of docs/format.md for a term of so many inputs; no instruction for a mere input."""
    parts = in_order(term)
    numbers = list(dict.fromkeys(part.value for part in parts if part.op == "number"))
    place: dict[int, int] = {}
    made: dict[tuple[Any, ...], int] = {}
    steps: list[list[Any]] = []
    for part in parts:
        if part.op == "input":
            place[id(part)] = part.value
        elif part.op == "number":
            place[id(part)] = inputs + numbers.index(part.value)
        else:
            key = (part.op, *(place[id(operand)] for operand in part.operands))
            if key not in made:
                made[key] = inputs + len(numbers) + len(steps)
                steps.append(list(key))
            place[id(part)] = made[key]
    if term.op == "number":  # the file has no program without an instruction
        zero = _place_of_zero(numbers)
        steps.append(["add", place[id(term)], inputs + zero])
    return steps, numbers


def _place_of_zero(numbers: list[Any]) -> int:
    if 0.0 not in numbers:
        numbers.append(0.0)
    return numbers.index(0.0)
