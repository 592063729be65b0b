"""What all tests share."""

import signal


def pytest_configure() -> None:
    """Let Ctrl-C be Ctrl-C: what a shell starts in the background ignores it, and so would the tests' processes."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
