"""Features of the trading: volume and where in the price range it lay, the takers' side, rest, and what is unknown.

A number in a name is a window in minutes.
"""

from collections.abc import Mapping
from itertools import repeat
from typing import Final

import numpy as np
import numpy.typing as npt

from btc.paths import LARGEST_RETURN, LOOK_BACK, SMALLEST, Group, Path
from btc.units import UNIT
from btc.windows import Block, Column, divided, over, widened

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
    inside = path.below - path.above
    inside /= np.maximum(path.spread, SMALLEST)
    inside *= path.volume
    volume = np.sign(path.steps)
    volume *= path.volume
    whole = _whole(path, path.volumes, _SIDES)
    divided(widened(volume, _SIDES, np.add), _SIDES, whole, out[len(_VOLUMES) :: 2])
    divided(widened(inside, _SIDES, np.add), _SIDES, whole, out[len(_VOLUMES) + 1 :: 2])


def _means(path: Path, out: Block) -> None:
    """How far the close lies from the window's volume-weighted and plain mean price; 0 without volume."""
    from_vwap, from_mean = out[0::2], out[1::2]
    away = path.below - path.above
    away *= np.float32(1 / 3)  # from the minute's typical price, the mean of high, low and close

    def moved(sums: Column, move: Column, span: int) -> Column:
        return sums + move * np.float32(span)

    def weighed(sums: Column, move: Column, span: int) -> Column:
        return sums + move * path.volumes[span][: len(move)]

    path.distances(path.seen(away, _MEANS, np.add, moved), _MEANS, from_mean)
    from_mean *= over(_MEANS, 1.0)
    weights = _whole(path, path.volumes, _MEANS)
    divided(path.seen(away * path.volume, _MEANS, np.add, weighed), _MEANS, weights, from_vwap)
    from_vwap /= path.scale
    from_vwap *= over(_MEANS, 1.0, 0.5)


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
    sums = widened(_without(trades, uncounted), (5, LOOK_BACK), np.add)
    if uncounted.any():
        counted = widened((~uncounted).astype(np.float32), (5, LOOK_BACK), np.add)
        for span in (5, LOOK_BACK):  # as many in the minutes that were not counted as in the others
            sums[span] *= np.float32(span) / np.maximum(counted[span], np.float32(1))
    _against_day(path, sums, (5,), out)
    _mask(path, out, uncounted, (5,))


def _imbalances(path: Path, out: Block) -> None:
    bought, volume = path.minutes.buy_volume.astype(np.float32), path.volume
    unrecorded = np.isnan(bought)
    if unrecorded.all():
        out[:] = np.nan
        return
    bought *= 2
    bought -= volume
    whole = _whole(path, widened(_without(volume, unrecorded), _FLOWS, np.add), _FLOWS)
    divided(widened(_without(bought, unrecorded), _FLOWS, np.add), _FLOWS, whole, out)
    _mask(path, out, unrecorded, _FLOWS)


def _still(path: Path, out: Block) -> None:
    """Shares of minutes whose close did not move."""
    _shares(path.steps == 0, _STILL, out)


def _ticks(path: Path, out: Block) -> None:
    """The smallest move of the close that the window has seen."""
    smallest = np.abs(path.steps)
    np.copyto(smallest, np.float32(LARGEST_RETURN), where=smallest == 0)
    ticks = widened(smallest, _TICKS, np.minimum)
    path.scaled(ticks, _TICKS, out)
    np.minimum(out, np.float32(3), out=out)
    out += np.float32(1e-4)
    np.log(out, out=out)


def _rests(path: Path, out: Block) -> None:
    """Shares of minutes that saw no trade, and that are unknown."""
    _shares(path.minutes.volume == 0, _QUIET, out[:-1])
    _shares(~path.minutes.known, (LOOK_BACK,), out[-1:])


def _shares(true: Truths, spans: tuple[int, ...], out: Block) -> None:
    """Of the minutes of windows."""
    divided(widened(true.astype(np.uint16), spans, np.add), spans, map(np.float32, spans), out)


def _whole(path: Path, volumes: Mapping[int, Column], spans: tuple[int, ...]) -> list[Column]:
    """Volumes (rows,) over windows, one a span, to divide by: at least the smallest unit."""
    return [np.maximum(path.last(volumes[span]), np.float32(1 / UNIT)) for span in spans]


def _without(values: Column, unknown: Truths) -> Column:
    """The values, 0 where they are unknown."""
    return np.where(unknown, np.float32(0), values) if unknown.any() else values


def _mask(path: Path, out: Block, unknown: Truths, spans: tuple[int, ...]) -> None:
    """`out` is NaN where every minute of the window is unknown."""
    if unknown.any():
        nowhere = widened(unknown, spans, np.logical_and)
        for number, span in enumerate(spans):
            out[number, path.last(nowhere[span])] = np.nan


def _against_day(path: Path, amount: Mapping[int, Column], spans: tuple[int, ...], out: Block) -> None:
    """Log of the windows' means over the day's, softened so that an empty window stays finite; 0 on an empty day."""
    day = path.last(amount[LOOK_BACK])
    empty = day == 0
    divided(amount, spans, repeat(np.where(empty, np.float32(1), day)), out)
    out *= over(spans, float(LOOK_BACK))
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
