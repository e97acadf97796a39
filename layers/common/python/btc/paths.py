"""A market's price path, in the pieces that many features are made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from btc import windows
from btc.minutes import Floats, Minutes
from btc.windows import Block, Column, Values, divided, joins, mean_square, over, square_prefix, widened

LOOK_BACK: Final = 1440
"""Minutes before its own that a row is computed from."""
VARIANCE_FLOOR: Final = 1e-12
"""(1e-6)² a minute: keeps logarithms finite where the price stands still."""
LARGEST_RETURN: Final = 0.25
"""A log distance beyond this counts as this."""
SMALLEST: Final = np.float32(1e-30)
"""Divides 0 by what is 0."""

SCALE: Final = ((5, 0.15), (15, 0.2), (60, 0.3), (240, 0.2), (1440, 0.15))
"""(minutes, weight) of the realised variances in `scale_variance`: a HAR model (Corsi 2009), weights fixed."""
_VARIANCES: Final = (2, 5, 10, 15, 30, 60, 120, 240, 480, 1200, 1440)
_VOLUMES: Final = (2, 3, 5, 15, 60, 240, 1440)
_RETURNS: Final = (2, 3, 4, 5, 7, 10, 15, 30, 60, 120, 240, 480, 960, 1440)
"""Those that are features, and those by which `seen` shifts."""
SOFT: Final = np.float32(0.01)
"""Share of the scale added to each variance before its logarithm: a still window is told apart no further."""

Shift = Callable[[Column, Column, int], Column]
"""What windows (m,) tell of their last close, told of a later one, in a new array: of their values, the log returns
from the one close to the other, and the windows' minutes."""


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """What many columns are made of: columns (n,) of all minutes, and columns (rows,) of those with a look-back.

    Prices are log distances from the close of their own minute, or between two closes: those keep their digits in
    float32, prices do not. A close that is back at its price has returned by 0, as no sum of float32 would tell.
    """

    minutes: Minutes
    rows: int
    above: Column
    """The high above the close."""
    below: Column
    """The low below the close."""
    body: Column
    """The close above the open."""
    spread: Column
    """The high above the low."""
    steps: Column
    """Log returns (n,) of each minute's close on the one before, clipped; 0 for the first."""
    returns: dict[int, Column]
    """Log returns over 1 (n,) and _RETURNS minutes (n - minutes,), unclipped."""
    squares: dict[int, Column]
    """Sums of squared `steps` over windows of _VARIANCES minutes; see `widened`."""
    volume: Column
    volumes: dict[int, Column]
    """Sums of the volume over windows of _VOLUMES minutes."""
    scale_variance: Column
    """Causal variance (rows,) of the log return per minute; see the function of that name."""
    scale: Column

    @classmethod
    def of(cls, minutes: Minutes) -> "Path":
        close = np.log(minutes.close)
        above = (np.log(minutes.high) - close).astype(np.float32)
        below = (close - np.log(minutes.low)).astype(np.float32)
        returns = {1: np.diff(close, prepend=close[:1]).astype(np.float32)}
        returns |= {span: (close[span:] - close[:-span]).astype(np.float32) for span in _RETURNS}
        moves = clip(returns[1])
        squares = widened(moves * moves, _VARIANCES, np.add)
        volume = minutes.volume.astype(np.float32)
        rows = len(minutes) - LOOK_BACK
        variance = np.full(rows, VARIANCE_FLOOR, dtype=np.float32)
        for span, weight in SCALE:
            variance += windows.last(squares[span], rows) * np.float32(weight / span)
        return cls(
            minutes=minutes,
            rows=rows,
            above=above,
            below=below,
            body=(close - np.log(minutes.open)).astype(np.float32),
            spread=above + below,
            steps=moves,
            returns=returns,
            squares=squares,
            volume=volume,
            volumes=widened(volume, _VOLUMES, np.add),
            scale_variance=variance,
            scale=np.sqrt(variance),
        )

    def last(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The rows with a look-back of a column that ends with the last minute."""
        return windows.last(column, self.rows)

    def seen(self, values: Column, spans: tuple[int, ...], join: np.ufunc, shift: Shift) -> dict[int, Column]:
        """As `widened`, of `values` (n,) that tell of their minute's close, seen from each window's last close."""
        held = {1: values}
        for later, earlier in joins(spans):
            whole = len(values) - later - earlier + 1
            moved = shift(held[earlier][:whole], windows.last(self.returns[later], whole), earlier)
            held[later + earlier] = join(held[later][earlier:], moved, out=moved)
        return held

    def scaled(self, held: Mapping[int, Column], spans: tuple[int, ...], out: Block) -> None:
        """Into `out`, what windows hold by span, in units of the scale."""
        divided(held, spans, repeat(self.scale), out)

    def levels(self, held: Mapping[int, Column], spans: tuple[int, ...], out: Block, unit: float = 1.0) -> None:
        """Into `out`, sums of variances by span: half the logarithms of their means, in units of the scale's."""
        divided(held, spans, repeat(self.scale_variance), out)
        out *= over(spans, unit)
        out += SOFT
        np.log(out, out=out)
        out *= np.float32(0.5)

    def sizes(self, held: Mapping[int, Column], spans: tuple[int, ...], out: Block, softened: float) -> None:
        """Into `out`, sums of the sizes of moves by span: the logarithms of their means, in units of the scale."""
        self.scaled(held, spans, out)
        out *= over(spans, 1.0)
        out += np.float32(softened)
        np.log(out, out=out)

    def distances(self, held: Mapping[int, Column], spans: tuple[int, ...], out: Block) -> None:
        """Into `out`, log price distances by span: in units of the scale over each span."""
        self.scaled(held, spans, out)
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
    for span, weight in SCALE:
        variance += weight * mean_square(squares, span)
    return variance


def clip(distances: Values) -> Values:
    """Log distances (n,), none beyond LARGEST_RETURN."""
    near: Values = np.clip(distances, -LARGEST_RETURN, LARGEST_RETURN)
    return near


def steps(close: Floats) -> Floats:
    """Log returns (n,) of log closes on the ones before, none beyond LARGEST_RETURN; 0 for the first."""
    return clip(np.diff(close, prepend=close[:1]))
