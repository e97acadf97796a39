"""A market's price path, in the pieces that many features are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from btc import windows
from btc.minutes import Floats, Minutes
from btc.windows import Block, Column, mean_square, over, square_prefix, widened

LOOK_BACK: Final = 1440
"""Minutes before its own that a row is computed from."""
VARIANCE_FLOOR: Final = 1e-12
"""(1e-6)² a minute: keeps logarithms finite where the price stands still."""
LARGEST_RETURN: Final = 0.25
"""A minute's return beyond this counts as this."""
SMALLEST: Final = np.float32(1e-30)
"""Divides 0 by what is 0."""

_SCALE: Final = ((5, 0.15), (15, 0.2), (60, 0.3), (240, 0.2), (1440, 0.15))
"""(minutes, weight) of the realised variances in `scale_variance`: a HAR model (Corsi 2009), weights fixed."""
_VARIANCES: Final = (2, 5, 10, 15, 30, 60, 120, 240, 480, 1200, 1440)
_VOLUMES: Final = (2, 3, 5, 15, 60, 240, 1440)
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
    spread: Column
    """The high above the low."""
    steps: Column
    """Log returns (n,) of each minute's close on the one before, clipped; 0 for the first."""
    squares: dict[int, Column]
    """Sums of squared `steps` over windows of _VARIANCES minutes; see `widened`."""
    volumes: dict[int, Floats]
    """Sums of the volume over windows of _VOLUMES minutes."""
    scale_variance: Column
    """Causal variance (rows,) of the log return per minute; see the function of that name."""
    scale: Column

    @classmethod
    def of(cls, minutes: Minutes) -> "Path":
        opened, high, low, close = (np.log(each) for each in (minutes.open, minutes.high, minutes.low, minutes.close))
        moves = steps(close).astype(np.float32)
        squares = widened(moves * moves, _VARIANCES, np.add)
        rows = max(0, len(minutes) - LOOK_BACK)
        variance = np.full(rows, VARIANCE_FLOOR, dtype=np.float32)
        for span, weight in _SCALE:
            variance += windows.last(squares[span], rows) * np.float32(weight / span)
        return cls(
            minutes=minutes,
            rows=rows,
            open=opened,
            high=high,
            low=low,
            close=close,
            spread=(high - low).astype(np.float32),
            steps=moves,
            squares=squares,
            volumes=widened(minutes.volume, _VOLUMES, np.add),
            scale_variance=variance,
            scale=np.sqrt(variance),
        )

    def last(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The rows with a look-back of a column that ends with the last minute."""
        return windows.last(column, self.rows)

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
    squares = square_prefix(steps(np.log(minutes.close)) ** 2)
    variance = np.full(len(minutes), VARIANCE_FLOOR)
    for span, weight in _SCALE:
        variance += weight * mean_square(squares, span)
    return variance


def steps(close: Floats) -> Floats:
    """Log returns (n,) of log closes on the ones before, none beyond LARGEST_RETURN; 0 for the first."""
    moves = np.diff(close, prepend=close[:1])
    return np.clip(moves, -LARGEST_RETURN, LARGEST_RETURN, out=moves)
