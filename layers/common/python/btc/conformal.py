"""Rolling conformal calibration: each level's quantile follows the outcomes as they become known, by regime.

After each outcome a level's offset moves up where the truth lay above its quantile and down where it lay below, in
proportion to the level, so that over a long run each level holds what it promises whatever the market does (quantile
tracking: Gibbs and Candès 2021, Angelopoulos, Candès and Tibshirani 2023). Calm and wild times have their own.

An outcome is told of the offsets as they are when it comes, not as they were when its forecast was made: the two differ
by less than a horizon's moves, and so the offsets alone are the state. They are a fold over minutes, whatever parts it
is made in: who holds the offsets as of any time and the bars since has them as of now, bit for bit.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from btc.forecasts import LEVELS
from btc.minutes import Floats, Ints

REGIMES: Final = 5
"""Fifths of the training rows by causal volatility."""
RATE: Final = 1 / 20_000
"""How far an outcome moves a level, in probability: what went wrong is half forgotten after 14,000 outcomes."""

_LEVELS: Final = np.array(LEVELS)
_SMALLEST: Final = 1e-12
"""Half width of a 90 % interval that stands for none."""


@dataclass(frozen=True, eq=False)
class Offsets:
    """Offsets (REGIMES, levels) in half widths of the raw 90 % interval; `settle` and `rolled` change them in place."""

    edges: Floats
    """Volatilities (REGIMES - 1,) per √minute between the regimes."""
    values: Floats
    rate: float = RATE

    @classmethod
    def none(cls, scale: Floats, rate: float = RATE) -> Self:
        """Regimes of equal share in the training rows' scale (n,), and nothing learnt yet."""
        edges = np.quantile(scale[np.isfinite(scale)], np.arange(1, REGIMES) / REGIMES)
        return cls(edges, np.zeros((REGIMES, len(LEVELS))), rate)

    def regime(self, scale: float | Floats) -> Any:
        """The number of a scale's regime, or of each (n,)."""
        return np.searchsorted(self.edges, scale)

    def issue(self, raw: Floats, scale: float) -> Floats:
        """The quantiles (levels,) to serve for raw ones: offset, and never crossing."""
        return np.sort(raw + self.values[self.regime(scale)] * unit(raw))

    def settle(self, raw: Floats, truth: Floats, scale: Floats) -> None:
        """Learn of outcomes (n,), in the order in which they came, of forecasts with these raw quantiles (n, levels).

        What is unknown, NaN, teaches nothing.
        """
        regimes, units, moves = self.regime(scale), unit(raw), self._moves(raw)
        for row in np.flatnonzero(np.isfinite(truth)):
            _learn(self.values[regimes[row]], raw[row], units[row], moves[row], truth[row])

    def _moves(self, raw: Floats) -> Floats:
        return np.asarray(self.rate * gaps(raw) / unit(raw)[:, None])


def unit(raw: Floats) -> Any:
    """Half widths (…,) of 90 % intervals from quantiles (…, levels)."""
    return np.maximum((raw[..., -1] - raw[..., 0]) / 2, _SMALLEST)


def gaps(raw: Floats) -> Floats:
    """Distance in the quantile for a distance in its level (…, levels): the inverse of the density there."""
    return np.asarray(np.gradient(raw, _LEVELS, axis=-1))


def rolled(  # noqa: PLR0913 - what a run of forecasts is
    raw: Floats, truth: Floats, scale: Floats, *, at: Ints, horizon: int, offsets: Offsets, since: int | None = None
) -> Floats:
    """Issued quantiles (n, levels), never crossing, of forecasts in order, each with what was known when it was made.

    `raw` (n, levels) and `truth` (n,), NaN where unknown, are log returns; `at` (n,) are minutes, ascending. An outcome
    is known `horizon` minutes after its forecast; those known at `since` are in the offsets already. Afterwards the
    offsets are those as of the last forecast.
    """
    issued = np.empty_like(raw)
    regimes, units, moves = offsets.regime(scale), unit(raw), offsets._moves(raw)
    known, values, ends = np.isfinite(truth), offsets.values, at + horizon
    settled = 0 if since is None else int(np.searchsorted(ends, since, side="right"))
    for row in range(len(raw)):
        while settled < row and ends[settled] <= at[row]:
            if known[settled]:
                _learn(values[regimes[settled]], raw[settled], units[settled], moves[settled], truth[settled])
            settled += 1
        issued[row] = np.sort(raw[row] + values[regimes[row]] * units[row])
    return issued


def _learn(held: Floats, raw: Floats, half_width: float, moves: Floats, truth: float) -> None:
    held += moves * (_LEVELS - (truth <= raw + held * half_width))
