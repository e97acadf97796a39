"""The final boosters, and the calibration that makes their levels true on rows they were not fitted on."""

from collections.abc import Mapping

import numpy as np

from btc.forecasts import LEVELS
from btc.minutes import Floats
from btc.models import Heads, spread, standardised
from training.dataset import Dataset
from training.growth import Laplace, Pinball, booster_params, grow, modes, quantised
from training.plain import at, lines, shape, share
from training.split import Split
from training.tune import SPREAD, Tuned


def fit(dataset: Dataset, split: Split, tuned: Tuned, *, seed: int, threads: int) -> dict[int, Heads]:
    """Both heads of each horizon on the fit and validation rows, with the rounds the search came to."""
    matrix = quantised(dataset.matrix[split.train], threads)
    size_params = booster_params(SPREAD, len(split.train), seed, threads)
    params = booster_params(tuned.params, len(split.train), seed, threads)
    heads = {}
    for horizon, line in lines(dataset, split.train).items():
        target = dataset.targets[horizon][split.train]
        start = at(line, dataset.matrix, split.train)
        size = grow(size_params, matrix, Laplace(np.abs(target)), start=start, rounds=tuned.spread_rounds[horizon])
        returns = target / np.exp(start + at(size, dataset.matrix, split.train))
        plain = shape(returns, horizon)
        ways = modes(plain)
        quantiles = grow(params, matrix, Pinball(returns, plain, ways), rounds=tuned.rounds[horizon])
        heads[horizon] = Heads(size, quantiles, line, plain, ways)
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
