"""The search for hyperparameters on recorded minutes, against the same through scikit-learn's interface.

Both are optuna studies of as many trials over four horizons, from the same first recipe, of the same space, rows, eta
and patience, told the skill on the same validation rows, on two cores. Ours is the search as it is, two trials at a
time, with its matrices, spread heads and heats; it learns from each row's mirror image besides. The rival is what a
notebook does: an XGBRegressor a horizon (the pinball loss over all levels) with a DMatrix of its own and two threads,
and optuna's own pruner, which sees the mean skill after each. Skill is that of the best trial on all rows.
"""

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import xgboost as xgb

from btc.baselines import empirical
from btc.forecasts import HORIZONS, LEVELS
from btc.minutes import Floats
from tests.bench.measure import Row
from tests.bench.recordings import BARS
from training import dataset, split
from training.dataset import Dataset
from training.growth import MAX_BIN, MAX_ROUNDS, PATIENCE, booster_params
from training.losses import pinball
from training.matrices import Matrices, thinned
from training.split import Fold
from training.tune import FIRST, Search, suggested

FIT, JUDGED = 10_000, 10_000
TRIALS, THREADS, SEED = 6, 2, 7
TEST_FROM = np.datetime64("2019-01-01", "us").astype(int)


def market() -> tuple[Dataset, Fold]:
    """The recorded bars before the test, and rows of them, evenly spread."""
    data = dataset.load(BARS)
    [fold] = split.folds(data, split.split(data, int(TEST_FROM)), 1)
    return data, Fold(thinned(fold.fit, FIT), thinned(fold.validate, JUDGED))


def ours(data: Dataset, fold: Fold) -> float:
    every = [Matrices(data, fold, seed=SEED, threads=THREADS)]
    search = Search(every, TRIALS, seed=SEED, threads=THREADS, say=lambda _: None)
    return search.final(search.heats(seconds=np.inf)).skill


def sklearn(data: Dataset, fold: Fold) -> float:
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=SEED))
    study.enqueue_trial(dict(FIRST))

    def objective(trial: optuna.Trial) -> float:
        recipe, skills = {**FIRST, **suggested(trial)}, []
        for horizon in HORIZONS:
            skills.append(fitted(data, fold, horizon, recipe))
            trial.report(float(np.mean(skills)), len(skills))
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(skills))

    study.optimize(objective, n_trials=TRIALS)
    return float(study.best_value)


def fitted(data: Dataset, fold: Fold, horizon: int, recipe: dict[str, Any]) -> float:
    """The skill of a regressor that was made and taught for this alone."""
    target = data.targets[horizon]
    fit, judged = (part[np.isfinite(target[part])] for part in (fold.fit, fold.validate))
    model = xgb.XGBRegressor(
        objective="reg:quantileerror",
        quantile_alpha=list(LEVELS),
        n_estimators=MAX_ROUNDS,
        learning_rate=recipe["eta"],
        reg_lambda=recipe["lambda"],
        min_child_weight=booster_params(recipe, len(fit), SEED, THREADS)["min_child_weight"],
        max_bin=MAX_BIN,
        random_state=SEED,
        n_jobs=THREADS,
        early_stopping_rounds=PATIENCE,
        **{name: recipe[name] for name in ("max_depth", "subsample", "colsample_bytree")},
    )
    model.fit(data.matrix[fit], target[fit], eval_set=[(data.matrix[judged], target[judged])], verbose=False)
    quantiles = np.sort(model.predict(data.matrix[judged]), axis=1)
    return skill(target[fit], target[judged], quantiles, data.scale[judged])


def skill(learnt: Floats, truth: Floats, quantiles: Floats, weight: Floats) -> float:
    """As `Matrices.skill`, of any quantiles."""
    flat = empirical(learnt)[None, :]
    return float(1 - weight @ pinball(truth, quantiles) / (weight @ pinball(truth, flat)))


def timed(work: Callable[[], float]) -> tuple[float, float, float]:
    """The skill it found, and the seconds it took, by the clock and of CPU."""
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
    what = f"{TRIALS} trials × {len(HORIZONS)} horizons, {len(fold.fit)} rows, skill {found:.4f}"
    against = f"optuna over XGBRegressor, a DMatrix a trial and horizon: skill {usual:.4f}"
    return [
        Row("search_vs_sklearn", seconds, f"s on {THREADS} cores, {what}", against, waited / seconds),
        Row("search_vs_sklearn_cpu", cpu, "s of CPU", "the same", spent / cpu),
        Row("search_peak_mb", peak, "MB of the whole process, all minutes' features among them", "", None),
    ]
