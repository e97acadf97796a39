"""Being told to stop, by a person or a program: heard wherever this process is at that moment.

An exception that a signal raises inside a finaliser or a callback of the garbage collector is dropped by Python. So the
interruption is repeated every second until somebody says that it was heard.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Final, NoReturn

AGAIN_S: Final = 1.0


def heed() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread until `heard`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, _interrupt)


def heard() -> None:
    """The interruption has arrived: what follows is tidied up in peace."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
    raise KeyboardInterrupt
