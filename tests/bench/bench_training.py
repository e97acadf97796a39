"""Training: the feature matrix against the same columns in pandas, the search against scikit-learn's interface."""

import resource
import time
from typing import Any

import numpy as np
import xgboost as xgb

from btc import features
from btc.forecasts import LEVELS
from btc.minutes import Floats
from tests.bench.measure import Row, best_seconds
from tests.model import rolling
from tests.model.walks import walk
from training.growth import MAX_BIN, MAX_ROUNDS, PATIENCE, Pinball, Shards, booster_params, grow, modes
from training.losses import pinball
from training.tune import FIRST

DAYS = 60
THREADS = 2
FIT, JUDGED = 20_000, 6_000
HORIZONS = 1
TRIALS = ({"eta": 0.06},)
"""What each trial changes of the first recipe: the fastest that the search tries, for the rival's sake."""

Found = list[tuple[int, float]]
"""Rounds and validation loss of every trial and horizon."""


def market() -> tuple[np.ndarray, list[Floats]]:
    """Rows of features, and a target a horizon: its width hangs on three features, its middle on two, a little."""
    source = np.random.default_rng(7)
    rows = source.normal(size=(FIT + JUDGED, len(features.NAMES))).astype(np.float32)
    targets = []
    for number in range(HORIZONS):
        width = np.exp(0.3 * rows[:, number] + 0.2 * np.abs(rows[:, 10]) * np.sign(rows[:, 11]))
        middle = 0.1 * np.tanh(rows[:, 20 + number] + rows[:, 30])
        targets.append(width * (middle + source.standard_t(4, size=len(rows))))
    return rows, targets


def ours(rows: np.ndarray, targets: list[Floats]) -> Found:
    """Every trial and horizon on the same quantised matrices, the quantiles in modes."""
    fit = Shards.of(lambda part: rows[:FIT][part], FIT, 2)
    judged = Shards.of(lambda part: rows[FIT:][part], JUDGED, 2, fit)
    found = []
    for changed in TRIALS:
        params = booster_params({**FIRST, **changed}, fit.tree_rows, 7, 2)
        for target in targets:
            shape = np.quantile(target[:FIT], LEVELS)
            ways = modes(shape)
            judge = Pinball(target[FIT:], shape, ways)
            booster = grow(params, fit, Pinball(target[:FIT], shape, ways), validation=(judged, judge, None))
            best = booster[: booster.best_iteration + 1]
            found.append((booster.num_boosted_rounds(), float(judge.losses(best.inplace_predict(rows[FIT:])).mean())))
    return found


def sklearn(rows: np.ndarray, targets: list[Floats]) -> Found:
    """The same rows and parameters through XGBRegressor as a notebook does it: a DMatrix a trial, a tree a quantile."""
    found = []
    for changed in TRIALS:
        told: dict[str, Any] = {**FIRST, **changed}
        weight = booster_params(told, FIT, 7, 2)["min_child_weight"]
        known = {name: told[name] for name in ("max_depth", "subsample", "colsample_bytree")}
        for target in targets:
            model = xgb.XGBRegressor(
                objective="reg:quantileerror",
                quantile_alpha=list(LEVELS),
                n_estimators=MAX_ROUNDS,
                learning_rate=told["eta"],
                reg_lambda=told["lambda"],
                min_child_weight=weight,
                max_bin=MAX_BIN,
                random_state=7,
                n_jobs=2,
                early_stopping_rounds=PATIENCE,
                **known,
            )
            model.fit(rows[:FIT], target[:FIT], eval_set=[(rows[FIT:], target[FIT:])], verbose=False)
            loss = pinball(target[FIT:], np.sort(model.predict(rows[FIT:]), axis=1)).mean()
            found.append((model.best_iteration + PATIENCE, float(loss)))
    return found


def rows() -> list[Row]:
    minutes = walk(DAYS * 1440, seed=3)
    matrix, pandas = best_seconds(lambda: features.matrix(minutes), lambda: rolling.features(minutes))
    threaded, waited = best_seconds(
        lambda: features.matrix(minutes, THREADS), lambda: rolling.features(minutes), clock=time.perf_counter
    )
    made, targets = market()
    told: dict[str, Found] = {}
    search, rival = best_seconds(
        lambda: told.update(ours=ours(made, targets)), lambda: told.update(rival=sklearn(made, targets)), rounds=1
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    boosters = len(TRIALS) * HORIZONS
    rounds = {name: round(float(np.mean([each for each, _ in found]))) for name, found in told.items()}
    losses = {name: float(np.mean([loss for _, loss in found])) for name, found in told.items()}
    return [
        Row("features_vs_pandas", 1e6 * matrix / len(minutes), "µs of CPU a minute", "pandas rolling", pandas / matrix),
        Row(
            "features_vs_pandas_wall",
            1e6 * threaded / len(minutes),
            f"µs a minute, {THREADS} threads",
            "pandas rolling",
            waited / threaded,
        ),
        Row(
            "search_vs_sklearn",
            search,
            f"s of CPU, {len(TRIALS)} trials × {HORIZONS} horizons, {FIT} rows, {rounds['ours']} rounds, "
            f"loss {losses['ours']:.4f}",
            f"XGBRegressor, a DMatrix a trial: {rounds['rival']} rounds, loss {losses['rival']:.4f}",
            rival / search,
        ),
        Row("search_peak_mb", peak, f"MB of the whole process, {boosters} boosters", "", None),
    ]
