"""Minutes as columns on an unbroken grid, out of bars or files: the exact integers of bars become floats here."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from btc.bars import Bar, Source
from btc.times import DAY, MINUTE, iso
from btc.units import UNIT

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LONGEST: Final = 40 * 366 * 1440
_LONG: Final = 3 * 366 * 1440
"""A grid of more minutes takes gigabytes: no year of it may be absent."""


class BrokenMinutesError(ValueError):
    """Columns that are no minutes of one market: the message says what is wrong with them."""


@dataclass(frozen=True, slots=True, eq=False)
class Minutes:
    """Columns (n,) on a grid of consecutive minutes; what no bar tells stands flat at the close before and is unknown.

    Prices and volumes in whole coins and dollars; `buy_volume` and `trade_count` are NaN where they were not recorded.
    """

    start: Ints
    """µs UTC of the minute's start."""
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    buy_volume: Floats
    trade_count: Floats
    known: npt.NDArray[np.bool_]
    """A bar is there, and its trades are proven complete, or it is the venue's own."""

    @classmethod
    def of_bars(cls, bars: Sequence[Bar]) -> Self:
        """The minutes from the first bar to the last; raises BrokenMinutesError on none, repeats or longer bars."""
        if any(bar.minutes != 1 for bar in bars):
            raise BrokenMinutesError("features are made from bars of one minute: take them uncombined")
        rows = sorted(bars, key=lambda bar: bar.start)
        table = np.array(
            [(bar.start, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in rows], dtype=np.int64
        ).reshape(len(rows), 6)
        start, *prices, volume = (np.ascontiguousarray(column) for column in table.T)
        buy_volume, trade_count = (
            np.array([np.nan if value is None else value for value in column], dtype=np.float64)
            for column in ([bar.buy_volume for bar in rows], [bar.trade_count for bar in rows])
        )
        return cls.of_columns(
            start,
            *(column / UNIT for column in prices),
            volume=volume / UNIT,
            buy_volume=buy_volume / UNIT,
            trade_count=trade_count,
            known=np.array([bar.complete or bar.source is Source.KLINES for bar in rows], dtype=np.bool_),
        )

    @classmethod
    def of_columns(  # noqa: PLR0913 - one argument a column
        cls,
        start: Ints,
        open: Floats,  # noqa: A002 - the field's own name
        high: Floats,
        low: Floats,
        close: Floats,
        *,
        volume: Floats,
        buy_volume: Floats | None = None,
        trade_count: Floats | None = None,
        known: npt.NDArray[np.bool_] | None = None,
    ) -> Self:
        """The grid from the first minute to the last; absent minutes are filled flat and unknown.

        Raises BrokenMinutesError where `start` is not strictly ascending whole minutes, or a price or volume is none.
        """
        _check(start, (open, high, low, close), volume)
        length = int((start[-1] - start[0]) // MINUTE) + 1
        if length > _LONGEST:
            raise BrokenMinutesError(f"the minutes span {length / 1440 / 365:.0f} years: look for a wrong time")
        hole = int(np.argmax(np.diff(start, append=start[-1])))
        if length > _LONG and start[hole + 1] - start[hole] > 366 * DAY:
            between = f"between {iso(int(start[hole]))} and {iso(int(start[hole + 1]))}"
            raise BrokenMinutesError(f"no bar is {between}: look for a wrong time, or cut the bars there")
        grid = start[0] + MINUTE * np.arange(length, dtype=np.int64)
        row = np.searchsorted(start, grid, side="right") - 1  # the last bar at or before each minute
        present = start[row] == grid
        last_close = close[row]
        absent = np.full(len(start), np.nan)

        def only(column: Floats | None, otherwise: float) -> Floats:
            return np.where(present, (absent if column is None else column)[row], otherwise)

        return cls(
            start=grid,
            open=np.where(present, open[row], last_close),
            high=np.where(present, high[row], last_close),
            low=np.where(present, low[row], last_close),
            close=last_close,
            volume=only(volume, 0.0),
            buy_volume=only(buy_volume, np.nan),
            trade_count=only(trade_count, np.nan),
            known=present if known is None else present & known[row],
        )

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, part: slice) -> "Minutes":
        return Minutes(*(getattr(self, field.name)[part] for field in fields(self)))


def _check(start: Ints, prices: tuple[Floats, ...], volume: Floats) -> None:
    if not len(start):
        raise BrokenMinutesError("no minutes at all")
    if np.any(start % MINUTE):
        raise BrokenMinutesError("a bar does not start on a whole minute")
    if np.any(np.diff(start) <= 0):
        raise BrokenMinutesError("minutes repeat or come out of order")
    if not all(np.all(np.isfinite(column) & (column > 0)) for column in prices):
        raise BrokenMinutesError("a price is missing, not finite, or not above zero")
    if not np.all(np.isfinite(volume) & (volume >= 0)):
        raise BrokenMinutesError("a volume is missing, not finite, or below zero")
    opened, high, low, closed = prices
    if np.any((low > np.minimum(opened, closed)) | (high < np.maximum(opened, closed))):
        raise BrokenMinutesError("a high or a low does not enclose its open and close")
