"""The search for hyperparameters on recorded minutes, against the same through scikit-learn's interface.

Both try the same trials on the same rows, rounds, patience and objective (the pinball loss over all levels), on two
cores: ours two trials at a time on quantised matrices that they share, the rival as a notebook does it, one
XGBRegressor after the other, each with a DMatrix of its own and two threads. Ours learns from each row's mirror image
besides. Skill is that of the best trial on the same validation rows, as the search itself reckons it.
"""

import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import xgboost as xgb

from btc.baselines import empirical
from btc.forecasts import LEVELS
from btc.minutes import Floats
from tests.bench.measure import Row
from tests.bench.recordings import BARS
from training import dataset, split
from training.dataset import Dataset
from training.growth import MAX_BIN, MAX_ROUNDS, PATIENCE, booster_params
from training.losses import pinball
from training.split import Fold
from training.tune import FIRST, Matrices, thinned

HORIZON = 5
FIT, JUDGED = 40_000, 10_000
THREADS = 2
TEST_FROM = np.datetime64("2019-01-01", "us").astype(int)
TRIALS = ({}, {"eta": 0.06})
"""What each changes of the first recipe."""

Found = list[tuple[int, float]]
"""Rounds and validation skill of every trial."""


def market() -> tuple[Dataset, Fold]:
    """The recorded bars before the test with one horizon, and rows of them, evenly spread."""
    data = dataset.load(BARS)
    [fold] = split.folds(data, split.split(data, int(TEST_FROM)), 1)
    data = replace(data, targets={HORIZON: data.targets[HORIZON]})
    return data, Fold(thinned(fold.fit, FIT), thinned(fold.validate, JUDGED))


def ours(data: Dataset, fold: Fold) -> Found:
    matrices = Matrices(data, fold, seed=7, threads=THREADS)

    def tried(changed: dict[str, float]) -> tuple[int, float]:
        params = booster_params({**FIRST, **changed}, matrices.fit_matrix.tree_rows, 7, 1)
        heads = matrices.heads(HORIZON, params)
        return heads.quantiles.num_boosted_rounds(), matrices.skill(HORIZON, heads)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(tried, TRIALS))


def sklearn(data: Dataset, fold: Fold) -> Found:
    target = data.targets[HORIZON]
    fit, judged = (part[np.isfinite(target[part])] for part in (fold.fit, fold.validate))
    found = []
    for changed in TRIALS:
        told: dict[str, Any] = {**FIRST, **changed}
        model = xgb.XGBRegressor(
            objective="reg:quantileerror",
            quantile_alpha=list(LEVELS),
            n_estimators=MAX_ROUNDS,
            learning_rate=told["eta"],
            reg_lambda=told["lambda"],
            min_child_weight=booster_params(told, len(fit), 7, THREADS)["min_child_weight"],
            max_bin=MAX_BIN,
            random_state=7,
            n_jobs=THREADS,
            early_stopping_rounds=PATIENCE,
            **{name: told[name] for name in ("max_depth", "subsample", "colsample_bytree")},
        )
        model.fit(data.matrix[fit], target[fit], eval_set=[(data.matrix[judged], target[judged])], verbose=False)
        quantiles = np.sort(model.predict(data.matrix[judged]), axis=1)
        found.append((model.best_iteration + 1, skill(target[fit], target[judged], quantiles, data.scale[judged])))
    return found


def skill(learnt: Floats, truth: Floats, quantiles: Floats, weight: Floats) -> float:
    """As `Matrices.skill`, of any quantiles."""
    flat = empirical(learnt)[None, :]
    return float(1 - weight @ pinball(truth, quantiles) / (weight @ pinball(truth, flat)))


def timed(work: Callable[[], Found]) -> tuple[Found, float, float]:
    """What it found, and the seconds it took, by the clock and of CPU."""
    clocks = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - clocks[0], time.process_time() - clocks[1]


def rows() -> list[Row]:
    if not BARS.is_dir():
        print(f"search_vs_sklearn was not measured: there are no recorded bars at {BARS}")
        return []
    data, fold = market()
    found, seconds, cpu = timed(lambda: ours(data, fold))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    usual, waited, spent = timed(lambda: sklearn(data, fold))
    what = f"{len(TRIALS)} trials, {len(fold.fit)} rows, {told(found)}"
    against = f"XGBRegressor, a DMatrix a trial: {told(usual)}"
    return [
        Row("search_vs_sklearn", seconds, f"s on {THREADS} cores, {what}", against, waited / seconds),
        Row("search_vs_sklearn_cpu", cpu, "s of CPU", "the same", spent / cpu),
        Row("search_peak_mb", peak, "MB of the whole process, all minutes' features among them", "", None),
    ]


def told(found: Found) -> str:
    rounds, best = np.mean([each for each, _ in found]), max(each for _, each in found)
    return f"{rounds:.0f} rounds, skill {best:.4f}"
