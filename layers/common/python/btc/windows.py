"""Sums and extremes over sliding windows, each row's value the same wherever history starts.

Integers are summed by the difference of two prefix sums, which is exact even where the prefix sums wrap around. Floats
are summed by doubling: what 2m minutes hold is what m hold and what m held before them, so that the order of additions
is that of the window and not that of history. Extremes are exact anyway.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from btc.minutes import Floats, Ints
from btc.units import UNIT

Column = npt.NDArray[np.float32]
Block = npt.NDArray[np.float32]
"""Columns (k, rows), one after the other: the last rows of a history that reaches further back."""

PRICE_BITS: Final = 44
"""Log prices in fixed point: steps of 6e-14."""
SQUARE_BITS: Final = 56
"""Squares in fixed point: steps of 1.4e-17, and a day of the largest (0.25²) stays below 2^63."""


def fixed(values: Floats, bits: int) -> Ints:
    scaled = values * 2.0**bits
    return np.rint(scaled, out=scaled).astype(np.int64)


def fixed_units(volume: Floats) -> Ints:
    """Whole coins (n,) as the exact units of bars."""
    return np.rint(volume * UNIT).astype(np.int64)


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


def sums(prefixes: Ints, spans: Sequence[int], out: Block, *, earlier: int = 0) -> None:
    """Into `out` (len(spans), rows): the sums over each span, ending `earlier` rows before each of the last rows.

    The prefix sums must reach back as far as the longest span.
    """
    for number, span in enumerate(spans):
        out[number] = difference(prefixes, span, out.shape[1], earlier=earlier)


def difference(prefixes: Ints, span: int, rows: int, *, earlier: int = 0) -> Ints:
    """The sums (rows,) over one span; see `sums`."""
    last = len(prefixes) - earlier
    return prefixes[last - rows : last] - prefixes[last - rows - span : last - span]


def means(prefixes: Ints, spans: tuple[int, ...], out: Block, *, bits: int = SQUARE_BITS, earlier: int = 0) -> None:
    """As `sums`, the means over windows of numbers in fixed point."""
    sums(prefixes, spans, out, earlier=earlier)
    out *= over(spans, 2.0**-bits)


@cache
def over(spans: tuple[int, ...], unit: float, power: float = 1.0) -> Block:
    """Factors (len(spans), 1): the unit over each span to that power."""
    return np.array([[unit / span**power] for span in spans], dtype=np.float32)


def widening(values: Floats, spans: Sequence[int], join: Callable[[Floats, Floats], Floats]) -> Iterator[Floats]:
    """For each span, what windows of so many rows hold joined (n - span + 1,), in an order that is the window's own.

    Each span must be a multiple of the one before: its windows are made of those. `join` takes two arrays (m,) of
    windows, the later and the earlier: np.add, np.maximum, np.minimum.
    """
    held, reach = values, 1
    for span in spans:
        parts, part = held, reach
        for bit in f"{span // part:b}"[1:]:
            held, reach = join(held[reach:], held[:-reach]), 2 * reach
            if bit == "1":
                held, reach = join(held[part:], parts[: len(held) - part]), reach + part
        yield held
