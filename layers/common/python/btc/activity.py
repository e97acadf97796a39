"""Features of the trading: volume and where in the price range it lay, the takers' side, rest, and what is unknown.

Each function returns columns (n,) by name, whole from row LOOK_BACK on; a number in a name is a window in minutes.
"""

from typing import Final

import numpy as np

from btc.minutes import Ints, Minutes
from btc.paths import LARGEST_RETURN, LOOK_BACK, Path
from btc.windows import Column, fixed_units, lowest, prefix, total, window

_VOLUMES: Final = (1, 2, 5, 15, 60, 240)
_SIDES: Final = (1, 3, 5, 15, 60, 240)
_MEANS: Final = (5, 15, 60, 240, 1440)
_FLOWS: Final = (1, 5, 60)
_STILL: Final = (5, 60, 1440)
_TICKS: Final = (60, 240)

NAMES: Final[tuple[str, ...]] = (
    *(f"volume_{minutes}" for minutes in _VOLUMES),
    *(f"{name}_{minutes}" for minutes in _SIDES for name in ("rising_volume", "closing_volume")),
    *(f"{name}_{minutes}" for minutes in _MEANS for name in ("from_vwap", "from_mean")),
    "trades_5",
    *(f"buy_imbalance_{minutes}" for minutes in _FLOWS),
    *(f"still_{minutes}" for minutes in _STILL),
    *(f"tick_{minutes}" for minutes in _TICKS),
    "quiet_60",
    "quiet_1440",
    "unknown_1440",
)


def columns(path: Path) -> dict[str, Column]:
    """Columns (n,) by NAMES."""
    return {**_volumes(path), **_means(path), **_flows(path.minutes), **_rests(path)}


def _volumes(path: Path) -> dict[str, Column]:
    """Volume against its mean over the day; the share of it in rising minutes, and in closes near the high (-1 … 1)."""
    minutes = path.minutes
    volume = prefix(fixed_units(minutes.volume))
    day = window(volume, LOOK_BACK, np.float32)
    height = path.high - path.low
    inside = (2 * path.close - path.high - path.low) / np.where(height > 0, height, 1.0)
    rising = prefix(fixed_units(np.sign(path.steps) * minutes.volume))
    closing = prefix(fixed_units(inside * minutes.volume))
    found = {f"volume_{span}": _against_day(window(volume, span, np.float32), span, day) for span in _VOLUMES}
    for span in _SIDES:
        whole = np.maximum(window(volume, span, np.float32), np.float32(1))
        found[f"rising_volume_{span}"] = window(rising, span, np.float32) / whole
        found[f"closing_volume_{span}"] = window(closing, span, np.float32) / whole
    return found


def _means(path: Path) -> dict[str, Column]:
    """How far the close lies from the window's volume-weighted and plain mean price; 0 without volume."""
    typical = (path.high + path.low + path.close) / 3
    volume = path.minutes.volume
    traded = prefix(fixed_units(volume))
    weighted = typical * volume
    found = {}
    for minutes in _MEANS:
        some = window(traded, minutes) > 0
        whole = np.where(some, total(volume, minutes), 1.0)
        vwap = np.where(some, total(weighted, minutes) / whole, path.close)
        found[f"from_vwap_{minutes}"] = path.scaled(path.close - vwap, minutes)
        found[f"from_mean_{minutes}"] = path.scaled(path.close - total(typical, minutes) / minutes, minutes)
    return found


def _flows(minutes: Minutes) -> dict[str, Column]:
    """Trades against the day's mean and taker imbalance, (bought - sold) / volume, over the minutes that recorded them.

    0 without volume, NaN where no minute of the window recorded it.
    """
    unknown = np.float32(np.nan)
    uncounted, unrecorded = np.isnan(minutes.trade_count), np.isnan(minutes.buy_volume)
    trades = prefix(np.where(uncounted, 0.0, minutes.trade_count).astype(np.int64))
    counted = window(prefix(uncounted), LOOK_BACK) < LOOK_BACK
    day = window(trades, LOOK_BACK, np.float32)
    found = {"trades_5": np.where(counted, _against_day(window(trades, 5, np.float32), 5, day), unknown)}
    flow = np.where(unrecorded, 0.0, minutes.volume)
    volume = prefix(fixed_units(flow))
    signed = prefix(fixed_units(np.where(unrecorded, 0.0, 2 * minutes.buy_volume) - flow))
    missing = prefix(unrecorded)
    for span in _FLOWS:
        share = window(signed, span, np.float32) / np.maximum(window(volume, span, np.float32), np.float32(1))
        found[f"buy_imbalance_{span}"] = np.where(window(missing, span) < span, share, unknown)
    return found


def _rests(path: Path) -> dict[str, Column]:
    """Shares of minutes whose close did not move, that saw no trade, that are unknown; and the smallest move seen."""
    still, quiet = prefix(path.steps == 0), prefix(path.minutes.volume == 0)
    smallest = np.where(path.steps == 0, LARGEST_RETURN, np.abs(path.steps))
    found = {f"still_{minutes}": _share(still, minutes) for minutes in _STILL}
    for minutes in _TICKS:
        tick = np.minimum(path.scaled(lowest(smallest, minutes), 1), np.float32(3))
        found[f"tick_{minutes}"] = np.log(tick + np.float32(1e-4))
    return {
        **found,
        "quiet_60": _share(quiet, 60),
        "quiet_1440": _share(quiet, LOOK_BACK),
        "unknown_1440": _share(prefix(~path.minutes.known), LOOK_BACK),
    }


def _share(sums: Ints, minutes: int) -> Column:
    return np.asarray(window(sums, minutes, np.float32) / np.float32(minutes))


def _against_day(amount: Column, minutes: int, day: Column) -> Column:
    """Log of the window's mean over the day's, softened so that an empty window stays finite; 0 on an empty day."""
    mean = np.where(day > 0, day, np.float32(1)) * np.float32(minutes / LOOK_BACK)
    return np.log(np.where(day > 0, amount / mean, np.float32(1)) + np.float32(0.01))
