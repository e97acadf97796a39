"""Minutes in, features out: causal, scale-free, with a finite look-back.

Every column is made of the exact windows of `btc.windows`: the row a forecast is made from, computed from its look-back
alone, equals the row of the training matrix bit for bit. `btc.signals` tells the price, `btc.activity` the trading,
`btc.rhythms` the time; prices appear in units of `scale` only, volumes in those of the day's mean.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from btc import activity, paths, rhythms, signals
from btc.minutes import Floats, Minutes
from btc.paths import LOOK_BACK, VARIANCE_FLOOR, Path
from btc.windows import Column, prefix, window

__all__ = ["LOOK_BACK", "MAX_UNKNOWN", "NAMES", "VARIANCE_FLOOR", "matrix", "scale", "usable"]

NAMES: Final[tuple[str, ...]] = (*signals.NAMES, *activity.NAMES, *rhythms.NAMES)
"""The columns of `matrix`, in order."""
MAX_UNKNOWN: Final = 0.1
"""The largest share of unknown minutes in a look-back that a row may have and still be used."""

_BLOCK: Final = 1 << 14


def matrix(minutes: Minutes) -> npt.NDArray[np.float32]:
    """Features (n, len(NAMES)); rows whose look-back begins before the first minute are NaN throughout."""
    rows = np.empty((len(minutes), len(NAMES)), dtype=np.float32)
    rows[:LOOK_BACK] = np.nan
    # Since a row needs its look-back only, history may be cut into blocks that stay in the processor's cache.
    for first in range(LOOK_BACK, len(minutes), _BLOCK):
        found = columns(minutes[first - LOOK_BACK : first + _BLOCK])
        for number, name in enumerate(NAMES):
            rows[first : first + _BLOCK, number] = found[name][LOOK_BACK:]
    return rows


def columns(minutes: Minutes) -> dict[str, Column]:
    """Columns (n,) by NAMES, whole from row LOOK_BACK on."""
    path = Path.of(minutes)
    return {**signals.columns(path), **activity.columns(path), **rhythms.columns(minutes)}


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
