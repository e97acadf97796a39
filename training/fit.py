"""The final boosters, and the calibration that makes their levels true on rows they were not fitted on."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import xgboost as xgb

from btc.forecasts import LEVELS
from btc.minutes import Floats, Ints
from btc.models import Heads, Line, spread, standardised
from training.dataset import Dataset
from training.growth import Laplace, Pinball, Shards, Singles, booster_params, grow, modes
from training.plain import at, lines, shape, share
from training.split import Split
from training.tune import SPREAD, Tuned, thinned

ROWS: Final = 1_200_000
"""Rows of each dataset, evenly spread, that the boosters learn from at the most: what fits into 4 GB."""
LATER: Final = 0.2
"""With twice the rows of the search a booster stops at 2 ** LATER times the rounds: it overfits later."""


def fit(  # noqa: PLR0913 - what a fit takes
    dataset: Dataset,
    split: Split,
    tuned: Tuned,
    *,
    seed: int,
    threads: int,
    beside: Sequence[Dataset] = (),
    device: str = "cpu",
) -> dict[int, Heads]:
    """Both heads of each horizon on the fit and validation rows, with the rounds the search came to.

    The rows of the datasets `beside` are learnt from too; the lines are those of the market itself. Of each dataset
    ROWS rows are taken at the most, evenly spread.
    """
    sources = [(each, thinned(rows, ROWS)) for each, rows in ((dataset, split.train), *((b, b.rows) for b in beside))]
    matrix = Shards.of(lambda part: taken(sources, part), sum(len(rows) for _, rows in sources), threads)
    size_params = booster_params(SPREAD, matrix.tree_rows, seed, threads, device)
    params = booster_params(tuned.params, matrix.tree_rows, seed, threads, device)
    longer = (matrix.num_row() / tuned.rows) ** LATER

    def of_all(head: Line | xgb.Booster) -> Floats:
        return np.concatenate([at(head, each.matrix, rows) for each, rows in sources])

    heads = {}
    for horizon, line in lines(dataset, split.train).items():
        target = np.concatenate([each.targets[horizon][rows] for each, rows in sources])
        start = of_all(line)
        rounds = round(longer * tuned.spread_rounds[horizon])
        size = grow(size_params, matrix, Laplace(np.abs(target)), start=start, rounds=rounds)
        returns = target / np.exp(start + of_all(size))
        plain = shape(returns, horizon)
        ways = modes(plain)
        quantiles = grow(params, matrix, Pinball(returns, plain, ways), rounds=round(longer * tuned.rounds[horizon]))
        heads[horizon] = Heads(size, quantiles, line, plain, ways)
    return heads


def taken(sources: Sequence[tuple[Dataset, Ints]], part: slice) -> Singles:
    """Features (n, features) of some of the sources' rows, as those of one source after the other."""
    found, before = [], 0
    for dataset, rows in sources:
        found.append(dataset.matrix[rows[(part.start - before) % (part.step or 1) :: part.step]])
        before += len(rows)
    return np.concatenate(found)


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
