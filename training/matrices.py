"""The rows of a fold as every trial, horizon and head of a search shares them: quantised once.

All of them tell how good a set of hyperparameters is and how many rounds it takes; a few are for a heat, which tells
sooner whether that is worth asking. Both are judged on the same validation rows.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import numpy as np
import xgboost as xgb

from btc.baselines import empirical
from btc.heads import Heads
from btc.minutes import Floats, Ints
from btc.nets import mean_outputs
from btc.times import MINUTE
from training import networks
from training.dataset import Dataset
from training.growth import FINE, Laplace, Pinball, Shards, Singles, booster_params, grow, modes
from training.losses import pinball
from training.networks import Plain
from training.plain import distinct, lines, shape, share
from training.split import EMBARGO, Fold
from training.views import View, Views

BLOCK: Final = 120
"""Validation rows whose losses are averaged before their error is estimated: two of the longest horizons."""
ROWS: Final = 160_000
"""Rows of each dataset, evenly spread, that a trial learns from: the final boosters take more, see `fit.ROWS`."""
FEWER: Final = 4
"""In a heat it learns from one in so many of those and their mirror images."""
FEW_AT_ONCE: Final = 40_000
"""Rows that a tree of a heat learns from, about."""
WEIGHT: Final = 0.8
"""The share of networks that have shown what they learn; trees have the rest."""
UNSHOWN: Final = 0.25
"""That of those that have not: the mean of two that err is often better than either, though one errs more."""
SHORTER: Final = 0.5
"""Of the rounds that quantiles of the next shorter horizon take: what is believed before validation rows tell more."""
SPREAD: Final[Mapping[str, float]] = {
    "eta": 0.06,
    "max_depth": 4,
    "min_child_share": 0.001,
    "subsample": 0.5,
    "colsample_bytree": 0.5,
    "lambda": 50.0,
}
"""The recipe of the spread heads, which take seconds and are not searched for."""


class Task(NamedTuple):
    """What the quantile heads of a horizon are grown on."""

    spread: xgb.Booster
    fit: Pinball
    validate: Pinball
    weight: Floats
    """Of each validation row's loss: in basis points of the price, as the test weighs it, wild times count for more."""
    flat: float
    """What constant quantiles of the scaled return lose on them."""


class Matrices:
    """A fold's quantised rows: built once, for every trial, horizon and head; trials may read it at a time."""

    def __init__(
        self, dataset: Dataset, fold: Fold, beside: Sequence[Dataset] = (), *, seed: int, threads: int
    ) -> None:
        """`beside` are datasets to learn from too, as far as they end before the validation rows."""
        until = int(dataset.minutes.start[fold.validate[0]]) - EMBARGO * MINUTE
        sources = [(dataset, fold.fit), *((each, each.ended(until)) for each in beside)]
        sources = [(each, rows) for each, rows in sources if len(rows)]
        self.dataset, self.number = dataset, distinct(sources)
        self.fit = Views.of_both(*((each, thinned(rows, ROWS)) for each, rows in sources))
        self.validate = View(dataset, thinned(fold.validate, ROWS // 4))
        self.fit_matrix = Shards.of(self.fit.features, self.fit.total, threads)
        judged = len(self.validate.rows)
        self.validate_matrix = Shards.of(self.validate.features, judged, threads, self.fit_matrix, shard=judged)
        self.few_matrix = self._few(threads)
        self.lines = lines(*sources[0], sources[1:])
        params = booster_params(SPREAD, self.fit_matrix.tree_rows, seed, 1)
        with ThreadPoolExecutor(threads) as pool:  # several on a thread each wait less for each other than one on all
            spreads = list(pool.map(lambda horizon: self._spread(horizon, params), dataset.targets))
        self.tasks = {
            horizon: self._task(horizon, *found) for horizon, found in zip(dataset.targets, spreads, strict=True)
        }

    def tree_rows(self, *, few: bool) -> int:
        return (self.few_matrix if few else self.fit_matrix).tree_rows

    def heads(
        self, horizon: int, params: dict[str, Any], *, few: bool = False, shorter: Callable[[], int] = lambda: 0
    ) -> Heads:
        """The heads of a horizon grown on the fit rows or few of them, with these parameters for the quantiles.

        `shorter` tells the rounds of the next shorter horizon; it is asked last, for it may have to wait for them.
        """
        task = self.tasks[horizon]
        learnt = (self.few_matrix, task.fit.part(slice(None, None, FEWER))) if few else (self.fit_matrix, task.fit)
        booster = self._grow(params, horizon, learnt, task.validate, shorter)
        return Heads(task.spread, booster, self.lines[horizon], task.fit.shape, task.fit.modes)

    def skill(self, horizon: int, heads: Heads) -> float:
        """Validation skill against constant quantiles of the scaled return."""
        task = self.tasks[horizon]
        lost = task.validate.losses(heads.quantiles.inplace_predict(self.validate.features(slice(None))))
        return float(1 - np.nansum(task.weight * lost) / task.flat)

    def weights(self, seed: int, threads: int, say: Callable[[str], None]) -> dict[int, float]:
        """The networks' share by horizon: from UNSHOWN as far to WEIGHT as some that learn from the fit rows earn it on
        the others; less of either from few rows.
        """
        plains = {}
        for horizon, line in self.lines.items():
            plain = shape(self.fit.targets(horizon) / np.exp(self.fit.of(line)), horizon)
            plains[horizon] = Plain(line, plain, modes(plain, FINE))
        found = {}
        for horizon, nets in networks.taught(self.fit, plains, seed, threads, say).items():
            line, plain, ways = plains[horizon]
            truth = self.validate.targets(horizon) / np.exp(self.validate.of(line))
            outputs = mean_outputs(nets, self.validate.features(slice(None)))
            moved = np.sort(plain + outputs[:, 1:] @ ways, axis=1) * np.exp(outputs[:, :1])
            gain = pinball(truth, plain[None, :]) - pinball(truth, moved)
            enough = share(self.number, horizon)
            unshown = enough * UNSHOWN  # what few rows teach and nothing shows counts least
            found[horizon] = enough * (unshown + (WEIGHT - unshown) * trust(gain))
        say("networks' share: " + ", ".join(f"{horizon} min {weight:.0%}" for horizon, weight in found.items()))
        return found

    def _few(self, threads: int) -> Shards:
        def take(part: slice) -> Singles:
            return self.fit.features(slice(FEWER * part.start, None, FEWER * part.step))

        total = len(range(0, self.fit.total, FEWER))
        return Shards.of(take, total, threads, self.fit_matrix, shard=FEW_AT_ONCE)

    def _spread(self, horizon: int, params: dict[str, Any]) -> tuple[xgb.Booster, list[Floats]]:
        """The spread head, grown on what the line leaves, and the sizes (n,) to expect on the rows of fit and validate.

        Beginning with the line would be to begin with each return over what the line says: the slopes are the same.
        """
        parts: tuple[View | Views, ...] = (self.fit, self.validate)
        told = [np.exp(part.of(self.lines[horizon])) for part in parts]
        fit, validate = (Laplace(np.abs(part.targets(horizon)) / size) for part, size in zip(parts, told, strict=True))
        spread = self._grow(params, horizon, (self.fit_matrix, fit), validate)
        return spread, [size * np.exp(part.of(spread)) for part, size in zip(parts, told, strict=True)]

    def _task(self, horizon: int, spread: xgb.Booster, sizes: Sequence[Floats]) -> Task:
        targets = [part.targets(horizon) for part in (self.fit, self.validate)]
        learnt, judged = (target / size for target, size in zip(targets, sizes, strict=True))
        plain, scale = shape(learnt, horizon), self.dataset.scale[self.validate.rows]
        ways = modes(plain)
        flat = float(np.nansum(scale * pinball(targets[1], empirical(targets[0])[None, :])))
        return Task(spread, Pinball(learnt, plain, ways), Pinball(judged, plain, ways), scale * sizes[1], flat)

    def _grow(
        self,
        params: dict[str, Any],
        horizon: int,
        learnt: tuple[Shards, Laplace | Pinball],
        validate: Laplace | Pinball,
        shorter: Callable[[], int] = lambda: 0,
    ) -> xgb.Booster:
        """A booster of so many rounds: from SHORTER of the `shorter` horizon's as far to those that served the
        validation rows best as the gain of these warrants; of either the fewer, the fewer rows there are.

        Where no gain is to be seen, nothing is heard of the validation rows: over a few days harm is as likely luck.
        """
        booster = grow(params, *learnt, validation=(self.validate_matrix, validate))
        best = booster[: booster.best_iteration + 1]
        added = best.inplace_predict(self.validate.features(slice(None)))
        gain = trust(validate.losses(np.zeros_like(added)) - validate.losses(added))
        served = gain * best.num_boosted_rounds() + (1 - gain) * SHORTER * shorter()
        rounds = round(share(self.number, horizon) * served)
        grown = 0 < rounds <= booster.num_boosted_rounds()
        return booster[:rounds] if grown else grow(params, *learnt, rounds=rounds)


def trust(gains: Floats) -> float:
    """How much of a gain is more than luck, 0 … 1: 1 - (standard error / mean)² of its blocks, where that is positive.

    It is the factor by which James and Stein (1961) shrink an estimate; consecutive rows (n,) share their future, so
    that blocks of them are compared; NaN where the future is unknown.
    """
    known = gains[np.isfinite(gains)]
    edges = np.arange(0, len(known), BLOCK)
    blocks = np.add.reduceat(known, edges) / np.diff(np.append(edges, len(known)))
    mean, error = float(known.mean()), float(blocks.std(ddof=1) / len(blocks) ** 0.5)
    return max(0.0, 1 - (error / mean) ** 2) if mean > 0 else 0.0


def thinned(rows: Ints, most: int) -> Ints:
    """Every so manieth row, so that at most so many are left."""
    return rows[:: -(-len(rows) // most)]
