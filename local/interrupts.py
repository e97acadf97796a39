"""Being told to stop, by a person or a program: heard wherever this process is at that moment.

An exception that a signal raises inside a finaliser or a callback of the garbage collector is dropped by Python. So the
interruption is repeated every second until somebody says that it was heard.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Final, NoReturn

AGAIN_S: Final = 1.0

_again: threading.Timer | None = None


def heed() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread until `heard`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def heard() -> None:
    """The interruption has arrived: what follows is tidied up in peace."""
    if _again:
        _again.cancel()


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    global _again  # noqa: PLW0603 - as there is one process, there is one interruption
    heard()
    _again = threading.Timer(AGAIN_S, os.kill, (os.getpid(), number))
    _again.daemon = True
    _again.start()
    raise KeyboardInterrupt
