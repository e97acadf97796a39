"""Rolling conformal calibration: each level's quantile follows the outcomes as they become known, by regime.

After each outcome a level's offset moves up where the truth lay above its quantile and down where it lay below, in
proportion to the level, so that over a long run each level holds what it promises whatever the market does (quantile
tracking: Gibbs and Candès 2021, Angelopoulos, Candès and Tibshirani 2023). Calm and wild times have their own.
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
    """Offsets (REGIMES, levels) in half widths of the raw 90 % interval; `learn` changes them in place."""

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

    def issue(self, raw: Floats, regime: int) -> Floats:
        """The quantiles (levels,) to serve for raw ones: offset, and never crossing."""
        return np.sort(raw + self.values[regime] * unit(raw))

    def learn(self, raw: Floats, issued: Floats, regime: int, truth: float) -> None:
        """What an outcome tells of the quantiles that were issued for it."""
        self.values[regime] += self.rate * (_LEVELS - (truth <= issued)) * gaps(raw) / unit(raw)


def unit(raw: Floats) -> Any:
    """Half widths (…,) of 90 % intervals from quantiles (…, levels)."""
    return np.maximum((raw[..., -1] - raw[..., 0]) / 2, _SMALLEST)


def gaps(raw: Floats) -> Floats:
    """Distance in the quantile for a distance in its level (…, levels): the inverse of the density there."""
    return np.asarray(np.gradient(raw, _LEVELS, axis=-1))


def rolled(  # noqa: PLR0913 - what a run of forecasts is
    raw: Floats, truth: Floats, scale: Floats, *, at: Ints, horizon: int, offsets: Offsets
) -> Floats:
    """Issued quantiles (n, levels) of consecutive forecasts, each with what was known when it was made.

    `raw` (n, levels) and `truth` (n,), NaN where unknown, are log returns; `at` (n,) are minutes, ascending. An outcome
    is known `horizon` minutes after its forecast.
    """
    issued = np.empty_like(raw)
    regimes = offsets.regime(scale)
    moves = offsets.rate * gaps(raw) / unit(raw)[:, None]
    units, known, ends = unit(raw), np.isfinite(truth), at + horizon
    settled = 0
    for row in range(len(raw)):
        while ends[settled] <= at[row]:
            if known[settled]:
                surprise = _LEVELS - (truth[settled] <= issued[settled])
                offsets.values[regimes[settled]] += moves[settled] * surprise
            settled += 1
        issued[row] = np.sort(raw[row] + offsets.values[regimes[row]] * units[row])
    return issued
