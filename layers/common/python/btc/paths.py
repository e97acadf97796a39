"""A market's price path, in the pieces that many features are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from btc.minutes import Floats, Ints, Minutes
from btc.windows import (
    PRICE_BITS,
    SQUARE_BITS,
    Block,
    Column,
    fixed,
    fixed_units,
    mean_square,
    means,
    over,
    prefix,
)

LOOK_BACK: Final = 1440
"""Minutes before its own that a row is computed from."""
VARIANCE_FLOOR: Final = 1e-12
"""(1e-6)² a minute: keeps logarithms finite where the price stands still."""
LARGEST_RETURN: Final = 0.25
"""A minute's return beyond this counts as this."""

_SCALE: Final = ((5, 0.15), (15, 0.2), (60, 0.3), (240, 0.2), (1440, 0.15))
"""(minutes, weight) of the realised variances in `scale_variance`: a HAR model (Corsi 2009), weights fixed."""
_LARGEST: Final = int(LARGEST_RETURN * 2**PRICE_BITS)
_SOFT: Final = np.float32(0.01)
"""Share of the scale added to each variance before its logarithm: a still window is told apart no further."""


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """What many columns are made of: columns (n,) of all minutes, and columns (rows,) of those with a look-back."""

    minutes: Minutes
    rows: int
    open: Floats
    """Logarithms (n,), as are the other prices."""
    high: Floats
    low: Floats
    close: Floats
    spread: Floats
    """The high above the low."""
    prices: Ints
    """Log closes (n + 1,) in fixed point, the first one twice: the prefix sums of the moves."""
    moves: Ints
    """Log returns (n,) of each minute's close on the one before, in fixed point and clipped; 0 for the first."""
    steps: Floats
    """The same (n,) as floats."""
    squares: Ints
    """Squared `steps` (n,) in fixed point."""
    square_sums: Ints
    units: Ints
    """Volume (n,)."""
    volumes: Ints
    """The prefix sums (n + 1,) of `units`."""
    scale_variance: Column
    """Causal variance (rows,) of the log return per minute; see the function of that name."""
    scale: Column

    @classmethod
    def of(cls, minutes: Minutes) -> "Path":
        opened, high, low, close = (np.log(each) for each in (minutes.open, minutes.high, minutes.low, minutes.close))
        prices = _prices(close)
        moves = clipped(np.diff(prices))
        steps = unfixed(moves)
        squares = fixed(steps * steps, SQUARE_BITS)
        square_sums, units = prefix(squares), fixed_units(minutes.volume)
        rows = max(0, len(minutes) - LOOK_BACK)
        variances = np.empty((len(_SCALE), rows), dtype=np.float32)
        means(square_sums, tuple(span for span, _ in _SCALE), variances)
        variance = np.full(rows, VARIANCE_FLOOR, dtype=np.float32)
        for (_, weight), each in zip(_SCALE, variances, strict=True):
            variance += np.float32(weight) * each
        return cls(
            minutes=minutes,
            rows=rows,
            open=opened,
            high=high,
            low=low,
            close=close,
            spread=high - low,
            prices=prices,
            moves=moves,
            steps=steps,
            squares=squares,
            square_sums=square_sums,
            units=units,
            volumes=prefix(units),
            scale_variance=variance,
            scale=np.sqrt(variance),
        )

    def last(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The rows with a look-back of a column that ends with the last minute."""
        return column[len(column) - self.rows :]

    def levels(self, out: Block) -> None:
        """`out`, variances: half their logarithms in units of the scale's."""
        out /= self.scale_variance
        out += _SOFT
        np.log(out, out=out)
        out *= np.float32(0.5)

    def sizes(self, out: Block, softened: float) -> None:
        """`out`, sizes of moves: their logarithms in units of the scale."""
        out /= self.scale
        out += np.float32(softened)
        np.log(out, out=out)

    def distances(self, spans: tuple[int, ...], out: Block) -> None:
        """`out`, log price distances: in units of the scale over each span."""
        out /= self.scale
        out *= over(spans, 1.0, 0.5)


class Group(NamedTuple):
    """Columns that are made together."""

    names: tuple[str, ...]
    fill: Callable[[Path, Block], None]
    """Writes the columns (len(names), path.rows)."""


def scale_variance(minutes: Minutes) -> Floats:
    """Causal variance (n,) of the log return per minute: the HAR mean of realised variances."""
    steps = unfixed(clipped(np.diff(_prices(np.log(minutes.close)))))
    squares = prefix(fixed(steps * steps, SQUARE_BITS))
    variance = np.full(len(minutes), VARIANCE_FLOOR)
    for span, weight in _SCALE:
        variance += weight * mean_square(squares, span)
    return variance


def clipped(moves: Ints) -> Ints:
    """Log price moves in fixed point, none beyond LARGEST_RETURN."""
    return np.clip(moves, -_LARGEST, _LARGEST)


def unfixed(moves: Ints) -> Floats:
    """Log price moves out of fixed point."""
    return np.asarray(moves * 2.0**-PRICE_BITS)


def _prices(close: Floats) -> Ints:
    prices = fixed(close, PRICE_BITS)
    return np.concatenate([prices[:1], prices])
