"""What all tests share."""

import os
import signal

import pytest

from pbgen.processors import usable_processors

# Each processor has a process that runs tests: more threads of torch would take turns, and spin while they wait. A test
# of several threads asks for them. Read when torch is first imported, here and by the commands that tests start.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_configure() -> None:
    """Let Ctrl-C be Ctrl-C: what a shell starts in the background ignores it, and so would the tests' processes."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means: as many as a container's quota pays for."""
    return usable_processors()
