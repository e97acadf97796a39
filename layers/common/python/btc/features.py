"""Minutes in, features out: causal, scale-free, with a finite look-back.

Every column is made of the windows of `btc.windows`: the row a forecast is made from, computed from its look-back
alone, equals the row of the training matrix bit for bit. `btc.signals` tells the price, `btc.activity` the trading,
`btc.rhythms` the time; prices appear in units of `scale` only, volumes in those of the day's mean.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore
from typing import Final

import numpy as np
import numpy.typing as npt

from btc import activity, paths, rhythms, signals
from btc.minutes import Floats, Minutes
from btc.paths import LOOK_BACK, VARIANCE_FLOOR, Path
from btc.windows import prefix, window

__all__ = ["LOOK_BACK", "MAX_UNKNOWN", "NAMES", "VARIANCE_FLOOR", "matrix", "scale", "usable"]

_GROUPS: Final = (*signals.GROUPS, *activity.GROUPS)
_GROUPED: Final = tuple(name for group in _GROUPS for name in group.names)
NAMES: Final[tuple[str, ...]] = (*_GROUPED, *rhythms.NAMES)
"""The columns of `matrix`, in order."""
MAX_UNKNOWN: Final = 0.1
"""The largest share of unknown minutes in a look-back that a row may have and still be used."""

_BLOCK: Final = 1 << 15
_APART: Final = 16
"""Floats between two columns: a power of two would put a row's columns all into the same place of the cache."""


def matrix(minutes: Minutes, threads: int = 1) -> npt.NDArray[np.float32]:
    """Features (n, len(NAMES)); rows whose look-back begins before the first minute are NaN throughout."""
    rows = np.empty((len(minutes), len(NAMES)), dtype=np.float32)
    rows[:LOOK_BACK] = np.nan
    blocks = range(LOOK_BACK, len(minutes), _BLOCK)
    threads = min(threads, len(blocks))
    makers = Semaphore(max(1, threads // 2))
    if threads < 2:
        _fill(minutes, rows, blocks, makers)
        return rows
    with ThreadPoolExecutor(threads) as pool:
        for part in [pool.submit(_fill, minutes, rows, blocks[first::threads], makers) for first in range(threads)]:
            part.result()
    return rows


def _fill(minutes: Minutes, rows: npt.NDArray[np.float32], blocks: range, makers: Semaphore) -> None:
    """The rows of the blocks that begin there: a row needs its look-back only, a block stays in the cache.

    Columns are made by many short calls, which wait for each other's interpreter, and become rows by one long one,
    which does not: so half of the threads, or one, make columns while the others turn theirs.
    """
    buffer = np.empty((len(_GROUPED), min(max(0, len(minutes) - LOOK_BACK), _BLOCK) + _APART), dtype=np.float32)
    for first in blocks:
        with makers:
            path = Path.of(minutes[first - LOOK_BACK : first + _BLOCK])
            block, done = buffer[:, : path.rows], 0
            for names, fill in _GROUPS:
                fill(path, block[done : done + len(names)])
                done += len(names)
        rows[first : first + _BLOCK, :done] = block.T
        rhythms.fill(int(minutes.start[first]), rows[first : first + _BLOCK, done:])


def usable(minutes: Minutes) -> npt.NDArray[np.bool_]:
    """Rows (n,) a model may be asked about: look-back whole, its last minute known, few of the others unknown."""
    unknown = window(prefix(~minutes.known), LOOK_BACK)
    mask = minutes.known & (unknown <= MAX_UNKNOWN * LOOK_BACK)
    mask[:LOOK_BACK] = False
    return mask


def scale(minutes: Minutes) -> Floats:
    """Causal volatility (n,) of the log return per √minute; NaN without a whole look-back."""
    volatility = np.sqrt(paths.scale_variance(minutes))
    volatility[:LOOK_BACK] = np.nan
    return volatility
