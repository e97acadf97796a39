"""Features of the trading: volume and where in the price range it lay, the takers' side, rest, and what is unknown.

A number in a name is a window in minutes.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from btc.paths import LARGEST_RETURN, LOOK_BACK, SMALLEST, Group, Path
from btc.units import UNIT
from btc.windows import Block, Column, over, sums, widened

_VOLUMES: Final = (1, 2, 5, 15, 60, 240)
_SIDES: Final = (1, 3, 5, 15, 60, 240)
_MEANS: Final = (5, 15, 60, 240, 1440)
_FLOWS: Final = (1, 5, 60)
_STILL: Final = (5, 60, 1440)
_TICKS: Final = (60, 240)
_QUIET: Final = (60, 1440)

Truths = npt.NDArray[np.bool_]


def _volumes(path: Path, out: Block) -> None:
    """Volume against its mean over the day; the share of it in rising minutes, and in closes near the high (-1 … 1)."""
    _against_day(path, path.volumes, _VOLUMES, out[: len(_VOLUMES)])
    volume = path.minutes.volume.astype(np.float32)
    inside = (2 * path.close - path.high - path.low).astype(np.float32)
    inside /= np.maximum(path.spread, SMALLEST)
    inside *= volume
    volume *= np.sign(path.steps)
    rising, closing = out[len(_VOLUMES) :: 2], out[len(_VOLUMES) + 1 :: 2]
    sums(volume, _SIDES, rising)
    sums(inside, _SIDES, closing)
    whole = _whole(path, path.volumes, _SIDES)
    rising /= whole
    closing /= whole


def _means(path: Path, out: Block) -> None:
    """How far the close lies from the window's volume-weighted and plain mean price; 0 without volume."""
    from_vwap, from_mean = out[0::2], out[1::2]
    typical = path.high + path.low
    typical += path.close
    typical /= 3
    close = path.last(path.close)
    plain, weighted = (widened(each, _MEANS, np.add) for each in (typical, typical * path.minutes.volume))
    for number, minutes in enumerate(_MEANS):
        away = close * path.last(path.volumes[minutes])
        from_vwap[number] = np.subtract(away, path.last(weighted[minutes]), out=away)
        np.multiply(close, minutes, out=away)
        from_mean[number] = np.subtract(away, path.last(plain[minutes]), out=away)
    from_vwap /= _whole(path, path.volumes, _MEANS)
    from_mean *= over(_MEANS, 1.0)
    path.distances(_MEANS, from_vwap)
    path.distances(_MEANS, from_mean)


def _flows(path: Path, out: Block) -> None:
    """Trades against the day's mean and taker imbalance, (bought - sold) / volume, over the minutes that recorded them.

    0 without volume, NaN where no minute of the window recorded it.
    """
    _trades(path, out[:1])
    _imbalances(path, out[1:])


def _trades(path: Path, out: Block) -> None:
    trades = path.minutes.trade_count.astype(np.float32)
    uncounted = np.isnan(trades)
    if uncounted.all():
        out[:] = np.nan
        return
    _against_day(path, widened(_without(trades, uncounted), (5, LOOK_BACK), np.add), (5,), out)
    _mask(path, out, uncounted, (LOOK_BACK,))


def _imbalances(path: Path, out: Block) -> None:
    bought, volume = (column.astype(np.float32) for column in (path.minutes.buy_volume, path.minutes.volume))
    unrecorded = np.isnan(bought)
    if unrecorded.all():
        out[:] = np.nan
        return
    bought *= 2
    bought -= volume
    sums(_without(bought, unrecorded), _FLOWS, out)
    out /= _whole(path, widened(_without(volume, unrecorded), _FLOWS, np.add), _FLOWS)
    _mask(path, out, unrecorded, _FLOWS)


def _still(path: Path, out: Block) -> None:
    """Shares of minutes whose close did not move."""
    _shares(path.steps == 0, _STILL, out)


def _ticks(path: Path, out: Block) -> None:
    """The smallest move of the close that the window has seen."""
    smallest = np.abs(path.steps)
    np.copyto(smallest, np.float32(LARGEST_RETURN), where=smallest == 0)
    ticks = widened(smallest, _TICKS, np.minimum)
    for number, minutes in enumerate(_TICKS):
        np.divide(path.last(ticks[minutes]), path.scale, out=out[number])
    np.minimum(out, np.float32(3), out=out)
    out += np.float32(1e-4)
    np.log(out, out=out)


def _rests(path: Path, out: Block) -> None:
    """Shares of minutes that saw no trade, and that are unknown."""
    _shares(path.minutes.volume == 0, _QUIET, out[:-1])
    _shares(~path.minutes.known, (LOOK_BACK,), out[-1:])


def _shares(true: Truths, spans: tuple[int, ...], out: Block) -> None:
    """Of the minutes of windows."""
    sums(true.astype(np.uint16), spans, out)
    out *= over(spans, 1.0)


def _whole(path: Path, volumes: Mapping[int, npt.NDArray[Any]], spans: tuple[int, ...]) -> Block:
    """Volume (len(spans), rows) over windows, to divide by: at least its smallest unit."""
    whole = np.empty((len(spans), path.rows), dtype=np.float32)
    for number, span in enumerate(spans):
        whole[number] = path.last(volumes[span])
    return np.maximum(whole, np.float32(1 / UNIT), out=whole)


def _without(values: Column, unknown: Truths) -> Column:
    """The values, 0 where they are unknown."""
    return np.where(unknown, np.float32(0), values) if unknown.any() else values


def _mask(path: Path, out: Block, unknown: Truths, spans: tuple[int, ...]) -> None:
    """`out` is NaN where every minute of the window is unknown."""
    if unknown.any():
        nowhere = widened(unknown, spans, np.logical_and)
        for number, span in enumerate(spans):
            out[number, path.last(nowhere[span])] = np.nan


def _against_day(path: Path, amount: Mapping[int, npt.NDArray[Any]], spans: tuple[int, ...], out: Block) -> None:
    """Log of the windows' means over the day's, softened so that an empty window stays finite; 0 on an empty day."""
    day = path.last(amount[LOOK_BACK]).astype(np.float32)
    empty = day == 0
    day[empty] = 1
    for number, span in enumerate(spans):
        out[number] = path.last(amount[span])
    out *= over(spans, float(LOOK_BACK))
    out /= day
    out += np.float32(0.01)
    out[:, empty] = 1
    np.log(out, out=out)


GROUPS: Final = (
    Group(
        (
            *(f"volume_{minutes}" for minutes in _VOLUMES),
            *(f"{name}_{minutes}" for minutes in _SIDES for name in ("rising_volume", "closing_volume")),
        ),
        _volumes,
    ),
    Group(tuple(f"{name}_{minutes}" for minutes in _MEANS for name in ("from_vwap", "from_mean")), _means),
    Group(("trades_5", *(f"buy_imbalance_{minutes}" for minutes in _FLOWS)), _flows),
    Group(tuple(f"still_{minutes}" for minutes in _STILL), _still),
    Group(tuple(f"tick_{minutes}" for minutes in _TICKS), _ticks),
    Group((*(f"quiet_{minutes}" for minutes in _QUIET), "unknown_1440"), _rests),
)
"""Columns in order."""
