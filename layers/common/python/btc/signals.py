"""Features of the price path: returns, volatility, jumps, extremes and wicks, in units of the scale.

A number in a name is a window in minutes.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from btc.paths import LARGEST_RETURN, LOOK_BACK, VARIANCE_FLOOR, Group, Path, clipped, unfixed
from btc.windows import (
    PRICE_BITS,
    SQUARE_BITS,
    Block,
    Column,
    fixed,
    means,
    over,
    prefix,
    square_prefix,
    sums,
    widening,
)

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

_SMALLEST: Final = np.float32(1e-30)
"""Divides 0 by what is 0."""


def _returns(path: Path, out: Block) -> None:
    """Log returns over windows, in units of the scale over as long."""
    sums(path.prices, _RETURNS, out)
    out *= over(_RETURNS, 2.0**-PRICE_BITS, 0.5)
    out /= path.scale


def _scale_level(path: Path, out: Block) -> None:
    np.log(path.scale, out=out[0])


def _volatilities(path: Path, out: Block) -> None:
    """Realised volatilities, the last ones of what lay ahead at this time of the day, a day ago."""
    now = len(_VOLATILITIES)
    means(path.square_sums, _VOLATILITIES, out[:now])
    for number, minutes in enumerate(_YESTERDAY, start=now):
        means(path.square_sums, (minutes,), out[number : number + 1], earlier=LOOK_BACK - minutes)
    path.levels(out)


def _ranges(path: Path, out: Block) -> None:
    """Volatilities of the ranges: Parkinson's (1980), and with the bodies Garman and Klass's (1980)."""
    height, body = np.minimum(path.spread, LARGEST_RETURN), path.close - path.open
    body = np.clip(body, -LARGEST_RETURN, LARGEST_RETURN, out=body)
    height *= height
    body *= body
    body *= 2 * np.log(2) - 1
    means(square_prefix(height * (1 / (4 * np.log(2)))), _RANGES, out[: len(_RANGES)])
    height *= 0.5
    height -= body
    candles = out[len(_RANGES) :]
    means(square_prefix(height), _CANDLES, candles)
    np.maximum(candles, np.float32(0), out=candles)
    path.levels(out)


def _moves(path: Path, out: Block) -> None:
    means(prefix(np.abs(path.moves)), _MOVES, out, bits=PRICE_BITS)
    path.sizes(out, 0.05)


def _jumps(path: Path, out: Block) -> None:
    """Bipower share (Barndorff-Nielsen, Shephard 2004), autocorrelation, variance ratios, falling less rising squares.

    Bipower variation leaves single jumps out; a variance ratio below 1 is the bounce between bid and ask.
    """
    variance = _variances(path)
    many = 2 * len(_JUMPS)
    product = fixed(path.steps[1:] * path.steps[:-1], SQUARE_BITS)
    for first, values in enumerate((np.abs(product), product)):
        means(prefix(values), _JUMPS, out[first:many:2])
        _divide(out[first:many:2], _JUMPS, variance)
    first = many
    for step, spans in _STEPS:
        ratios = out[first : first + len(spans)]
        moves = unfixed(clipped(path.prices[step:] - path.prices[:-step]))
        moves *= moves
        means(square_prefix(moves), spans, ratios)
        _divide(ratios, spans, variance)
        ratios *= np.float32(1 / step)
        ratios += np.float32(0.05)
        np.log(ratios, out=ratios)
        first += len(spans)
    means(prefix(np.where(path.moves < 0, path.squares, -path.squares)), _DOWN, out[first:])
    _divide(out[first:], _DOWN, variance)


def _variances(path: Path) -> dict[int, Column]:
    spans = (*_JUMPS, LOOK_BACK)
    table = np.empty((len(spans), path.rows), dtype=np.float32)
    means(path.square_sums, spans, table)
    table += np.float32(VARIANCE_FLOOR)
    return dict(zip(spans, table, strict=True))


def _divide(out: Block, spans: tuple[int, ...], by: Mapping[int, Column]) -> None:
    for number, span in enumerate(spans):
        out[number] /= by[span]


def _extremes(path: Path, out: Block) -> None:
    """How far the close lies from the high and the low, how far those lie apart, and where between them (-1 … 1)."""
    to_high, to_low, height, inside = (out[part::4] for part in range(4))
    close = path.last(path.close)
    for number, high in enumerate(widening(path.high, _EXTREMES, np.maximum)):
        to_high[number] = path.last(high) - close
    for number, low in enumerate(widening(path.low, _EXTREMES, np.minimum)):
        to_low[number] = close - path.last(low)
    path.distances(_EXTREMES, to_high)
    path.distances(_EXTREMES, to_low)
    np.add(to_high, to_low, out=height)
    np.subtract(to_low, to_high, out=inside)
    inside /= np.maximum(height, _SMALLEST)
    height += np.float32(0.05)
    np.log(height, out=height)


def _wicks(path: Path, out: Block) -> None:
    """Upper over lower wicks and their size."""
    upper = np.minimum(path.high - np.maximum(path.open, path.close), LARGEST_RETURN)
    lower = np.minimum(np.minimum(path.open, path.close) - path.low, LARGEST_RETURN)
    apart, both = out[0::2], out[1::2]
    means(square_prefix(upper - lower), _WICKS, apart)
    apart /= path.scale
    means(square_prefix(upper + lower), _WICKS, both)
    path.sizes(both, 0.02)


def _gaps(path: Path, out: Block) -> None:
    """The jumps from one minute's close to the next one's open."""
    gap = np.clip(path.open[1:] - path.close[:-1], -LARGEST_RETURN, LARGEST_RETURN)
    out[0] = path.last(gap)
    out[0] /= path.scale
    means(square_prefix(np.abs(gap)), (60,), out[1:])
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
