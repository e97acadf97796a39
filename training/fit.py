"""The final boosters, and the calibration that makes their levels true on rows they were not fitted on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from btc.forecasts import LEVELS
from btc.heads import Heads, predicted
from btc.minutes import Floats, Ints
from btc.nets import Net
from training import networks
from training.dataset import Dataset
from training.growth import Laplace, Pinball, Shards, booster_params, grow, modes
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


def fit(  # noqa: PLR0913 - what a fit takes
    dataset: Dataset,
    split: Split,
    tuned: Tuned,
    *,
    seed: int,
    threads: int,
    beside: Sequence[Dataset] = (),
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> dict[int, Heads]:
    """All heads of each horizon on the fit and validation rows, with the rounds and weights the search came to.

    The rows of the datasets `beside` are learnt from too; the lines are those of the market itself. Of each dataset
    ROWS rows are taken at the most, evenly spread.
    """
    views = _views(dataset, split.train, beside)
    matrix = Shards.of(views.features, views.total, threads)
    size_params = booster_params(SPREAD, matrix.tree_rows, seed, threads, device)
    params = booster_params(tuned.params, matrix.tree_rows, seed, threads, device)
    longer = (views.total / tuned.rows) ** LATER
    heads = {}
    for horizon, line in lines(dataset, split.train).items():
        target, start = views.targets(horizon), views.of(line)
        rounds = round(longer * tuned.spread_rounds[horizon])
        size = grow(size_params, matrix, Laplace(np.abs(target)), start=start, rounds=rounds)
        returns = target / np.exp(start + views.of(size))
        plain = shape(returns, horizon)
        ways = modes(plain)
        quantiles = grow(params, matrix, Pinball(returns, plain, ways), rounds=round(longer * tuned.rounds[horizon]))
        heads[horizon] = Heads(size, quantiles, line, plain, ways)
        say(f"trees of {horizon} min: {rounds} and {quantiles.num_boosted_rounds()}")
    if not any(tuned.weights.values()):
        return heads
    nets = _nets(views, heads, seed, say)
    return {horizon: head._replace(net=nets[horizon], weight=tuned.weights[horizon]) for horizon, head in heads.items()}


def renew(  # noqa: PLR0913 - what a fit takes
    dataset: Dataset,
    split: Split,
    heads: Mapping[int, Heads],
    *,
    seed: int,
    beside: Sequence[Dataset] = (),
    say: Callable[[str], None] = print,
) -> dict[int, Heads]:
    """The heads with networks that have learnt from the calibrating rows too, once these have served their purpose.

    The newest weeks tell most of those to come. What the calibration has learnt stays: it is of networks taught alike,
    and follows these from the first outcome on. The trees stay as well, they would take longer than all before.
    """
    if all(head.net is None for head in heads.values()):
        return dict(heads)
    nets = _nets(_views(dataset, split.learnt, beside), heads, seed, say)
    return {horizon: head._replace(net=nets[horizon]) for horizon, head in heads.items()}


def _nets(views: Views, heads: Mapping[int, Heads], seed: int, say: Callable[[str], None]) -> dict[int, Net]:
    plains = {horizon: Plain(head.line, head.shape, head.modes) for horizon, head in heads.items()}
    return networks.taught(views, plains, seed, say)


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
