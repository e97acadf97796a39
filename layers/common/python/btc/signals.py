"""Features of the price path: returns, volatility, jumps, extremes and wicks, in units of the scale.

A number in a name is a window in minutes.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from btc.paths import LARGEST_RETURN, LOOK_BACK, SMALLEST, VARIANCE_FLOOR, Group, Path
from btc.windows import Block, Column, last, means, take_means, widened

_RETURNS: Final = (1, 2, 3, 5, 7, 10, 15, 30, 60, 120, 240, 480, 1440)
_VOLATILITIES: Final = (2, 5, 10, 15, 30, 60, 120, 240, 480, 1440)
_RANGES: Final = (1, 2, 5, 15, 30, 60, 240, 480, 1440)
_CANDLES: Final = (5, 15, 60, 240, 1440)
_MOVES: Final = (5, 15, 60, 240, 1440)
_JUMPS: Final = (15, 60, 240, 1200)  # a lagged return needs a minute more than its window
_STEPS: Final = ((5, (60, 240, 1200)), (15, (240, 1200)))
_DOWN: Final = (15, 60, 240, 1440)
_EXTREMES: Final = (1, 5, 15, 60, 240, 1440)
_WICKS: Final = (1, 5, 15, 60)
_YESTERDAY: Final = (15, 60)


def _returns(path: Path, out: Block) -> None:
    """Log returns over windows, in units of the scale over as long."""
    close = path.last(path.close)
    for number, minutes in enumerate(_RETURNS):
        out[number] = close - last(path.close, path.rows, earlier=minutes)
    path.distances(_RETURNS, out)


def _scale_level(path: Path, out: Block) -> None:
    np.log(path.scale, out=out[0])


def _volatilities(path: Path, out: Block) -> None:
    """Realised volatilities, the last ones of what lay ahead at this time of the day, a day ago."""
    now = len(_VOLATILITIES)
    take_means(path.squares, _VOLATILITIES, out[:now])
    for number, minutes in enumerate(_YESTERDAY, start=now):
        take_means(path.squares, (minutes,), out[number : number + 1], earlier=LOOK_BACK - minutes)
    path.levels(out)


def _ranges(path: Path, out: Block) -> None:
    """Volatilities of the ranges: Parkinson's (1980), and with the bodies Garman and Klass's (1980)."""
    height = np.minimum(path.spread, np.float32(LARGEST_RETURN))
    body = (path.close - path.open).astype(np.float32)
    np.clip(body, -LARGEST_RETURN, LARGEST_RETURN, out=body)
    height *= height
    means(height, _RANGES, out[: len(_RANGES)], 1 / (4 * np.log(2)))
    body *= body
    body *= np.float32(2 * (2 * np.log(2) - 1))
    height -= body  # no body is longer than the range
    means(height, _CANDLES, out[len(_RANGES) :], 0.5)
    path.levels(out)


def _moves(path: Path, out: Block) -> None:
    means(np.abs(path.steps), _MOVES, out)
    path.sizes(out, 0.05)


def _jumps(path: Path, out: Block) -> None:
    """Bipower share (Barndorff-Nielsen, Shephard 2004), autocorrelation, variance ratios, falling less rising squares.

    Bipower variation leaves single jumps out; a variance ratio below 1 is the bounce between bid and ask.
    """
    variance = _variances(path)
    many = 2 * len(_JUMPS)
    product = path.steps[1:] * path.steps[:-1]
    for first, values in enumerate((np.abs(product), product)):
        means(values, _JUMPS, out[first:many:2])
        _divide(out[first:many:2], _JUMPS, variance)
    first = many
    for step, spans in _STEPS:
        ratios = out[first : first + len(spans)]
        moves = (path.close[step:] - path.close[:-step]).astype(np.float32)
        np.clip(moves, -LARGEST_RETURN, LARGEST_RETURN, out=moves)
        moves *= moves
        means(moves, spans, ratios, 1 / step)
        _divide(ratios, spans, variance)
        ratios += np.float32(0.05)
        np.log(ratios, out=ratios)
        first += len(spans)
    means(np.abs(path.steps) * path.steps, _DOWN, out[first:], -1.0)
    _divide(out[first:], _DOWN, variance)


def _variances(path: Path) -> dict[int, Column]:
    spans = (*_JUMPS, LOOK_BACK)
    table = np.empty((len(spans), path.rows), dtype=np.float32)
    take_means(path.squares, spans, table)
    table += np.float32(VARIANCE_FLOOR)
    return dict(zip(spans, table, strict=True))


def _divide(out: Block, spans: tuple[int, ...], by: Mapping[int, Column]) -> None:
    for number, span in enumerate(spans):
        out[number] /= by[span]


def _extremes(path: Path, out: Block) -> None:
    """How far the close lies from the high and the low, how far those lie apart, and where between them (-1 … 1)."""
    to_high, to_low, height, inside = (out[part::4] for part in range(4))
    close = path.last(path.close)
    high, low = (widened(*each) for each in ((path.high, _EXTREMES, np.maximum), (path.low, _EXTREMES, np.minimum)))
    for number, minutes in enumerate(_EXTREMES):
        to_high[number] = path.last(high[minutes]) - close
        to_low[number] = close - path.last(low[minutes])
    path.distances(_EXTREMES, to_high)
    path.distances(_EXTREMES, to_low)
    np.add(to_high, to_low, out=height)
    np.subtract(to_low, to_high, out=inside)
    inside /= np.maximum(height, SMALLEST)
    height += np.float32(0.05)
    np.log(height, out=height)


def _wicks(path: Path, out: Block) -> None:
    """Upper over lower wicks and their size."""
    upper = (path.high - np.maximum(path.open, path.close)).astype(np.float32)
    lower = (np.minimum(path.open, path.close) - path.low).astype(np.float32)
    for wick in (upper, lower):
        np.minimum(wick, np.float32(LARGEST_RETURN), out=wick)
    apart, both = out[0::2], out[1::2]
    means(upper - lower, _WICKS, apart)
    apart /= path.scale
    means(upper + lower, _WICKS, both)
    path.sizes(both, 0.02)


def _gaps(path: Path, out: Block) -> None:
    """The jumps from one minute's close to the next one's open."""
    gap = (path.open[1:] - path.close[:-1]).astype(np.float32)
    np.clip(gap, -LARGEST_RETURN, LARGEST_RETURN, out=gap)
    np.divide(path.last(gap), path.scale, out=out[0])
    means(np.abs(gap), (60,), out[1:])
    path.sizes(out[1:], 0.01)


GROUPS: Final = (
    Group(tuple(f"return_{minutes}" for minutes in _RETURNS), _returns),
    Group(("scale_level",), _scale_level),
    Group(
        (
            *(f"volatility_{minutes}" for minutes in _VOLATILITIES),
            *(f"volatility_yesterday_{minutes}" for minutes in _YESTERDAY),
        ),
        _volatilities,
    ),
    Group(
        (*(f"range_{minutes}" for minutes in _RANGES), *(f"candle_{minutes}" for minutes in _CANDLES)),
        _ranges,
    ),
    Group(tuple(f"move_{minutes}" for minutes in _MOVES), _moves),
    Group(
        (
            *(f"{name}_{minutes}" for minutes in _JUMPS for name in ("bipower", "autocorrelation")),
            *(f"variance_ratio_{step}_{minutes}" for step, windows in _STEPS for minutes in windows),
            *(f"down_{minutes}" for minutes in _DOWN),
        ),
        _jumps,
    ),
    Group(
        tuple(
            f"{name}_{minutes}" for minutes in _EXTREMES for name in ("to_high", "to_low", "height", "close_in_range")
        ),
        _extremes,
    ),
    Group(tuple(f"{name}_{minutes}" for minutes in _WICKS for name in ("wick", "wicks")), _wicks),
    Group(("gap", "gaps_60"), _gaps),
)
"""Columns in order."""
