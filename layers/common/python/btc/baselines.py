"""Forecasts without a model: what every model has to beat, and what is served where none may be used.

`look_back` needs nothing but the look-back itself. `empirical` quantiles are learnt from training rows: with volatility
held constant that is the naive random walk, with EWMA volatility (RiskMetrics) the strongest simple baseline. Live, no
training rows are at hand: there each baseline of `VOLATILITIES` learns its spread from the look-back. Beside a model's
forecasts `har` is the `Har` that the model was judged beside: its artefact brings along what that has learnt.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from btc.features import LOOK_BACK, VARIANCE_FLOOR
from btc.forecasts import HORIZONS, LEVELS
from btc.minutes import Floats, Ints, Minutes
from btc.paths import steps
from btc.windows import mean_square, square_prefix

HALF_LIFE: Final = 60
"""Minutes after which a squared return counts half in the EWMA variance."""
MEMORY: Final = 512
"""Minutes the EWMA reaches back (a power of two): what lies beyond would weigh less than 0.3 %."""
WINDOW: Final = LOOK_BACK - MEMORY - max(HORIZONS)
"""Minutes whose returns a baseline learns its spread from: what LOOK_BACK leaves beside the EWMA and a return."""
FEWEST: Final = 240
"""Minutes a baseline forecast needs at the least."""
SERVED: Final = "ewma"
"""The one of VOLATILITIES that is served where no model may be used."""
VERSION: Final = "baseline-ewma-60"
HAR: Final = ((4, 0.15), (16, 0.2), (64, 0.3), (256, 0.2), (MEMORY, 0.15))
"""(minutes, weight) of the realised variances in `har`: those of features.scale, as far as MEMORY reaches."""

HAR_WINDOWS: Final = (1, 5, 15, 60, 240, 1440)
"""Minutes whose realised volatilities a `Har` looks at."""

_ROWS_AT_ONCE: Final = 4096
_SMALLEST: Final = 1e-6
"""Volatility per √minute below which a regression's prediction counts as this."""


class TooFewMinutesError(ValueError):
    """There is too little history even for a baseline."""


def ewma(minutes: Minutes) -> Floats:
    """EWMA volatility (n,) of the log return per √minute, from the last MEMORY minutes of each row."""
    *_, (_, variance) = _variances(minutes, decay=0.5 ** (1 / HALF_LIFE))
    return np.sqrt(variance)


def har(minutes: Minutes) -> Floats:
    """HAR volatility (n,) of the log return per √minute (Corsi 2009), weights fixed, MEMORY minutes back."""
    variances = dict(_variances(minutes))
    return np.asarray(np.sqrt(sum(weight * variances[span] for span, weight in HAR)))


def still(minutes: Minutes) -> Floats:
    """One volatility (n,) for all times: the naive random walk."""
    return np.ones(len(minutes))


class Har(NamedTuple):
    """A horizon's HAR regression (Corsi 2009) as it was learnt from training rows."""

    weights: Floats
    """Of a constant and of the realised volatility over each of HAR_WINDOWS (1 + windows,)."""
    spread: Floats
    """Quantiles (levels,) of the return in units of the volatility that is expected."""

    def volatility(self, inputs: Floats, horizon: int) -> Floats:
        """Expected volatility (n,) of the log return over the horizon, of what `realised` tells (n, 1 + windows)."""
        # Row by row, so that the last row comes out bit for bit as it does among others.
        told = (inputs * self.weights).sum(axis=1)
        return np.asarray(np.maximum(told, _SMALLEST) * horizon**0.5)

    def to_dict(self) -> dict[str, Any]:
        return {name: values.tolist() for name, values in zip(self._fields, self, strict=True)}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """Raises KeyError where a part is missing, ValueError where one has another size."""
        weights, spread = (np.array(told[name], dtype=np.float64) for name in cls._fields)
        if weights.shape != (1 + len(HAR_WINDOWS),) or spread.shape != (len(LEVELS),):
            raise ValueError(f"a HAR has {weights.shape} weights and {spread.shape} quantiles")
        return cls(weights, spread)


def realised(minutes: Minutes) -> Floats:
    """What a `Har` looks at (n, 1 + windows): 1, and the realised volatilities per √minute.

    A row needs a whole look-back.
    """
    squares = square_prefix(steps(np.log(minutes.close)) ** 2)
    return np.stack([np.ones(len(minutes)), *(np.sqrt(mean_square(squares, span)) for span in HAR_WINDOWS)], axis=1)


VOLATILITIES: Final[Mapping[str, Callable[[Minutes], Floats]]] = {"naive": still, "ewma": ewma, "har": har}
"""The baselines that every live forecast is measured against, by what they take for the volatility at each row."""
TAUGHT: Final = "har"
"""The one of them that a model brings along as training learnt it."""


def _variances(minutes: Minutes, decay: float = 1.0) -> Iterator[tuple[int, Floats]]:
    """The mean square (n,) of the last 1, 2, 4 … MEMORY log returns of each row, with that span; each minute back
    weighs `decay` times the one after it.

    A sum over 2m minutes is that over m plus the decayed one m minutes before: ten passes, each row's arithmetic the
    same wherever history starts. Rows with less history weigh what they have; the first row has the floor.
    """
    squares = np.zeros(len(minutes))
    squares[1:] = np.log(minutes.close[1:] / minutes.close[:-1]) ** 2
    weights = np.ones(len(minutes))
    weights[:1] = 0.0  # the first minute has no return
    span = 1
    while True:
        yield span, np.divide(squares, weights, out=np.zeros(len(minutes)), where=weights > 0) + VARIANCE_FLOOR
        if span == MEMORY:
            return
        for sums in (squares, weights):
            sums[span:] = sums[span:] + decay**span * sums[:-span]
        span *= 2


def empirical(standardised: Floats) -> Floats:
    """Quantiles (levels,) of the finite values at LEVELS."""
    return np.asarray(np.quantile(standardised[np.isfinite(standardised)], LEVELS))


def look_back(minutes: Minutes, rows: Ints, horizon: int, volatility: Floats | None = None) -> Floats:
    """Log return quantiles (rows, levels): a volatility (n,), by default EWMA, times the spread of its own look-back.

    The returns over `horizon` that end in the last WINDOW minutes, each in units of the volatility before it,
    are taken with both signs: a day of them says how far the price goes, not where. Sees nothing after its row.
    Raises TooFewMinutesError where a row has less than FEWEST minutes.
    """
    if len(rows) and rows.min() < FEWEST - 1:
        raise TooFewMinutesError(f"{rows.min() + 1} minutes of history, a baseline needs {FEWEST}")
    if volatility is None:
        volatility = ewma(minutes)
    sizes = np.full(len(minutes), np.nan)  # |return| in units of its own forecast volatility, where it ENDS
    sizes[horizon:] = np.abs(np.log(minutes.close[horizon:] / minutes.close[:-horizon])) / (
        volatility[:-horizon] * horizon**0.5
    )
    padded = np.concatenate([np.full(WINDOW, np.nan), sizes])
    samples = sliding_window_view(padded, WINDOW)[1:]  # samples[t] ends with row t
    upper = np.concatenate(
        [_upper(samples[rows[first : first + _ROWS_AT_ONCE]]) for first in range(0, len(rows), _ROWS_AT_ONCE)]
        or [np.empty((0, len(_UPPER)))]
    )
    quantiles = np.concatenate([-upper[:, :0:-1], upper], axis=1)
    return np.asarray(quantiles * (volatility[rows, None] * horizon**0.5))


def latest(
    minutes: Minutes, horizons: Sequence[int] = HORIZONS, *, taught: Mapping[int, Har] | None = None
) -> dict[str, dict[int, Floats]]:
    """Log return quantiles (levels,) of every live baseline by name and horizon, as of the last minute.

    TAUGHT is that of `taught`, by horizon, where it is given.
    """
    last = np.array([len(minutes) - 1], dtype=np.int64)
    quantiles = {}
    for name, volatility_of in VOLATILITIES.items():
        if taught and name == TAUGHT:
            quantiles[name] = _told(taught, minutes, horizons)
        else:
            volatility = volatility_of(minutes)
            quantiles[name] = {horizon: look_back(minutes, last, horizon, volatility)[0] for horizon in horizons}
    return quantiles


def _told(taught: Mapping[int, Har], minutes: Minutes, horizons: Sequence[int]) -> dict[int, Floats]:
    """Log return quantiles (levels,) by horizon, as of the last minute."""
    inputs = realised(minutes[-(LOOK_BACK + 1) :])[-1:]
    return {horizon: taught[horizon].volatility(inputs, horizon)[0] * taught[horizon].spread for horizon in horizons}


_UPPER: Final = tuple(round(2 * level - 1, 2) for level in LEVELS if level >= 0.5)
"""The levels of |return| that are the upper half of LEVELS of a symmetric return."""


def _upper(samples: npt.NDArray[np.float64]) -> Floats:
    """Quantiles (rows, len(_UPPER)) of each row's finite samples; NaN (before history began) sorts last."""
    ordered = np.sort(samples, axis=1)
    counts = np.isfinite(ordered).sum(axis=1)
    places = np.outer(counts - 1, _UPPER)
    below = places.astype(np.int64)
    above = np.minimum(below + 1, (counts - 1)[:, None])
    low, high = np.take_along_axis(ordered, below, axis=1), np.take_along_axis(ordered, above, axis=1)
    return np.asarray(low + (high - low) * (places - below))
