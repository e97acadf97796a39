"""Features of the price path: returns, volatility, jumps, extremes and wicks, in units of the scale.

A number in a name is a window in minutes.
"""

from typing import Final

import numpy as np

from btc.paths import LARGEST_RETURN, LOOK_BACK, SMALLEST, VARIANCE_FLOOR, Group, Path, clip
from btc.windows import Block, Column, divided, over, widened

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
    path.distances(path.returns, _RETURNS, out)


def _scale_level(path: Path, out: Block) -> None:
    np.log(path.scale, out=out[0])


def _volatilities(path: Path, out: Block) -> None:
    """Realised volatilities, the last ones of what lay ahead at this time of the day, a day ago."""
    now = len(_VOLATILITIES)
    path.levels(path.squares, _VOLATILITIES, out[:now])
    ahead = {minutes: path.squares[minutes][: minutes - LOOK_BACK] for minutes in _YESTERDAY}
    path.levels(ahead, _YESTERDAY, out[now:])


def _ranges(path: Path, out: Block) -> None:
    """Volatilities of the ranges: Parkinson's (1980), and with the bodies Garman and Klass's (1980)."""
    height = np.minimum(path.spread, np.float32(LARGEST_RETURN))
    body = clip(path.body)
    height *= height
    path.levels(widened(height, _RANGES, np.add), _RANGES, out[: len(_RANGES)], 1 / (4 * np.log(2)))
    body *= body
    body *= np.float32(2 * (2 * np.log(2) - 1))
    height -= body  # no body is longer than the range
    path.levels(widened(height, _CANDLES, np.add), _CANDLES, out[len(_RANGES) :], 0.5)


def _moves(path: Path, out: Block) -> None:
    path.sizes(widened(np.abs(path.steps), _MOVES, np.add), _MOVES, out, 0.05)


def _jumps(path: Path, out: Block) -> None:
    """Bipower share (Barndorff-Nielsen, Shephard 2004), autocorrelation, variance ratios, falling less rising squares.

    Bipower variation leaves single jumps out; a variance ratio below 1 is the bounce between bid and ask.
    """
    whole = {span: path.last(path.squares[span]) + np.float32(span * VARIANCE_FLOOR) for span in {*_JUMPS, *_DOWN}}

    def share(values: Column, spans: tuple[int, ...], part: Block) -> None:
        divided(widened(values, spans, np.add), spans, [whole[span] for span in spans], part)

    done = 2 * len(_JUMPS)
    product = path.steps[1:] * path.steps[:-1]
    share(np.abs(product), _JUMPS, out[0:done:2])
    share(product, _JUMPS, out[1:done:2])
    for step, spans in _STEPS:
        ratios = out[done : done + len(spans)]
        moves = clip(path.returns[step])
        moves *= moves
        share(moves, spans, ratios)
        ratios *= np.float32(1 / step)
        ratios += np.float32(0.05)
        np.log(ratios, out=ratios)
        done += len(spans)
    share(np.copysign(path.squares[1], -path.steps), _DOWN, out[done:])


def _extremes(path: Path, out: Block) -> None:
    """How far the close lies from the high and the low, how far those lie apart, and where between them (-1 … 1)."""
    to_high, to_low, height, inside = (out[part::4] for part in range(4))
    path.distances(path.seen(path.above, _EXTREMES, np.maximum, _fallen), _EXTREMES, to_high)
    path.distances(path.seen(path.below, _EXTREMES, np.maximum, _risen), _EXTREMES, to_low)
    np.add(to_high, to_low, out=height)
    np.subtract(to_low, to_high, out=inside)
    inside /= np.maximum(height, SMALLEST)
    height += np.float32(0.05)
    np.log(height, out=height)


def _fallen(above: Column, move: Column, _: int) -> Column:
    return above - move


def _risen(below: Column, move: Column, _: int) -> Column:
    return below + move


def _wicks(path: Path, out: Block) -> None:
    """Upper less lower wicks, and both together; beyond LARGEST_RETURN neither tells more."""
    apart, both = out[0::2], out[1::2]
    path.scaled(widened(clip(path.above - path.below + path.body), _WICKS, np.add), _WICKS, apart)
    apart *= over(_WICKS, 1.0)
    path.sizes(widened(clip(path.spread - np.abs(path.body)), _WICKS, np.add), _WICKS, both, 0.02)


def _gaps(path: Path, out: Block) -> None:
    """The jumps from one minute's close to the next one's open."""
    gap = clip(path.returns[1] - path.body)
    np.divide(path.last(gap), path.scale, out=out[0])
    path.sizes(widened(np.abs(gap), (60,), np.add), (60,), out[1:], 0.01)


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
