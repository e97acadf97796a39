"""Sums and extremes over sliding windows, each row's value the same wherever history starts.

Windows are joined of shorter ones: what 2m minutes hold is what m hold and what m held before them, so that the order
of additions is that of the window and not that of history. Where float64 must be exact besides, numbers become integers
in fixed point and are summed by the difference of two prefix sums, which is right even where those wrap around.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from btc.minutes import Floats, Ints

Column = npt.NDArray[np.float32]
Block = npt.NDArray[np.float32]
"""Columns (k, rows), one after the other: the last rows of a history that reaches further back."""
Values = TypeVar("Values", bound=npt.NDArray[Any])

SQUARE_BITS: Final = 56
"""Squares in fixed point: steps of 1.4e-17, and a day of the largest (0.25²) stays below 2^63."""


def fixed(values: Floats, bits: int) -> Ints:
    scaled = values * 2.0**bits
    return np.rint(scaled, out=scaled).astype(np.int64)


def prefix(values: npt.NDArray[Any]) -> Ints:
    """Sums (n + 1,) of the integers or truths before each place; they may wrap around."""
    sums = np.empty(len(values) + 1, dtype=np.int64)
    sums[0] = 0
    np.cumsum(values, out=sums[1:])
    return sums


def square_prefix(squares: Floats) -> Ints:
    """`prefix` of numbers of the size of squared returns; see `mean_square`."""
    return prefix(fixed(squares, SQUARE_BITS))


def window(prefixes: Ints, span: int) -> Ints:
    """Sums (n,) over the last `span` rows of each; 0 where there are fewer."""
    total = np.zeros(len(prefixes) - 1, dtype=np.int64)
    total[span - 1 :] = prefixes[span:] - prefixes[:-span]
    return total


def mean_square(prefixes: Ints, span: int) -> Floats:
    """Means (n,) over the last `span` rows of a `square_prefix`; 0 where there are fewer."""
    return np.asarray(window(prefixes, span) * (2.0**-SQUARE_BITS / span))


@cache
def over(spans: tuple[int, ...], unit: float, power: float = 1.0) -> Block:
    """Factors (len(spans), 1): the unit over each span to that power."""
    return np.array([[unit / span**power] for span in spans], dtype=np.float32)


def last(column: Values, rows: int) -> Values:
    """The last rows of a column (n,)."""
    return column[len(column) - rows :]  # type: ignore[return-value]


def divided(held: Mapping[int, npt.NDArray[Any]], spans: tuple[int, ...], by: Iterable[Any], out: Block) -> None:
    """Into `out` (len(spans), rows): what windows hold by span, over a divisor for each span, a column or a number.

    There may be more divisors than spans, as of `repeat`.
    """
    for number, (span, each) in enumerate(zip(spans, by, strict=False)):
        np.divide(last(held[span], out.shape[1]), each, out=out[number])


def widened(values: Values, spans: tuple[int, ...], join: Callable[[Any, Any], Any]) -> dict[int, Values]:
    """What windows of each span hold joined (n - span + 1,), by span, in an order that is the window's own.

    `spans` ascend; those a window was joined of are among the spans returned. `join` takes two arrays (m,) of windows,
    the later and the earlier: np.add, np.maximum, np.minimum.
    """
    held = {1: values}
    for later, earlier in joins(spans):
        whole = len(values) - later - earlier + 1
        held[later + earlier] = join(held[later][earlier:], held[earlier][:whole])
    return held


@cache
def joins(spans: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Which two windows each is joined of: as few joins as doubling and the windows made before allow."""
    made, found = [1], []
    for span in spans:
        reach = max(each for each in made if each <= span)
        while reach < span:
            part = max(each for each in made if each <= span - reach)
            found.append((reach, part))
            reach += part
            made.append(reach)
    return tuple(found)
