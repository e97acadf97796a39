"""Where a minute lies on the circles of the hour, the day and the week."""

from functools import cache
from typing import Final

import numpy as np

from btc.minutes import Minutes
from btc.times import DAY, HOUR, MINUTE
from btc.windows import Column

_CIRCLES: Final = (
    ("hour", HOUR // MINUTE),
    ("day", DAY // MINUTE),
    ("half_day", DAY // MINUTE // 2),
    ("week", 7 * DAY // MINUTE),
)

NAMES: Final = tuple(f"{name}_{part}" for name, _ in _CIRCLES for part in ("sin", "cos"))


def columns(minutes: Minutes) -> dict[str, Column]:
    """Sine and cosine (n,) of the time that has passed of each circle."""
    first, length = int(minutes.start[0] // MINUTE), len(minutes)
    return {
        f"{name}_{part}": np.resize(np.roll(circle, -first), length)
        for name, period in _CIRCLES
        for part, circle in zip(("sin", "cos"), _circle(period), strict=True)
    }


@cache
def _circle(period: int) -> tuple[Column, Column]:
    angle = 2 * np.pi * np.arange(period) / period
    return np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)
