"""Bars of longer intervals, cut from minute bars on UTC's own grid."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from btc.bars import Bar, combine
from btc.times import MINUTE

INTERVALS: Final = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}
"""Minutes by name."""


def floor(time: int, minutes: int) -> int:
    """The start of the interval that holds `time` (µs)."""
    return time - time % (minutes * MINUTE)


def resample(bars: Sequence[Bar], minutes: int) -> list[Bar]:
    """Minute bars of one market, oldest first, as bars of `minutes`; complete only where no minute is absent."""
    if minutes == 1:
        return list(bars)
    groups = groupby(bars, key=lambda bar: floor(bar.start, minutes))
    return [combine(start, minutes, list(group)) for start, group in groups]


def proven(bars: Iterable[Bar], start: int, end: int) -> bool:
    """Whether every minute of [start, end), on the grid, is among these bars, closed and complete; no minute is not.

    No two bars are of one minute; those beyond the span are passed over.
    """
    minutes = max(0, end - start) // MINUTE
    return minutes > 0 and sum(bar.closed and bar.complete for bar in bars if start <= bar.start < end) == minutes
