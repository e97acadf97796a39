"""Sums and extremes over sliding windows, each row's value the same wherever history starts.

Integers are summed by the difference of two prefix sums, which is exact even where the prefix sums wrap around. Floats
are summed by doubling: what 2m minutes hold is what m hold and what m held before them, so that the order of additions
is that of the window and not that of history. Extremes are exact anyway.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from btc.minutes import Floats, Ints
from btc.units import UNIT

Column = npt.NDArray[np.float32]

PRICE_BITS: Final = 44
"""Log prices in fixed point: steps of 6e-14."""
SQUARE_BITS: Final = 56
"""Squares in fixed point: steps of 1.4e-17, and a day of the largest (0.25²) stays below 2^63."""


def fixed(values: Floats, bits: int) -> Ints:
    return np.rint(values * 2.0**bits).astype(np.int64)


def fixed_units(volume: Floats) -> Ints:
    """Whole coins (n,) as the exact units of bars."""
    return np.rint(volume * UNIT).astype(np.int64)


def prefix(values: npt.NDArray[Any]) -> Ints:
    """Sums (n + 1,) of the integers or truths before each place; they may wrap around."""
    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def square_prefix(squares: Floats) -> Ints:
    """`prefix` of numbers of the size of squared returns; see `mean_square`."""
    return prefix(fixed(squares, SQUARE_BITS))


def window(sums: Ints, minutes: int, kind: type[np.number[Any]] = np.int64, *, earlier: int = 0) -> npt.NDArray[Any]:
    """Sums (n,) of a prefix over the `minutes` rows that end `earlier` rows before each; 0 where there are fewer."""
    total = np.zeros(len(sums) - 1, dtype=kind)
    first = minutes + earlier
    if first < len(sums):
        total[first - 1 :] = sums[minutes : len(sums) - earlier] - sums[: len(sums) - first]
    return total


def mean_square(
    sums: Ints, minutes: int, kind: type[np.floating[Any]] = np.float32, *, earlier: int = 0
) -> npt.NDArray[Any]:
    """Means (n,) over a window of a `square_prefix`."""
    return np.asarray(window(sums, minutes, kind, earlier=earlier) * kind(2.0**-SQUARE_BITS / minutes))


def total(values: Floats, minutes: int) -> Floats:
    """Sums (n,) of floats over the last `minutes` rows, of what there is where there are fewer."""
    doubled, span = values.copy(), 1
    found, reach = np.zeros_like(values), 0
    while span <= minutes:
        if minutes & span:
            found[reach:] += doubled[: len(doubled) - reach]
            reach += span
        doubled[span:] = doubled[span:] + doubled[:-span]
        span *= 2
    return found


def highest(values: npt.NDArray[Any], minutes: int) -> npt.NDArray[Any]:
    """Maxima (n,) over the last `minutes` rows, of what there is where there are fewer."""
    found, span = values.copy(), 1
    while span < minutes:
        step = min(span, minutes - span)
        found[step:] = np.maximum(found[step:], found[:-step])
        span += step
    return found


def lowest(values: npt.NDArray[Any], minutes: int) -> npt.NDArray[Any]:
    """Minima (n,) over the last `minutes` rows, of what there is where there are fewer."""
    return np.asarray(-highest(-values, minutes))


def before(values: npt.NDArray[Any], minutes: int) -> npt.NDArray[Any]:
    """What each row (n,) had `minutes` rows earlier; 0 where there is no such row."""
    shifted = np.zeros_like(values)
    shifted[minutes:] = values[: len(values) - minutes]
    return shifted
