"""Pinball losses, and how sure one may be that one forecaster loses less than another."""

from collections.abc import Mapping
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
    mine, theirs = resampled(np.stack([candidate, other], axis=1), seed, block).T
    return np.asarray(1 - mine / theirs)


def resampled(values: Floats, seed: int, block: int = BLOCK) -> Floats:
    """Sums (RESAMPLES, k) of columns (n, k) over as many blocks of consecutive rows, drawn with replacement."""
    sums = np.add.reduceat(values, np.arange(0, len(values), block), axis=0)
    drawn = np.random.default_rng(seed).integers(0, len(sums), size=(RESAMPLES, len(sums)))
    places = drawn + len(sums) * np.arange(RESAMPLES)[:, None]
    times = np.bincount(places.ravel(), minlength=places.size).reshape(places.shape)
    return np.asarray(times.astype(np.float64) @ sums)


def interval(samples: Floats) -> Floats:
    """Where 95 % of bootstrapped figures (RESAMPLES, …) lie: the lower ends and the upper ones (2, …)."""
    return np.asarray(np.quantile(samples, [0.025, 0.975], axis=0))
