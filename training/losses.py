"""Pinball losses, and how sure one may be that one forecaster loses less than another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from btc.forecasts import LEVELS
from btc.minutes import Floats, Ints

CANDIDATE: Final = "model"
"""The name of the model's own losses."""
BASIS_POINTS: Final = 1e4
BLOCK: Final = 360
"""Minutes a bootstrap block spans: six of the longest horizons."""
RESAMPLES: Final = 1000


@dataclass(frozen=True, eq=False)
class Losses:
    """What each forecaster lost on the test rows: the evidence the gate weighs."""

    rows: Ints
    """Minutes since the epoch (n,) of the rows."""
    by_horizon: Mapping[int, Mapping[str, Floats]]
    """Mean pinball loss (n,) in basis points by horizon and forecaster; NaN where the future is unknown."""


def pinball(truth: Floats, quantiles: Floats) -> Floats:
    """Mean pinball loss (n,) over LEVELS of truth (n,) under quantiles (n, levels) (Koenker and Bassett 1978)."""
    levels = np.array(LEVELS)
    error = truth[:, None] - quantiles
    return np.asarray(np.maximum(levels * error, (levels - 1) * error).mean(axis=1))


def block_bootstrap(candidate: Floats, other: Floats, seed: int, block: int = BLOCK) -> Floats:
    """Skills (RESAMPLES,) of one loss against another on resampled blocks of consecutive rows; pairs stay together."""

    def skill(sums: Floats) -> Floats:
        return np.asarray(1 - sums[..., 0] / sums[..., 1])

    return resampled(np.stack([candidate, other], axis=1), skill, seed, block)


def resampled(values: Floats, figure: Callable[[Floats], Floats], seed: int, block: int = BLOCK) -> Floats:
    """What `figure` makes of the sums (…, k) of columns (n, k): RESAMPLES times, of blocks drawn with replacement.

    Few blocks tell little of how much blocks differ, and a bootstrap takes it for the truth. So each figure's distance
    from that of the whole is stretched by chance, as Student's t is where the normal distribution's width is a guess.
    """
    count, source = max(2, round(len(values) / block)), np.random.default_rng(seed)
    begins = np.linspace(0, len(values), count, endpoint=False).astype(int)  # equal blocks: a stub would count as one
    sums = np.add.reduceat(values, begins, axis=0)
    drawn = source.integers(0, count, size=(RESAMPLES, count))
    places = drawn + count * np.arange(RESAMPLES)[:, None]
    times = np.bincount(places.ravel(), minlength=places.size).reshape(places.shape)
    found, whole = figure(times.astype(np.float64) @ sums), figure(sums.sum(axis=0))
    wider = np.sqrt(count / source.chisquare(count - 1, size=RESAMPLES))
    return np.asarray(whole + (found - whole) * wider.reshape(-1, *(1,) * (found.ndim - 1)))


def interval(samples: Floats) -> Floats:
    """Where 95 % of bootstrapped figures (RESAMPLES, …) lie: the lower ends and the upper ones (2, …)."""
    return np.asarray(np.quantile(samples, [0.025, 0.975], axis=0))
