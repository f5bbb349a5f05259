"""What every test may rely on, wherever the tests were started from."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Let Ctrl-C mean something: shells start jobs in the background with it ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
