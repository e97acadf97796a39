"""Where a minute lies on the circles of the hour, the day and the week."""

from functools import lru_cache
from typing import Final

import numpy as np

from btc.paths import LOOK_BACK, Group, Path
from btc.times import DAY, HOUR, MINUTE
from btc.windows import Block

_CIRCLES: Final = (
    ("hour", HOUR // MINUTE),
    ("day", DAY // MINUTE),
    ("half_day", DAY // MINUTE // 2),
    ("week", 7 * DAY // MINUTE),
)


def _rhythms(path: Path, out: Block) -> None:
    """Sine and cosine of the time that has passed of each circle."""
    first = int(path.minutes.start[0] // MINUTE) + LOOK_BACK
    for number, (_, period) in enumerate(_CIRCLES):
        begin = first % period
        laps = _laps(period, 2 + path.rows // period)
        out[2 * number : 2 * number + 2] = laps[:, begin : begin + path.rows]


@lru_cache(maxsize=16)
def _laps(period: int, laps: int) -> Block:
    angle = 2 * np.pi * np.arange(period) / period
    return np.tile(np.stack([np.sin(angle), np.cos(angle)]).astype(np.float32), laps)


GROUPS: Final = (Group(tuple(f"{name}_{part}" for name, _ in _CIRCLES for part in ("sin", "cos")), _rhythms),)
"""Columns in order."""
