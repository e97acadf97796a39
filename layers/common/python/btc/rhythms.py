"""Where a minute lies on the circles of the hour, the day and the week, and how near its close is to a stroke of the
clock: markets stir around the full hour and its quarters, for a few minutes that no slow wave can tell.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from btc.times import DAY, HOUR, MINUTE
from btc.windows import Column

_CIRCLES: Final = (
    ("hour", HOUR // MINUTE, (1, 2, 3, 4, 6)),
    ("day", DAY // MINUTE, (1, 2, 3, 4)),
    ("week", 7 * DAY // MINUTE, (1, 2, 3)),
)
"""(name, minutes, harmonics)."""
_STROKES: Final = (("hour", 60, (1, 2, 8), (2, 8)), ("quarter", 15, (2,), (2,)), ("five", 5, (1,), ()))
"""(name, minutes, decays since the last one, decays until the next one), the decays in minutes."""


def _columns() -> Iterator[tuple[str, Column]]:
    """Each column's name, and its values over one lap from the epoch on, by the minute's start."""
    for name, period, harmonics in _CIRCLES:
        for harmonic in harmonics:
            angle = 2 * np.pi * harmonic * np.arange(period) / period
            yield f"{name}_{harmonic}_sin", np.sin(angle).astype(np.float32)
            yield f"{name}_{harmonic}_cos", np.cos(angle).astype(np.float32)
    for name, period, since, until in _STROKES:
        close = np.arange(1, period + 1)
        for decay in since:
            yield f"{name}_since_{decay}", _nearness(close % period, decay)
        for decay in until:
            yield f"{name}_until_{decay}", _nearness(-close % period, decay)


def _nearness(minutes: npt.NDArray[np.int64], decay: float) -> Column:
    return np.exp(-minutes / decay).astype(np.float32)


NAMES: Final = tuple(name for name, _ in _columns())
_WEEK: Final = 7 * DAY // MINUTE


@cache
def _week() -> npt.NDArray[np.float32]:
    """The rows (minutes, len(NAMES)) of a week from the epoch on, after which all begins anew."""
    return np.stack([np.tile(lap, _WEEK // len(lap)) for _, lap in _columns()], axis=1)


def fill(start: int, rows: npt.NDArray[np.float32]) -> None:
    """Into `rows` (n, len(NAMES)): those of the minutes from `start` (µs UTC) on."""
    begin, done = start // MINUTE % _WEEK, 0
    while done < len(rows):
        part = _week()[begin : begin + len(rows) - done]
        rows[done : done + len(part)] = part
        begin, done = 0, done + len(part)
