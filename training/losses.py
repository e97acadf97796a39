"""Pinball losses, and how sure one may be that one forecaster loses less than another."""

from typing import Final

import numpy as np

from btc.forecasts import LEVELS
from btc.minutes import Floats

BASIS_POINTS: Final = 1e4
BLOCK: Final = 360
"""Minutes a bootstrap block spans: six of the longest horizons."""
RESAMPLES: Final = 1000


def pinball(truth: Floats, quantiles: Floats) -> Floats:
    """Mean pinball loss (n,) over LEVELS of truth (n,) under quantiles (n, levels) (Koenker and Bassett 1978)."""
    levels = np.array(LEVELS)
    error = truth[:, None] - quantiles
    return np.asarray(np.maximum(levels * error, (levels - 1) * error).mean(axis=1))


def block_bootstrap(candidate: Floats, other: Floats, seed: int, block: int = BLOCK) -> Floats:
    """Skills (RESAMPLES,) of one loss against another on resampled blocks of consecutive rows; pairs stay together."""
    edges = np.arange(0, len(candidate), block)
    mine, theirs = np.add.reduceat(candidate, edges), np.add.reduceat(other, edges)
    drawn = np.random.default_rng(seed).integers(0, len(edges), size=(RESAMPLES, len(edges)))
    return np.asarray(1 - mine[drawn].sum(axis=1) / theirs[drawn].sum(axis=1))
