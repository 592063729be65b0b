"""Sizes of a traced module, torch's expressions of free sizes -> the sizes of docs/format.md."""

import math
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeAlias, cast

import sympy
import torch
from torch.utils._sympy import functions as torch_functions

from pbgen.errors import PBGenError
from pbgen.packing import graph

Count: TypeAlias = int | sympy.Expr  # while a module is translated
Counts: TypeAlias = tuple[Count, ...]

_FLOORS = (torch_functions.FloorDiv, torch_functions.CleanDiv)
_RESTS = (torch_functions.Mod, torch_functions.PythonMod)


def count(value: Any) -> Count:
    """An integer where the size is fixed, else the expression that it is of free sizes."""
    if isinstance(value, int):
        return value
    expression = value.node.expr if isinstance(value, torch.SymInt) else value
    expression = _plain(expression)
    return int(expression) if expression.is_Integer else expression


def counts(values: Any) -> Counts:
    return tuple(map(count, values))


def product(values: Any) -> Count:
    return count(sympy.sympify(math.prod(values)))


def said(value: Any) -> str:
    """As messages have it: torch's names of free sizes say nothing to the user."""
    return "free size" if isinstance(value, sympy.Basic) else str(value)


def at(value: Count, hints: dict[sympy.Symbol, int]) -> int:
    """The size where the free sizes are these."""
    return value if isinstance(value, int) else int(value.subs(hints))


def floor_divided(value: Count, divisor: int) -> Count:
    if isinstance(value, int):
        return value // divisor
    return count(torch_functions.FloorDiv(sympy.sympify(value), divisor))


def larger(value: Count, other: int) -> Count:
    if isinstance(value, int):
        return max(value, other)
    if other == 0 and value.is_nonnegative is not None:
        return value if value.is_nonnegative else 0
    return count(torch_functions.Max(value, other))


@lru_cache(maxsize=4096)
def _plain(expression: sympy.Expr) -> sympy.Expr:
    """The expression without detours over real numbers where there is a plain way."""
    return cast(sympy.Expr, expression.replace(lambda part: part.func in _TO_INTEGER, lambda part: _to_integer(part)))


def _to_integer(part: sympy.Expr) -> sympy.Expr:
    """Sizes are not negative, so cutting off is rounding down."""
    (inner,) = part.args
    if part.func is torch_functions.RoundToInt:
        return _rounded(inner)
    whole, inner = _whole(inner)
    up = part.func is torch_functions.CeilToInt
    if inner.func is torch_functions.ToFloat:
        return inner.args[0] + whole
    factor, rest = inner.as_coeff_Mul()
    if rest.func is torch_functions.IntTrueDiv and math.frexp(factor)[0] == 0.5 and factor >= 1:  # a power of two
        a, b = int(factor) * rest.args[0], rest.args[1]
        return (-torch_functions.FloorDiv(-a, b) if up else torch_functions.FloorDiv(a, b)) + whole
    sizes = rest.args if rest.func is sympy.Mul else (rest,)
    if float(factor).is_integer() and all(size.func is torch_functions.ToFloat for size in sizes):
        return int(factor) * math.prod(size.args[0] for size in sizes) + whole
    return part.func(inner) + whole


def _rounded(value: sympy.Expr) -> sympy.Expr:
    """To the nearest integer, a half to the even one: a half is where twice the value is odd from above and below."""
    twice = sympy.expand(2 * value)
    sides = _to_integer(torch_functions.FloorToInt(twice)) + _to_integer(torch_functions.CeilToInt(twice))
    return torch_functions.FloorDiv(sides + 2, 8) + torch_functions.FloorDiv(sides + 5, 8)


def _whole(value: sympy.Expr) -> tuple[int, sympy.Expr]:
    """An integer that is added to a real number, and the number without it: the 1 of math.ceil(size / 4 + 1)."""
    added, rest = value.as_coeff_Add()
    return (int(added), rest) if float(added).is_integer() else (0, value)


_TO_INTEGER = (
    torch_functions.TruncToInt,
    torch_functions.FloorToInt,
    torch_functions.CeilToInt,
    torch_functions.RoundToInt,
)


class SizeTable:
    """The sizes that a graph needs, in steps of two operands; what is common to several is there once."""

    def __init__(self, free: dict[sympy.Symbol, str]) -> None:
        self.sizes: list[graph.Size] = []
        self._named: dict[Any, graph.Count] = dict(free)
        self._made: dict[tuple[Any, ...], str] = {}
        self._free = free

    def __call__(self, value: Count) -> graph.Count:
        """The integer, or the name of the size. Raises PBGenError where the file cannot say it."""
        if isinstance(value, int):
            return value
        if value not in self._named:
            self._named[value] = self._made_of(value)
        return self._named[value]

    def _made_of(self, value: sympy.Expr) -> graph.Count:
        kind, operands = value.func, value.args
        if value.is_Integer:
            return int(value)
        if value.is_Symbol:
            raise PBGenError(
                "a size in the module hangs on values, as that of x[mask] does; in a packed file, on sizes alone"
            )
        if kind is sympy.Add:
            return self._sum(value)
        if kind is sympy.Mul and all(operand.is_integer for operand in operands):
            return self._chain("*", operands)
        if kind is sympy.Pow and operands[1].is_Integer and 1 < operands[1] <= 8:
            return self._chain("*", [operands[0]] * int(operands[1]))
        if kind in _FLOORS:
            return self._chain("//", operands)
        if kind in _RESTS:
            return self._chain("%", operands)
        if kind is torch_functions.ModularIndexing:
            base, divisor, modulus = operands
            return self._chain("%", [torch_functions.FloorDiv(base, divisor), modulus])
        if kind in (torch_functions.Max, sympy.Max):
            return self._chain("max", operands)
        if kind in (torch_functions.Min, sympy.Min):
            return self._chain("min", operands)
        if kind in _TO_INTEGER:
            return self._scaled(value)
        raise self._unsaid(value)

    def _sum(self, value: sympy.Expr) -> graph.Count:
        positive = [part for part in value.args if not part.could_extract_minus_sign()]
        negative = [-part for part in value.args if part.could_extract_minus_sign()]
        total = self._chain("+", positive) if positive else 0
        for part in negative:
            total = self._new("-", total, self(count(part)))
        return total

    def _chain(self, op: str, parts: Any) -> graph.Count:
        first, *others = (self(count(part)) for part in parts)
        for other in others:
            first = self._new(op, first, other)
        return first

    def _scaled(self, value: sympy.Expr) -> graph.Count:
        factor, rest = value.args[0].as_coeff_Mul()
        if rest.func is not torch_functions.ToFloat:
            raise self._unsaid(value)
        size = self(count(rest.args[0]))
        if value.func is torch_functions.CeilToInt:
            return self._new("-", 0, self._new("scaled", size, -float(factor)))
        return self._new("scaled", size, float(factor))

    def _unsaid(self, value: sympy.Expr) -> PBGenError:
        names = sorted({self._free.get(symbol, "values") for symbol in value.free_symbols})
        return PBGenError(
            f"a size in the module hangs on {' and '.join(names)} in a way that a packed file cannot say; compute it "
            "by +, -, *, // and % alone, or as math.floor or math.ceil of a multiple of a size"
        )

    def _new(self, op: str, a: graph.Count, b: graph.Count | float) -> str:
        key = (op, a, b)
        if key not in self._made:
            used = {*self._free.values(), *self._made.values()}
            number = len(self._made)
            while f"n{number}" in used:
                number += 1
            self._made[key] = f"n{number}"
            self.sizes.append(graph.Size(f"n{number}", op, a, b))
        return self._made[key]


def can_be_said(value: Any) -> bool:
    """Whether a file has a way to say a size of torch's."""
    size = count(value)
    with suppress(PBGenError):
        SizeTable({} if isinstance(size, int) else {symbol: str(symbol) for symbol in size.free_symbols})(size)
        return True
    return False
