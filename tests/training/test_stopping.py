"""Which signals ask a training to stop, and how often."""

import signal
from collections.abc import Iterator

import pytest

from pbgen.training.interrupt import Interrupts, undisturbed


@pytest.fixture(autouse=True)
def usual() -> Iterator[list[int]]:
    """The signals that were left to the usual handler, which only notes them."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    noted: list[int] = []
    before = {number: signal.signal(number, lambda number, _: noted.append(number)) for number in numbers}
    yield noted
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_request_acts_as_usual(number: int, usual: list[int]) -> None:
    with Interrupts() as interrupts:
        assert not interrupts.requested
        signal.raise_signal(number)
        assert interrupts.requested and not usual
        signal.raise_signal(number)
        assert usual == [number]
    signal.raise_signal(signal.SIGHUP)
    assert usual == [number, signal.SIGHUP], "all are given back"


def test_a_closed_terminal_may_say_so_often(usual: list[int]) -> None:
    with Interrupts() as interrupts:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGHUP):
            signal.raise_signal(number)
        assert interrupts.requested and not usual


def test_nohup_is_heeded(usual: list[int]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGHUP)
        assert not interrupts.requested and not usual


def test_undisturbed_holds_signals_back(usual: list[int]) -> None:
    with undisturbed():
        signal.raise_signal(signal.SIGHUP)
        assert not usual
    assert usual == [signal.SIGHUP]
