"""What torch.export asks sympy beside what it traces."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from unittest.mock import patch

from torch.fx.experimental.symbolic_shapes import DimConstraints

_solve = DimConstraints.solve


@contextmanager
def unsolved() -> Iterator[None]:
    """While entered, what a module's code asks of a size may be more than sympy can solve.

    torch solves it to tell a user which of the sizes that were asked for are meant. Here none is asked for: which are
    free is left to torch, what the code asks stays in the program's guards, and the file is compared with the module at
    other sizes. So where sympy says that it knows no way (NotImplementedError), nothing is lost; any other error is
    raised as ever.
    """

    def solve(constraints: DimConstraints) -> None:
        with suppress(NotImplementedError):
            _solve(constraints)

    with patch.object(DimConstraints, "solve", solve):
        yield
