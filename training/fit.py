"""The final boosters, and the calibration that makes their levels true on rows they were not fitted on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from btc.forecasts import LEVELS
from btc.heads import Heads, predicted
from btc.minutes import Floats, Ints
from btc.models import Taught
from btc.nets import Net
from training import baselines, issue, networks
from training.dataset import Dataset
from training.growth import FINE, Laplace, Pinball, Shards, booster_params, grow, modes
from training.matrices import SPREAD, thinned
from training.networks import Plain
from training.plain import lines, shape, share
from training.split import Split
from training.tune import Tuned
from training.views import Views

ROWS: Final = 1_200_000
"""Rows of each dataset, evenly spread, that are learnt from at the most: what fits into 4 GB."""
LATER: Final = 0.2
"""With twice the rows of the search a booster stops at 2 ** LATER times the rounds: it overfits later."""


@dataclass(frozen=True)
class Means:
    """What a training works with."""

    seed: int
    threads: int
    device: str = "cpu"
    """Where trees grow."""
    say: Callable[[str], None] = print


def taught(dataset: Dataset, split: Split, tuned: Tuned, means: Means, beside: Sequence[Dataset] = ()) -> Taught:
    """All that a training leaves of a model, from the rows before the test and those of the datasets `beside`."""
    heads = fit(dataset, split, tuned, means, beside)
    offsets = calibrate(dataset, split, heads)
    rolling = issue.rolling(dataset, split, heads, offsets)
    rivals = {horizon: baselines.har(dataset.minutes, split.learnt, horizon) for horizon in heads}
    return Taught(renew(dataset, split, heads, means, beside), offsets, rolling, rivals)


def fit(dataset: Dataset, split: Split, tuned: Tuned, means: Means, beside: Sequence[Dataset] = ()) -> dict[int, Heads]:
    """All heads of each horizon on the fit and validation rows, with the rounds and weights the search came to.

    The rows of the datasets `beside` are learnt from too. Of each dataset trees and networks take ROWS rows at the
    most, evenly spread.
    """
    views = _views(dataset, split.train, beside)
    matrix = Shards.of(views.features, views.total, means.threads)
    size_params, params = (
        booster_params(each, matrix.tree_rows, means.seed, means.threads, means.device)
        for each in (SPREAD, tuned.params)
    )
    longer = (views.total / tuned.rows) ** LATER
    heads = {}
    for horizon, line in lines(dataset, split.train, [(each, each.rows) for each in beside]).items():
        target, start = views.targets(horizon), views.of(line)
        rounds = round(longer * tuned.spread_rounds[horizon])
        size = grow(size_params, matrix, Laplace(np.abs(target)), start=start, rounds=rounds)
        returns = target / np.exp(start + views.of(size))
        plain = shape(returns, horizon)
        quantiles = grow(
            params, matrix, Pinball(returns, plain, modes(plain)), rounds=round(longer * tuned.rounds[horizon])
        )
        heads[horizon] = Heads(size, quantiles, line, plain, modes(plain, FINE))
        means.say(f"trees of {horizon} min: {rounds} and {quantiles.num_boosted_rounds()}")
    nets = _nets(views, heads, means)
    return {
        horizon: head._replace(nets=nets[horizon], weight=tuned.weights[horizon]) for horizon, head in heads.items()
    }


def renew(
    dataset: Dataset, split: Split, heads: Mapping[int, Heads], means: Means, beside: Sequence[Dataset] = ()
) -> dict[int, Heads]:
    """The heads with networks that have learnt from the calibrating rows too, once these have served their purpose.

    The newest weeks tell most of those to come. What the calibration has learnt stays: it is of networks taught alike,
    and follows these from the first outcome on. The trees stay as well, they would take longer than all before.
    """
    nets = _nets(_views(dataset, split.learnt, beside), heads, means)
    return {horizon: head._replace(nets=nets[horizon]) for horizon, head in heads.items()}


def _nets(views: Views, heads: Mapping[int, Heads], means: Means) -> dict[int, tuple[Net, ...]]:
    plains = {horizon: Plain(head.line, head.shape, head.modes) for horizon, head in heads.items()}
    return networks.taught(views, plains, means.seed, means.threads, means.say)


def _views(dataset: Dataset, rows: Ints, beside: Sequence[Dataset]) -> Views:
    sources = [(dataset, rows), *((each, each.rows) for each in beside)]
    return Views.of_both(*((each, thinned(chosen, ROWS)) for each, chosen in sources))


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
        quantiles, size = predicted(head, rows)
        above = target[known, None] / size - np.sort(quantiles, axis=1)
        needed = np.array([np.quantile(above[:, column], level) for column, level in enumerate(LEVELS)])
        offsets[horizon] = needed * share(len(known), horizon)
    return offsets
