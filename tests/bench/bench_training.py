"""Training: the feature matrix against the same columns in pandas, the search against scikit-learn's interface."""

import time

import numpy as np
import xgboost as xgb

from btc import features
from btc.forecasts import LEVELS
from btc.minutes import Floats
from tests.bench.measure import Row, best_seconds
from tests.model import rolling
from tests.model.walks import walk
from training.growth import MAX_BIN, Pinball, booster_params, grow, modes, quantised
from training.tune import FIRST

DAYS = 60
THREADS = 2
ROWS = 8_000
HORIZONS = 4
TRIALS = 1
ROUNDS = 10


def market() -> tuple[np.ndarray, list[Floats]]:
    """Rows of features, and a target a horizon."""
    source = np.random.default_rng(7)
    rows = source.normal(size=(ROWS, len(features.NAMES))).astype(np.float32)
    return rows, [source.normal(size=ROWS) * np.exp(0.3 * rows[:, number]) for number in range(HORIZONS)]


def ours(rows: np.ndarray, targets: list[Floats]) -> None:
    """Every trial and horizon on one quantised matrix, the quantiles in modes."""
    cut = 3 * ROWS // 4
    fit = quantised(rows[:cut], 2)
    validate = quantised(rows[cut:], 2, fit)
    for trial in range(TRIALS):
        params = booster_params(FIRST, cut, trial, 2)
        for target in targets:
            shape = np.quantile(target, LEVELS)
            ways = modes(shape)
            judge = (validate, Pinball(target[cut:], shape, ways), None)
            grow(params, fit, Pinball(target[:cut], shape, ways), rounds=ROUNDS, validation=judge)


def sklearn(rows: np.ndarray, targets: list[Floats]) -> None:
    """The same number of trees of the same size for each quantile, as a notebook searches for them."""
    cut = 3 * ROWS // 4
    for trial in range(TRIALS):
        known = {name: value for name, value in FIRST.items() if name not in ("min_child_share", "eta", "lambda")}
        for target in targets:
            model = xgb.XGBRegressor(
                objective="reg:quantileerror",
                quantile_alpha=list(LEVELS),
                n_estimators=ROUNDS,
                learning_rate=FIRST["eta"],
                reg_lambda=FIRST["lambda"],
                max_bin=MAX_BIN,
                random_state=trial,
                n_jobs=2,
                early_stopping_rounds=ROUNDS,
                **known,
            )
            model.fit(rows[:cut], target[:cut], eval_set=[(rows[cut:], target[cut:])], verbose=False)


def rows() -> list[Row]:
    minutes = walk(DAYS * 1440, seed=3)
    matrix, pandas = best_seconds(lambda: features.matrix(minutes), lambda: rolling.features(minutes))
    threaded, waited = best_seconds(
        lambda: features.matrix(minutes, THREADS), lambda: rolling.features(minutes), clock=time.perf_counter
    )
    made, targets = market()
    search, rival = best_seconds(lambda: ours(made, targets), lambda: sklearn(made, targets), rounds=1)
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
            search / TRIALS,
            f"s of CPU a trial of {HORIZONS} horizons, {ROWS} rows, {ROUNDS} rounds",
            "XGBRegressor, a DMatrix a trial",
            rival / search,
        ),
    ]
