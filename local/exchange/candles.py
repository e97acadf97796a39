"""OHLC rows as Kraken's REST shapes them, cut from the tape."""

from typing import Final

import numpy as np

from btc.times import MINUTE, SECOND
from btc.units import UNIT
from local.exchange.market import Tape
from local.exchange.pairs import Pair, fixed

MOST_ROWS: Final = 720
INTERVALS: Final = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)

Row = list[int | str]


def rows(tape: Tape, pair: Pair, *, now: int, interval: int) -> list[Row]:
    """[time, open, high, low, close, vwap, volume, count] for the latest 720 intervals of `interval` minutes.

    The last row is the bar still open at `now` (µs); intervals without trades are flat at the close before them.
    """
    if not len(tape):
        return []
    width = interval * MINUTE
    newest = now - now % width
    first = int(tape.times[0])
    oldest = max(newest - (MOST_ROWS - 1) * width, first - first % width)
    starts = np.arange(oldest, newest + 1, width)
    edges = np.append(np.searchsorted(tape.times, starts), len(tape)).tolist()
    return [
        [start // SECOND, *_row(tape, pair, begin, end)]
        for start, begin, end in zip(starts.tolist(), edges, edges[1:], strict=False)
    ]


def _row(tape: Tape, pair: Pair, begin: int, end: int) -> Row:
    if begin == end:
        flat = pair.price(int(tape.prices[begin - 1]))
        return [flat, flat, flat, flat, "0.0", fixed(0), 0]
    prices, sizes = tape.prices[begin:end], tape.sizes[begin:end]
    vwap = np.average(prices / UNIT, weights=sizes)
    ohlc = (int(price) for price in (prices[0], prices.max(), prices.min(), prices[-1]))
    return [
        *(pair.price(price) for price in ohlc),
        f"{vwap:.{pair.price_decimals}f}",
        fixed(int(sizes.sum())),
        end - begin,
    ]
