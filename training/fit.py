"""The final boosters, and the calibration that makes their levels true on rows they were not fitted on."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import xgboost as xgb

from btc.forecasts import LEVELS
from btc.minutes import Floats
from btc.models import Heads, raw, spread
from training.dataset import Dataset
from training.split import Split
from training.tune import Tuned, booster_params, label, log_size, quantised, spread_params

INDEPENDENT: Final = 200
"""Calibration rows that do not overlap at which an offset counts half: fewer tell more of luck than of error."""


def fit(dataset: Dataset, split: Split, tuned: Tuned, *, seed: int, threads: int) -> dict[int, Heads]:
    """Both heads of each horizon on the fit and validation rows, with the rounds the search stopped at."""
    rows = dataset.matrix[split.train]
    matrix = quantised(rows, threads)
    heads = {}
    for horizon, targets in dataset.targets.items():
        target = targets[split.train]
        label(matrix, log_size(target))
        size = xgb.train(spread_params(len(rows), seed, threads), matrix, tuned.spread_rounds[horizon])
        label(matrix, target / spread(size, rows)[:, 0])
        quantiles = xgb.train(booster_params(tuned.params, len(rows), seed, threads), matrix, tuned.rounds[horizon])
        heads[horizon] = Heads(size, quantiles)
    return heads


def calibrate(dataset: Dataset, split: Split, heads: Mapping[int, Heads]) -> dict[int, Floats]:
    """Split-conformal offsets (levels,) by horizon, in units of the spread, added to the quantile head's.

    At level p it is the p-quantile of what the truth was above the predicted quantile (Romano, Patterson, Candès 2019,
    one-sided at each level), shrunk by n/(n + INDEPENDENT) where n counts the horizons that fit into the rows.
    """
    offsets = {}
    for horizon, (size, quantiles) in heads.items():
        target = dataset.targets[horizon]
        known = split.calibrate[np.isfinite(target[split.calibrate])]
        rows = dataset.matrix[known]
        truth = target[known] / spread(size, rows)[:, 0]
        above = truth[:, None] - np.sort(raw(quantiles, rows), axis=1)
        independent = len(known) / horizon
        needed = np.array([np.quantile(above[:, column], level) for column, level in enumerate(LEVELS)])
        offsets[horizon] = needed * (independent / (independent + INDEPENDENT))
    return offsets
