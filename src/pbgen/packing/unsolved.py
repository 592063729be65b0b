"""What torch.export asks sympy beside what it traces."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from unittest.mock import patch

from torch.fx.experimental.symbolic_shapes import DimConstraints

_solve = DimConstraints.solve


@contextmanager
def unsolved() -> Iterator[None]:
    """While entered, what a module's code asks of a size may be more than sympy can solve: torch solves it for nothing
    but to suggest which size is meant."""

    def solve(constraints: DimConstraints) -> None:
        with suppress(NotImplementedError):
            _solve(constraints)

    with patch.object(DimConstraints, "solve", solve):
        yield
