"""Minutes in, features out: causal, scale-free, with a finite look-back; floats begin here.

Every sum over a window is the difference of two prefix sums of 64-bit integers (fixed point), so that it is exact and
does not depend on where history starts: the row a forecast is made from, computed from its look-back alone, equals the
row of the training matrix bit for bit. Prefix sums may wrap around; their differences do not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from btc.bars import Bar
from btc.times import DAY, MINUTE
from btc.units import UNIT

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LOOK_BACK: Final = 1440
"""Minutes before its own that a row is computed from."""
MAX_UNKNOWN: Final = 0.1
"""The largest share of unknown minutes in a look-back that a row may have and still be used."""
VARIANCE_FLOOR: Final = 1e-12
"""(1e-6)² a minute: keeps logarithms finite where the price stands still."""

_RETURNS: Final = (1, 5, 15, 60, 240)
_VOLATILITIES: Final = (5, 15, 60, 240, 1440)
_RATIOS: Final = ((5, 60), (15, 240), (60, 1440))
_RANGES: Final = (1, 15, 60, 240)
_VOLUMES: Final = (1, 5, 60)
_FLOWS: Final = (1, 5, 60)
_SCALE: Final = ((5, 0.15), (15, 0.2), (60, 0.3), (240, 0.2), (1440, 0.15))
"""(minutes, weight) of the realised variances in `scale`: a HAR model (Corsi 2009), weights fixed."""

NAMES: Final[tuple[str, ...]] = (
    *(f"return_{window}" for window in _RETURNS),
    *(f"volatility_{window}" for window in _VOLATILITIES),
    *(f"volatility_{short}_to_{long}" for short, long in _RATIOS),
    *(f"range_{window}" for window in _RANGES),
    "close_in_range",
    *(f"volume_{window}" for window in _VOLUMES),
    "trades_5",
    *(f"buy_imbalance_{window}" for window in _FLOWS),
    "quiet_60",
    "quiet_1440",
    "unknown_1440",
    "day_sin",
    "day_cos",
    "week_sin",
    "week_cos",
)
"""The columns of `matrix`, in order; a number in a name is a window in minutes."""

_PRICE_BITS: Final = 44  # log prices: steps of 6e-14
_SQUARE_BITS: Final = 56  # squared returns: steps of 1.4e-17, and a day of the largest (0.25²) stays below 2^63
_LARGEST_RETURN: Final = 0.25
_LONGEST: Final = 40 * 366 * 1440


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
    """A bar is there, and its trades are proven complete."""

    @classmethod
    def of_bars(cls, bars: Sequence[Bar]) -> Self:
        """The minutes from the first bar to the last; raises BrokenMinutesError on none, repeats or longer bars."""
        if any(bar.minutes != 1 for bar in bars):
            raise BrokenMinutesError("features are made from bars of one minute: take them uncombined")
        rows = sorted(bars, key=lambda bar: bar.start)
        table = np.array(
            [
                (bar.start, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.buy_volume, bar.trade_count)
                for bar in rows
            ],
            dtype=np.int64,
        ).reshape(len(rows), 8)
        start, *prices, volume, buy_volume, trade_count = (np.ascontiguousarray(column) for column in table.T)
        return cls.of_columns(
            start,
            *(column / UNIT for column in prices),
            volume=volume / UNIT,
            buy_volume=buy_volume / UNIT,
            trade_count=trade_count.astype(np.float64),
            known=np.array([bar.complete for bar in rows], dtype=np.bool_),
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


def matrix(minutes: Minutes) -> npt.NDArray[np.float32]:
    """Features (n, len(NAMES)); rows whose look-back begins before the first minute are NaN throughout."""
    rows = np.full((len(minutes), len(NAMES)), np.nan, dtype=np.float32)
    if len(minutes) > LOOK_BACK:
        for column, values in enumerate(_columns(minutes)):
            rows[LOOK_BACK:, column] = values[LOOK_BACK:]
    return rows


def usable(minutes: Minutes) -> npt.NDArray[np.bool_]:
    """Rows (n,) a model may be asked about: look-back whole, its last minute known, few of the others unknown."""
    unknown = _window(_prefix((~minutes.known).astype(np.int64)), LOOK_BACK)
    mask = minutes.known & (unknown <= MAX_UNKNOWN * LOOK_BACK)
    mask[:LOOK_BACK] = False
    return mask


def scale(minutes: Minutes) -> Floats:
    """Causal volatility (n,) of the log return per √minute; NaN without a whole look-back."""
    volatility = np.sqrt(_scale_variance(_squares(_log_returns(minutes))))
    volatility[:LOOK_BACK] = np.nan
    return volatility


def _columns(minutes: Minutes) -> list[Floats]:
    """The features in the order of NAMES."""
    steps = _log_returns(minutes)
    squares = _squares(steps)
    prices = _prefix(steps)
    volatility = np.sqrt(_scale_variance(squares))
    variance = {window: _variance(squares, window) for window in _VOLATILITIES}
    moves = [_window(prices, window) * 2.0**-_PRICE_BITS / (volatility * window**0.5) for window in _RETURNS]
    levels = [0.5 * np.log(variance[window]) for window in _VOLATILITIES]
    ratios = [0.5 * np.log(variance[short] / variance[long]) for short, long in _RATIOS]
    return [
        *moves,
        *levels,
        *ratios,
        *_range_columns(minutes, volatility),
        *_volume_columns(minutes),
        *_calendar_columns(minutes),
    ]


def _range_columns(minutes: Minutes, volatility: Floats) -> list[Floats]:
    """Parkinson's range volatility against `scale`, and where in its minute's range the close lies (-1 … 1)."""
    spread = np.log(minutes.high / minutes.low)
    squares = _prefix(_fixed(np.minimum(spread, _LARGEST_RETURN) ** 2 / (4 * np.log(2)), _SQUARE_BITS))
    ranges = [0.5 * np.log(_variance(squares, window) / volatility**2) for window in _RANGES]
    height = minutes.high - minutes.low
    inside = np.divide(
        2 * minutes.close - minutes.high - minutes.low, height, out=np.zeros(len(minutes)), where=height > 0
    )
    return [*ranges, inside]


def _volume_columns(minutes: Minutes) -> list[Floats]:
    """Volume and trades against their mean over the day, taker imbalance (-1 … 1), shares of quiet minutes."""
    volume = _prefix(_fixed_units(minutes.volume))
    trades = _prefix(np.nan_to_num(minutes.trade_count).astype(np.int64))
    counted = _window(_prefix((~np.isnan(minutes.trade_count)).astype(np.int64)), LOOK_BACK) > 0
    recorded = ~np.isnan(minutes.buy_volume)
    flow = np.where(recorded, minutes.volume, 0.0)
    signed = np.where(recorded, 2 * minutes.buy_volume, 0.0) - flow
    flow_sum, signed_sum = _prefix(_fixed_units(flow)), _prefix(_fixed_units(signed))
    recordings = _prefix(recorded.astype(np.int64))
    quiet = _prefix((minutes.volume == 0).astype(np.int64))
    unknown = _prefix((~minutes.known).astype(np.int64))

    def imbalance(window: int) -> Floats:
        total = _window(flow_sum, window).astype(np.float64)
        part = np.divide(_window(signed_sum, window), total, out=np.zeros(len(minutes)), where=total > 0)
        return np.where(_window(recordings, window) > 0, part, np.nan)

    return [
        *(_against_day(volume, window) for window in _VOLUMES),
        np.where(counted, _against_day(trades, 5), np.nan),
        *(imbalance(window) for window in _FLOWS),
        _window(quiet, 60) / 60,
        _window(quiet, LOOK_BACK) / LOOK_BACK,
        _window(unknown, LOOK_BACK) / LOOK_BACK,
    ]


def _calendar_columns(minutes: Minutes) -> list[Floats]:
    week = 7 * DAY // MINUTE
    minute = minutes.start // MINUTE

    def around(circle: Callable[[Floats], Floats], period: int) -> Floats:
        return circle(2 * np.pi * np.arange(period) / period)[minute % period]

    return [around(np.sin, 1440), around(np.cos, 1440), around(np.sin, week), around(np.cos, week)]


def _log_returns(minutes: Minutes) -> Ints:
    """Log returns (n,) of each minute's close on the one before, in fixed point; 0 for the first."""
    prices = _fixed(np.log(minutes.close), _PRICE_BITS)
    return np.diff(prices, prepend=prices[:1])


def _squares(steps: Ints) -> Ints:
    """Prefix sums (n + 1,) of squared log returns; a return beyond 25 % in a minute counts as 25 %."""
    returns = np.clip(steps * 2.0**-_PRICE_BITS, -_LARGEST_RETURN, _LARGEST_RETURN)
    return _prefix(_fixed(returns**2, _SQUARE_BITS))


def _scale_variance(squares: Ints) -> Floats:
    total = np.zeros(len(squares) - 1)
    for window, weight in _SCALE:
        total += weight * _variance(squares, window)
    return total


def _variance(squares: Ints, window: int) -> Floats:
    """Mean square per minute over the window, never zero."""
    return np.asarray(_window(squares, window) * (2.0**-_SQUARE_BITS / window) + VARIANCE_FLOOR)


def _against_day(prefix: Ints, window: int) -> Floats:
    """Log of the window's mean over the day's, softened so that an empty window stays finite; 0 on an empty day."""
    day = _window(prefix, LOOK_BACK) / LOOK_BACK
    ratio = np.divide(_window(prefix, window) / window, day, out=np.ones(len(day)), where=day > 0)
    return np.log(ratio + 0.01)


def _fixed(values: Floats, bits: int) -> Ints:
    return np.rint(values * 2.0**bits).astype(np.int64)


def _fixed_units(volume: Floats) -> Ints:
    return np.rint(volume * UNIT).astype(np.int64)


def _prefix(values: Ints) -> Ints:
    """Sums (n + 1,) of the values before each place; they may wrap around."""
    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def _window(prefix: Ints, minutes: int) -> Ints:
    """Sums (n,) over the last `minutes` rows, each row included; 0 where there are fewer."""
    sums = np.zeros(len(prefix) - 1, dtype=np.int64)
    if minutes < len(prefix):
        np.subtract(prefix[minutes:], prefix[:-minutes], out=sums[minutes - 1 :])
    return sums


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
