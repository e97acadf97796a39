"""Features of the trading: volume and where in the price range it lay, the takers' side, rest, and what is unknown.

A number in a name is a window in minutes.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from btc.minutes import Ints
from btc.paths import LARGEST_RETURN, LOOK_BACK, Group, Path
from btc.windows import (
    PRICE_BITS,
    Block,
    difference,
    fixed,
    fixed_units,
    over,
    prefix,
    sums,
    widening,
)

_VOLUMES: Final = (1, 2, 5, 15, 60, 240)
_SIDES: Final = (1, 3, 5, 15, 60, 240)
_MEANS: Final = (5, 15, 60, 240, 1440)
_FLOWS: Final = (1, 5, 60)
_STILL: Final = (5, 60, 1440)
_TICKS: Final = (60, 240)
_QUIET: Final = (60, 1440)


def _volumes(path: Path, out: Block) -> None:
    """Volume against its mean over the day; the share of it in rising minutes, and in closes near the high (-1 … 1)."""
    _against_day(path.volumes, _VOLUMES, out[: len(_VOLUMES)])
    inside = 2 * path.close
    inside -= path.high
    inside -= path.low
    inside /= np.where(path.spread > 0, path.spread, 1.0)
    inside *= path.units
    whole = _whole(path.volumes, _SIDES, path.rows)
    rising, closing = out[len(_VOLUMES) :: 2], out[len(_VOLUMES) + 1 :: 2]
    sums(prefix(np.sign(path.moves) * path.units), _SIDES, rising)
    sums(prefix(fixed(inside, 0)), _SIDES, closing)
    rising /= whole
    closing /= whole


def _means(path: Path, out: Block) -> None:
    """How far the close lies from the window's volume-weighted and plain mean price; 0 without volume."""
    from_vwap, from_mean = out[0::2], out[1::2]
    typical = path.high + path.low
    typical += path.close
    typical /= 3
    close, close_units = path.last(path.close), path.last(path.prices)
    units = prefix(fixed(typical, PRICE_BITS))
    typical *= path.units
    for number, (minutes, weighted) in enumerate(zip(_MEANS, widening(typical, _MEANS, np.add), strict=True)):
        away = difference(path.volumes, minutes, path.rows).astype(np.float64)
        away *= close
        away -= path.last(weighted)
        from_vwap[number] = away
        from_mean[number] = close_units * minutes - difference(units, minutes, path.rows)
    from_vwap /= _whole(path.volumes, _MEANS, path.rows)
    from_mean *= over(_MEANS, 2.0**-PRICE_BITS)
    path.distances(_MEANS, from_vwap)
    path.distances(_MEANS, from_mean)


def _flows(path: Path, out: Block) -> None:
    """Trades against the day's mean and taker imbalance, (bought - sold) / volume, over the minutes that recorded them.

    0 without volume, NaN where no minute of the window recorded it.
    """
    trades, bought = path.minutes.trade_count, path.minutes.buy_volume
    uncounted, unrecorded = np.isnan(trades), np.isnan(bought)
    _against_day(prefix(np.where(uncounted, 0.0, trades).astype(np.int64)), (5,), out[:1])
    _mask(out[:1], uncounted, (LOOK_BACK,))
    flow = np.where(unrecorded, 0, path.units)
    signed = 2 * fixed_units(np.where(unrecorded, 0.0, bought)) - flow
    imbalance = out[1:]
    sums(prefix(signed), _FLOWS, imbalance)
    imbalance /= _whole(prefix(flow), _FLOWS, path.rows)
    _mask(imbalance, unrecorded, _FLOWS)


def _still(path: Path, out: Block) -> None:
    """Shares of minutes whose close did not move."""
    sums(prefix(path.moves == 0), _STILL, out)
    out *= over(_STILL, 1.0)


def _ticks(path: Path, out: Block) -> None:
    """The smallest move of the close that the window has seen."""
    smallest = np.where(path.moves == 0, LARGEST_RETURN, np.abs(path.steps))
    for number, tick in enumerate(widening(smallest, _TICKS, np.minimum)):
        out[number] = path.last(tick)
    out /= path.scale
    np.minimum(out, np.float32(3), out=out)
    out += np.float32(1e-4)
    np.log(out, out=out)


def _rests(path: Path, out: Block) -> None:
    """Shares of minutes that saw no trade, and that are unknown."""
    spans = (*_QUIET, LOOK_BACK)
    sums(prefix(path.minutes.volume == 0), _QUIET, out[:-1])
    sums(prefix(~path.minutes.known), (LOOK_BACK,), out[-1:])
    out *= over(spans, 1.0)


def _whole(volumes: Ints, spans: tuple[int, ...], rows: int) -> Block:
    """Volume (len(spans), rows) over windows, to divide by: at least its smallest unit."""
    whole = np.empty((len(spans), rows), dtype=np.float32)
    sums(volumes, spans, whole)
    return np.maximum(whole, np.float32(1), out=whole)


def _mask(out: Block, unknown: npt.NDArray[np.bool_], spans: tuple[int, ...]) -> None:
    """`out` is NaN where every minute of the window is unknown."""
    if unknown.any():
        count = np.empty_like(out)
        sums(prefix(unknown), spans, count)
        out[count == np.array(spans)[:, None]] = np.nan


def _against_day(amount: Ints, spans: tuple[int, ...], out: Block) -> None:
    """Log of the windows' means over the day's, softened so that an empty window stays finite; 0 on an empty day."""
    sums(amount, (LOOK_BACK,), out[:1])
    empty = out[0] == 0
    day, soft = np.where(empty, np.float32(1), out[0]), np.where(empty, np.float32(1.01), np.float32(0.01))
    sums(amount, spans, out)
    out *= over(spans, float(LOOK_BACK))
    out /= day
    out += soft
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
