"""Ctrl-C, a request to terminate and a terminal that is closed, held back until a training step is complete."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_REQUESTS = (signal.SIGINT, signal.SIGTERM)
_HANGUP = signal.SIGHUP


class Interrupts:
    """While entered, the first SIGINT or SIGTERM only sets `requested`; a second one acts as usual. So does every
    SIGHUP, of which a terminal that is closed sends several, unless it is to be ignored (nohup).

    In a thread other than the main one, where Python lets nobody handle signals, it does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._usual: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            ignored = signal.getsignal(_HANGUP) is signal.SIG_IGN
            for number in _REQUESTS if ignored else (*_REQUESTS, _HANGUP):
                self._usual[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore(*self._usual)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        self._restore(*_REQUESTS)

    def _restore(self, *numbers: int) -> None:
        for number in numbers:
            if number in self._usual:
                signal.signal(number, self._usual.pop(number))


@contextmanager
def undisturbed() -> Iterator[None]:
    """While entered, none of these signals comes; a process that is started meanwhile never gets one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*_REQUESTS, _HANGUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
