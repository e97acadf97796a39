"""The final boosters, and the calibration that makes their levels true on rows they were not fitted on."""

from collections.abc import Mapping

import numpy as np
import xgboost as xgb

from btc.forecasts import LEVELS
from btc.minutes import Floats
from btc.models import Heads, spread, standardised
from training.dataset import Dataset
from training.plain import lines, log_size, shape, share
from training.split import Split
from training.tune import Tuned, booster_params, label, quantised, spread_params


def fit(dataset: Dataset, split: Split, tuned: Tuned, *, seed: int, threads: int) -> dict[int, Heads]:
    """Both heads of each horizon on the fit and validation rows, with the rounds the search came to."""
    rows = dataset.matrix[split.train]
    matrix = quantised(rows, threads)
    size_params = spread_params(len(rows), seed, threads)
    params = booster_params(tuned.params, len(rows), seed, threads)
    heads = {}
    for horizon, line in lines(dataset, split.train).items():
        target = dataset.targets[horizon][split.train]
        label(matrix, log_size(target) - line.at(rows))
        size = xgb.train(size_params, matrix, tuned.spread_rounds[horizon])
        returns = target / np.exp(line.at(rows) + size.inplace_predict(rows))
        plain = shape(returns, horizon)
        label(matrix, returns, plain)
        heads[horizon] = Heads(size, xgb.train(params, matrix, tuned.rounds[horizon]), line, plain)
    return heads


def calibrate(dataset: Dataset, split: Split, heads: Mapping[int, Heads]) -> dict[int, Floats]:
    """Split-conformal offsets (levels,) by horizon, in units of the spread, added to the quantile head's.

    At level p it is the p-quantile of what the truth was above the predicted quantile (Romano, Patterson, Candès 2019,
    one-sided at each level), shrunk by `share` as every estimate from few rows is.
    """
    offsets = {}
    for horizon, head in heads.items():
        target = dataset.targets[horizon]
        known = split.calibrate[np.isfinite(target[split.calibrate])]
        rows = dataset.matrix[known]
        truth = target[known] / spread(head, rows)[:, 0]
        above = truth[:, None] - np.sort(standardised(head, rows), axis=1)
        needed = np.array([np.quantile(above[:, column], level) for column, level in enumerate(LEVELS)])
        offsets[horizon] = needed * share(len(known), horizon)
    return offsets
