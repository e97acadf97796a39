"""A market's price path, in the pieces that many features are made of."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from btc.minutes import Floats, Ints, Minutes
from btc.windows import PRICE_BITS, Column, fixed, mean_square, prefix, square_prefix

LOOK_BACK: Final = 1440
"""Minutes before its own that a row is computed from."""
VARIANCE_FLOOR: Final = 1e-12
"""(1e-6)² a minute: keeps logarithms finite where the price stands still."""
LARGEST_RETURN: Final = 0.25
"""A minute's return beyond this counts as this."""

_SCALE: Final = ((5, 0.15), (15, 0.2), (60, 0.3), (240, 0.2), (1440, 0.15))
"""(minutes, weight) of the realised variances in `scale_variance`: a HAR model (Corsi 2009), weights fixed."""
_SOFT: Final = np.float32(0.01)
"""Share of the scale added to each variance before its logarithm: a still window is told apart no further."""


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """What many columns are made of, each (n,) but the prefix sums (n + 1,)."""

    minutes: Minutes
    open: Floats
    """Logarithms, as are the other prices."""
    high: Floats
    low: Floats
    close: Floats
    steps: Floats
    """Log returns of each minute's close on the one before, clipped; 0 for the first."""
    price_sums: Ints
    square_sums: Ints
    scale_variance: Column
    scale: Column

    @classmethod
    def of(cls, minutes: Minutes) -> "Path":
        steps = _steps(minutes)
        returns, squares = _clipped(steps), _squares(steps)
        variance = _scale_variance(squares, np.float32)
        opened, high, low, close = (np.log(each) for each in (minutes.open, minutes.high, minutes.low, minutes.close))
        return cls(minutes, opened, high, low, close, returns, prefix(steps), squares, variance, np.sqrt(variance))

    def level(self, variance: Column) -> Column:
        """Half the logarithm of a variance (n,) in units of the scale's."""
        return np.asarray(np.float32(0.5) * np.log(variance / self.scale_variance + _SOFT))

    def scaled(self, move: Floats, minutes: int) -> Column:
        """A log price distance (n,) in units of the scale over so many minutes."""
        return move.astype(np.float32) / (self.scale * np.float32(minutes**0.5))


def scale_variance(minutes: Minutes) -> Floats:
    """Causal variance (n,) of the log return per minute: the HAR mean of realised variances."""
    return np.asarray(_scale_variance(_squares(_steps(minutes)), np.float64))


def _steps(minutes: Minutes) -> Ints:
    """Log returns (n,) of each minute's close on the one before, in fixed point; 0 for the first."""
    prices = fixed(np.log(minutes.close), PRICE_BITS)
    return np.diff(prices, prepend=prices[:1])


def _clipped(steps: Ints) -> Floats:
    return np.clip(steps * 2.0**-PRICE_BITS, -LARGEST_RETURN, LARGEST_RETURN)


def _squares(steps: Ints) -> Ints:
    """Prefix sums (n + 1,) of squared log returns."""
    return square_prefix(_clipped(steps) ** 2)


def _scale_variance(squares: Ints, kind: type[np.floating[Any]]) -> npt.NDArray[Any]:
    variance = kind(VARIANCE_FLOOR) * np.ones(len(squares) - 1, dtype=kind)
    for minutes, weight in _SCALE:
        variance += kind(weight) * mean_square(squares, minutes, kind)
    return np.asarray(variance)
