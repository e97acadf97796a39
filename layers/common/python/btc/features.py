"""Minutes in, features out: causal, scale-free, with a finite look-back.

Every sum over a window is the difference of two prefix sums of 64-bit integers (fixed point), so that it is exact and
does not depend on where history starts: the row a forecast is made from, computed from its look-back alone, equals the
row of the training matrix bit for bit. Prefix sums may wrap around; their differences do not.
"""

from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from btc.minutes import Floats, Ints, Minutes
from btc.times import DAY, MINUTE
from btc.units import UNIT

Column = npt.NDArray[np.float32]

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
_BLOCK: Final = 1 << 15


def matrix(minutes: Minutes) -> npt.NDArray[np.float32]:
    """Features (n, len(NAMES)); rows whose look-back begins before the first minute are NaN throughout."""
    rows = np.empty((len(minutes), len(NAMES)), dtype=np.float32)
    rows[:LOOK_BACK] = np.nan
    # Since a row needs its look-back only, history may be cut into blocks that stay in the processor's cache.
    for first in range(LOOK_BACK, len(minutes), _BLOCK):
        block = np.stack(_columns(minutes[first - LOOK_BACK : first + _BLOCK]))
        rows[first : first + _BLOCK] = block[:, LOOK_BACK:].T
    return rows


def usable(minutes: Minutes) -> npt.NDArray[np.bool_]:
    """Rows (n,) a model may be asked about: look-back whole, its last minute known, few of the others unknown."""
    unknown = _window(_prefix((~minutes.known).astype(np.int64)), LOOK_BACK)
    mask = minutes.known & (unknown <= MAX_UNKNOWN * LOOK_BACK)
    mask[:LOOK_BACK] = False
    return mask


def scale(minutes: Minutes) -> Floats:
    """Causal volatility (n,) of the log return per √minute; NaN without a whole look-back."""
    squares = _squares(_log_returns(minutes))
    variance = np.zeros(len(minutes))
    for window, weight in _SCALE:
        variance += weight * _variance(squares, window, np.float64)
    volatility = np.sqrt(variance)
    volatility[:LOOK_BACK] = np.nan
    return np.asarray(volatility)


def _columns(minutes: Minutes) -> list[Column]:
    """The features in the order of NAMES, each (n,); whole from row LOOK_BACK on."""
    steps = _log_returns(minutes)
    squares, prices = _squares(steps), _prefix(steps)
    variance = {window: _variance(squares, window, np.float32) for window in _VOLATILITIES}
    scale_variance = sum(np.float32(weight) * variance[window] for window, weight in _SCALE)
    volatility = np.sqrt(scale_variance)
    levels = {window: np.float32(0.5) * np.log(values) for window, values in variance.items()}
    return [
        *(
            _window(prices, window, np.float32) * np.float32(2.0**-_PRICE_BITS / window**0.5) / volatility
            for window in _RETURNS
        ),
        *levels.values(),
        *(levels[short] - levels[long] for short, long in _RATIOS),
        *_range_columns(minutes, np.float32(0.5) * np.log(scale_variance)),
        *_volume_columns(minutes),
        *_calendar_columns(minutes),
    ]


def _range_columns(minutes: Minutes, scale_level: Column) -> list[Column]:
    """Parkinson's range volatility against `scale` (logs), and where in its minute's range the close lies (-1 … 1)."""
    spread = np.minimum(np.log(minutes.high / minutes.low), _LARGEST_RETURN)
    squares = _prefix(_fixed(spread * spread / (4 * np.log(2)), _SQUARE_BITS))
    ranges = [np.float32(0.5) * np.log(_variance(squares, window, np.float32)) - scale_level for window in _RANGES]
    height = minutes.high - minutes.low
    inside = (2 * minutes.close - minutes.high - minutes.low) / np.where(height > 0, height, 1.0)
    return [*ranges, inside.astype(np.float32)]


def _volume_columns(minutes: Minutes) -> list[Column]:
    """Volume and trades against their mean over the day, taker imbalance (-1 … 1), shares of quiet minutes."""
    volume = _prefix(_fixed_units(minutes.volume))
    uncounted = np.isnan(minutes.trade_count)
    trades = _prefix(np.where(uncounted, 0.0, minutes.trade_count).astype(np.int64))
    quiet, unknown = _prefix(minutes.volume == 0), _prefix(~minutes.known)
    day = _window(volume, LOOK_BACK, np.float32)
    return [
        *(_against_day(_window(volume, window, np.float32), window, day) for window in _VOLUMES),
        np.where(
            _window(_prefix(uncounted), LOOK_BACK) < LOOK_BACK,
            _against_day(_window(trades, 5, np.float32), 5, _window(trades, LOOK_BACK, np.float32)),
            np.float32(np.nan),
        ),
        *_imbalances(minutes),
        _window(quiet, 60, np.float32) / np.float32(60),
        _window(quiet, LOOK_BACK, np.float32) / np.float32(LOOK_BACK),
        _window(unknown, LOOK_BACK, np.float32) / np.float32(LOOK_BACK),
    ]


def _imbalances(minutes: Minutes) -> list[Column]:
    """(bought - sold) / volume by the taker's side, over the minutes that recorded it; 0 without volume, else NaN."""
    unrecorded = np.isnan(minutes.buy_volume)
    if unrecorded.all():
        return [np.full(len(minutes), np.nan, dtype=np.float32)] * len(_FLOWS)
    flow = np.where(unrecorded, 0.0, minutes.volume)
    total = _prefix(_fixed_units(flow))
    signed = _prefix(_fixed_units(np.where(unrecorded, 0.0, 2 * minutes.buy_volume) - flow))
    missing = _prefix(unrecorded)
    columns = []
    for window in _FLOWS:
        volume = _window(total, window, np.float32)
        share = _window(signed, window, np.float32) / np.maximum(volume, np.float32(1))
        columns.append(np.where(_window(missing, window) < window, share, np.float32(np.nan)))
    return columns


def _calendar_columns(minutes: Minutes) -> list[Column]:
    """Where the minute lies on the circles of the day and of the week."""
    first, length = int(minutes.start[0] // MINUTE), len(minutes)
    return [
        np.resize(np.roll(circle, -first), length)
        for period in (DAY // MINUTE, 7 * DAY // MINUTE)
        for circle in _circles(period)
    ]


@cache
def _circles(period: int) -> tuple[Column, Column]:
    angle = 2 * np.pi * np.arange(period) / period
    return np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)


def _log_returns(minutes: Minutes) -> Ints:
    """Log returns (n,) of each minute's close on the one before, in fixed point; 0 for the first."""
    prices = _fixed(np.log(minutes.close), _PRICE_BITS)
    return np.diff(prices, prepend=prices[:1])


def _squares(steps: Ints) -> Ints:
    """Prefix sums (n + 1,) of squared log returns; a return beyond 25 % in a minute counts as 25 %."""
    returns = np.clip(steps * 2.0**-_PRICE_BITS, -_LARGEST_RETURN, _LARGEST_RETURN)
    return _prefix(_fixed(returns**2, _SQUARE_BITS))


def _variance(squares: Ints, window: int, kind: type[np.floating[Any]]) -> npt.NDArray[Any]:
    """Mean square per minute over the window, never zero."""
    return np.asarray(_window(squares, window, kind) * kind(2.0**-_SQUARE_BITS / window) + kind(VARIANCE_FLOOR))


def _against_day(total: Column, window: int, day: Column) -> Column:
    """Log of the window's mean over the day's, softened so that an empty window stays finite; 0 on an empty day."""
    mean = np.where(day > 0, day, np.float32(1)) * np.float32(window / LOOK_BACK)
    return np.log(np.where(day > 0, total / mean, np.float32(1)) + np.float32(0.01))


def _fixed(values: Floats, bits: int) -> Ints:
    return np.rint(values * 2.0**bits).astype(np.int64)


def _fixed_units(volume: Floats) -> Ints:
    return np.rint(volume * UNIT).astype(np.int64)


def _prefix(values: npt.NDArray[Any]) -> Ints:
    """Sums (n + 1,) of the integers or truths before each place; they may wrap around."""
    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def _window(prefix: Ints, minutes: int, kind: type[np.number[Any]] = np.int64) -> npt.NDArray[Any]:
    """Sums (n,) over the last `minutes` rows, each row included; 0 where there are fewer."""
    sums = np.zeros(len(prefix) - 1, dtype=kind)
    if minutes < len(prefix):
        sums[minutes - 1 :] = prefix[minutes:] - prefix[:-minutes]
    return sums
