"""The final boosters, and the calibration that makes their levels true on rows they were not fitted on."""

from collections.abc import Mapping

import numpy as np
import xgboost as xgb

from btc.features import Floats
from btc.forecasts import LEVELS
from btc.models import raw
from training.dataset import Dataset
from training.split import Split
from training.tune import Tuned, booster_params, label, quantised

INDEPENDENT: int = 200
"""Calibration rows that do not overlap at which an offset counts half: fewer tell more of luck than of error."""


def fit(dataset: Dataset, split: Split, tuned: Tuned, *, seed: int, threads: int) -> dict[int, xgb.Booster]:
    """One booster a horizon on the fit and validation rows, with the rounds the search stopped at."""
    matrix = quantised(dataset.matrix[split.train], threads)
    params = booster_params(tuned.params, len(split.train), seed, threads)
    boosters = {}
    for horizon, target in dataset.targets.items():
        label(matrix, target[split.train])
        boosters[horizon] = xgb.train(params, matrix, tuned.rounds[horizon])
    return boosters


def calibrate(dataset: Dataset, split: Split, boosters: Mapping[int, xgb.Booster]) -> dict[int, Floats]:
    """Split-conformal offsets (levels,) by horizon, in scaled units, added to the booster's quantiles.

    At level p it is the p-quantile of what the truth was above the predicted quantile (Romano, Patterson, Candès 2019,
    one-sided at each level), shrunk by n/(n + INDEPENDENT) where n counts the horizons that fit into the rows.
    """
    offsets = {}
    for horizon, booster in boosters.items():
        truth = dataset.targets[horizon][split.calibrate]
        known = np.isfinite(truth)
        above = truth[known, None] - np.sort(raw(booster, dataset.matrix[split.calibrate[known]]), axis=1)
        independent = known.sum() / horizon
        needed = np.array([np.quantile(above[:, column], level) for column, level in enumerate(LEVELS)])
        offsets[horizon] = needed * (independent / (independent + INDEPENDENT))
    return offsets
