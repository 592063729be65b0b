"""What packing is doing, for those who wait."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_told: ContextVar[Callable[[str], None] | None] = ContextVar("_told", default=None)


@contextmanager
def told(to: Callable[[str], None]) -> Iterator[None]:
    """While entered, `to` is called with each step that begins, in words."""
    token = _told.set(to)
    try:
        yield
    finally:
        _told.reset(token)


def begins(step: str) -> None:
    if (to := _told.get()) is not None:
        to(step)
