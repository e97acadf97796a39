"""Features of the price path: returns, volatility, jumps, extremes and wicks, in units of the scale.

Each function returns columns (n,) by name, whole from row LOOK_BACK on; a number in a name is a window in minutes.
"""

from typing import Any, Final

import numpy as np

from btc.paths import LARGEST_RETURN, LOOK_BACK, VARIANCE_FLOOR, Path
from btc.windows import PRICE_BITS, Column, before, highest, lowest, mean_square, square_prefix, window

_RETURNS: Final = (1, 2, 3, 5, 7, 10, 15, 30, 60, 120, 240, 480, 1440)
_VOLATILITIES: Final = (2, 5, 10, 15, 30, 60, 120, 240, 480, 1440)
_RANGES: Final = (1, 2, 5, 15, 30, 60, 240, 480, 1440)
_CANDLES: Final = (5, 15, 60, 240, 1440)
_MOVES: Final = (5, 15, 60, 240, 1440)
_JUMPS: Final = (15, 60, 240, 1200)  # a lagged return needs a minute more than its window
_STEPS: Final = ((5, 60), (5, 240), (5, 1200), (15, 240), (15, 1200))
_DOWN: Final = (15, 60, 240, 1440)
_EXTREMES: Final = (1, 5, 15, 60, 240, 1440)
_WICKS: Final = (1, 5, 15, 60)
_YESTERDAY: Final = (15, 60)

NAMES: Final[tuple[str, ...]] = (
    *(f"return_{minutes}" for minutes in _RETURNS),
    "scale_level",
    *(f"volatility_{minutes}" for minutes in _VOLATILITIES),
    *(f"volatility_yesterday_{minutes}" for minutes in _YESTERDAY),
    *(f"range_{minutes}" for minutes in _RANGES),
    *(f"candle_{minutes}" for minutes in _CANDLES),
    *(f"move_{minutes}" for minutes in _MOVES),
    *(f"{name}_{minutes}" for minutes in _JUMPS for name in ("bipower", "autocorrelation")),
    *(f"variance_ratio_{step}_{minutes}" for step, minutes in _STEPS),
    *(f"down_{minutes}" for minutes in _DOWN),
    *(f"{name}_{minutes}" for minutes in _EXTREMES for name in ("to_high", "to_low", "height", "close_in_range")),
    *(f"{name}_{minutes}" for minutes in _WICKS for name in ("wick", "wicks")),
    "gap",
    "gaps_60",
)


def columns(path: Path) -> dict[str, Column]:
    """Columns (n,) by NAMES."""
    return {**_returns(path), **_volatilities(path), **_jumps(path), **_extremes(path), **_wicks(path)}


def _returns(path: Path) -> dict[str, Column]:
    """Log returns over windows, in units of the scale over as long."""
    return {
        f"return_{minutes}": window(path.price_sums, minutes, np.float32)
        * np.float32(2.0**-PRICE_BITS / minutes**0.5)
        / path.scale
        for minutes in _RETURNS
    }


def _volatilities(path: Path) -> dict[str, Column]:
    """Realised volatility, Parkinson's (1980) and Garman and Klass's (1980) of the ranges, and the mean move."""
    spread = np.minimum(path.high - path.low, LARGEST_RETURN)
    body = np.clip(path.close - path.open, -LARGEST_RETURN, LARGEST_RETURN)
    ranges = square_prefix(spread * spread / (4 * np.log(2)))
    candles = square_prefix(0.5 * spread * spread - (2 * np.log(2) - 1) * body * body)
    moves = square_prefix(np.abs(path.steps))
    found = {"scale_level": np.log(path.scale)}
    for name, sums, windows in (
        ("volatility", path.square_sums, _VOLATILITIES),
        ("range", ranges, _RANGES),
        ("candle", candles, _CANDLES),
    ):
        for minutes in windows:
            found[f"{name}_{minutes}"] = path.level(np.maximum(mean_square(sums, minutes), np.float32(0)))
    for minutes in _MOVES:
        found[f"move_{minutes}"] = np.log(mean_square(moves, minutes) / path.scale + np.float32(0.05))
    for minutes in _YESTERDAY:
        # What lay ahead at this time of the day, a day ago.
        ahead = mean_square(path.square_sums, minutes, earlier=LOOK_BACK - minutes)
        found[f"volatility_yesterday_{minutes}"] = path.level(ahead)
    return found


def _jumps(path: Path) -> dict[str, Column]:
    """Bipower share (Barndorff-Nielsen and Shephard 2004), autocorrelation, variance ratios, share of falling squares.

    Bipower variation leaves single jumps out; a variance ratio below 1 is the bounce between bid and ask.
    """
    last = before(path.steps, 1)
    bipower, product = square_prefix(np.abs(path.steps * last)), square_prefix(path.steps * last)
    falling = square_prefix(np.where(path.steps < 0, path.steps**2, 0.0))
    variance = {
        minutes: mean_square(path.square_sums, minutes) + np.float32(VARIANCE_FLOOR)
        for minutes in {*_JUMPS, *_DOWN, *(minutes for _, minutes in _STEPS)}
    }
    found: dict[str, Any] = {}
    for minutes in _JUMPS:
        found[f"bipower_{minutes}"] = mean_square(bipower, minutes) / variance[minutes]
        found[f"autocorrelation_{minutes}"] = mean_square(product, minutes) / variance[minutes]
    for step in {step for step, _ in _STEPS}:
        moves = window(path.price_sums, step, np.float64) * 2.0**-PRICE_BITS
        sums = square_prefix(np.clip(moves, -LARGEST_RETURN, LARGEST_RETURN) ** 2)
        for minutes in (minutes for own, minutes in _STEPS if own == step):
            ratio = mean_square(sums, minutes) / (np.float32(step) * variance[minutes])
            found[f"variance_ratio_{step}_{minutes}"] = np.log(ratio + np.float32(0.05))
    for minutes in _DOWN:
        found[f"down_{minutes}"] = mean_square(falling, minutes) / variance[minutes]
    return found


def _extremes(path: Path) -> dict[str, Column]:
    """How far the close lies from the high and the low, how far those lie apart, and where between them (-1 … 1)."""
    found: dict[str, Any] = {}
    for minutes in _EXTREMES:
        high, low = highest(path.high, minutes), lowest(path.low, minutes)
        to_high, to_low = path.scaled(high - path.close, minutes), path.scaled(path.close - low, minutes)
        height = to_high + to_low
        found[f"to_high_{minutes}"], found[f"to_low_{minutes}"] = to_high, to_low
        found[f"height_{minutes}"] = np.log(height + np.float32(0.05))
        found[f"close_in_range_{minutes}"] = (to_low - to_high) / np.where(height > 0, height, np.float32(1))
    return found


def _wicks(path: Path) -> dict[str, Column]:
    """Upper over lower wicks and their size, and the jumps from one minute's close to the next one's open."""
    upper = np.minimum(path.high - np.maximum(path.open, path.close), LARGEST_RETURN)
    lower = np.minimum(np.minimum(path.open, path.close) - path.low, LARGEST_RETURN)
    gap = np.clip(path.open - before(path.close, 1), -LARGEST_RETURN, LARGEST_RETURN)
    both, apart, gaps = square_prefix(upper + lower), square_prefix(upper - lower), square_prefix(np.abs(gap))
    found: dict[str, Any] = {"gap": path.scaled(gap, 1)}
    for minutes in _WICKS:
        found[f"wick_{minutes}"] = mean_square(apart, minutes) / path.scale
        found[f"wicks_{minutes}"] = np.log(mean_square(both, minutes) / path.scale + np.float32(0.02))
    found["gaps_60"] = np.log(mean_square(gaps, 60) / path.scale + np.float32(0.01))
    return found
