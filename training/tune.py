"""The search for hyperparameters: one study, one quantised matrix shared by every trial and horizon."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
import xgboost as xgb
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from btc.baselines import empirical
from btc.forecasts import LEVELS
from btc.minutes import Floats, Ints
from btc.models import raw, spread
from training.dataset import Dataset
from training.evaluate import pinball
from training.split import Split

MAX_BIN: Final = 64
MAX_ROUNDS: Final = 400
PATIENCE: Final = 12
"""Rounds without a better validation loss after which a booster stops growing."""
FIRST: Final[Mapping[str, float]] = {
    "eta": 0.1,
    "max_depth": 4,
    "min_child_share": 0.005,
    "subsample": 0.7,
    "colsample_bytree": 0.5,
    "lambda": 1.0,
}
"""The plain recipe: every search tries it first."""


@dataclass(frozen=True)
class Tuned:
    """The best hyperparameters found, and the rounds each horizon stopped at with them."""

    params: Mapping[str, float]
    rounds: Mapping[int, int]
    spread_rounds: Mapping[int, int]
    skill: float
    """Mean CRPS skill over the horizons on the validation rows, against constant scaled quantiles."""
    trials: int


class Matrices:
    """The quantised fit and validation rows: built once, labelled anew for each horizon and head."""

    def __init__(self, dataset: Dataset, split: Split, *, seed: int, threads: int) -> None:
        self.dataset, self.split = dataset, split
        self.fit = quantised(dataset.matrix[split.fit], threads)
        self.validate = quantised(dataset.matrix[split.validate], threads, self.fit)
        self.spreads = {horizon: self._spread(horizon, seed, threads) for horizon in dataset.targets}

    def grow(self, params: dict[str, Any], fit: Floats, validate: Floats) -> xgb.Booster:
        """A booster with as many rounds as served the validation rows best; labels (n,) of the rows of either part."""
        label(self.fit, fit)
        label(self.validate, validate)
        booster = xgb.train(
            params,
            self.fit,
            MAX_ROUNDS,
            evals=[(self.validate, "validate")],
            early_stopping_rounds=PATIENCE,
            verbose_eval=False,
        )
        return booster[: booster.best_iteration + 1]

    def in_spreads(self, horizon: int, rows: Ints) -> Floats:
        """Scaled returns (rows,) in units of what the spread head expects."""
        return self.dataset.targets[horizon][rows] / spread(self.spreads[horizon], self.dataset.matrix[rows])[:, 0]

    def _spread(self, horizon: int, seed: int, threads: int) -> xgb.Booster:
        target = self.dataset.targets[horizon]
        params = spread_params(len(self.split.fit), seed, threads)
        return self.grow(params, log_size(target[self.split.fit]), log_size(target[self.split.validate]))


def log_size(target: Floats) -> Floats:
    """What a spread head learns from scaled returns (n,); softened, for a price that stood still says little."""
    return np.log(np.abs(target) + 0.2)


def quantised(rows: Any, threads: int, like: xgb.QuantileDMatrix | None = None) -> xgb.QuantileDMatrix:
    """Rows (n, features) in bins; `like` lends its cuts."""
    return xgb.QuantileDMatrix(rows, label=np.zeros(len(rows)), max_bin=MAX_BIN, nthread=threads, ref=like)


def label(matrix: xgb.QuantileDMatrix, target: Any) -> None:
    """Scaled returns (n,) as labels; a row whose future is unknown weighs nothing."""
    known = np.isfinite(target)
    matrix.set_info(label=np.where(known, target, 0.0), weight=known.astype(np.float32))


def tune(  # noqa: PLR0913 - what a search is told
    dataset: Dataset,
    split: Split,
    *,
    trials: int,
    seconds: float,
    seed: int,
    threads: int,
    checkpoints: Path | None,
    clock: Callable[[], float] = time.monotonic,
    say: Callable[[str], None] = print,
) -> Tuned:
    """Up to `trials` trials of TPE within about `seconds`; a study in `checkpoints` goes on where it was stopped."""
    matrices = Matrices(dataset, split, seed=seed, threads=threads)
    began = clock()

    def objective(trial: optuna.Trial) -> float:
        params = {
            "eta": trial.suggest_float("eta", 0.03, 0.3, log=True),
            "max_depth": trial.suggest_int("max_depth", 2, 7),
            "min_child_share": trial.suggest_float("min_child_share", 3e-4, 0.03, log=True),
            "subsample": trial.suggest_float("subsample", 0.4, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.2, 1.0),
            "lambda": trial.suggest_float("lambda", 0.1, 100.0, log=True),
        }
        skills, rounds = _grow(matrices, booster_params(params, len(split.fit), seed, threads))
        trial.set_user_attr("rounds", rounds)
        mean = float(np.mean(list(skills.values())))
        say(f"trial {trial.number + 1}/{trials}: skill {mean:+.4f}, rounds {rounds}, {clock() - began:.0f} s")
        return mean

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="quantiles",
        storage=_storage(checkpoints),
        sampler=optuna.samplers.TPESampler(seed=seed),
        direction="maximize",
        load_if_exists=True,
    )
    done = sum(trial.state.is_finished() for trial in study.trials)
    if not study.trials:
        study.enqueue_trial(dict(FIRST))
    study.optimize(objective, n_trials=max(trials - done, 0 if done else 1), timeout=seconds)
    best = study.best_trial
    rounds = {int(horizon): int(number) for horizon, number in best.user_attrs["rounds"].items()}
    spread_rounds = {horizon: head.num_boosted_rounds() for horizon, head in matrices.spreads.items()}
    return Tuned(best.params, rounds, spread_rounds, float(best.values[0]), len(study.trials))


def booster_params(params: Mapping[str, float], rows: int, seed: int, threads: int) -> dict[str, Any]:
    """XGBoost's parameters of a quantile head; a leaf's least weight is a share of the rows, whatever their number."""
    known = {name: value for name, value in params.items() if name != "min_child_share"}
    return {
        "objective": "reg:quantileerror",
        "quantile_alpha": list(LEVELS),
        "multi_strategy": "multi_output_tree",
        "tree_method": "hist",
        "max_bin": MAX_BIN,
        "min_child_weight": max(1.0, params["min_child_share"] * rows),
        "seed": seed,
        "nthread": threads,
        **known,
    }


def spread_params(rows: int, seed: int, threads: int) -> dict[str, Any]:
    """The plain recipe for a spread head, which takes seconds and is not searched for."""
    params = booster_params(FIRST, rows, seed, threads)
    del params["quantile_alpha"], params["multi_strategy"]
    return {**params, "objective": "reg:squarederror"}


def _grow(matrices: Matrices, params: dict[str, Any]) -> tuple[dict[int, float], dict[int, int]]:
    """Validation skill against constant quantiles of the scaled return, and rounds, by horizon."""
    skills, rounds = {}, {}
    split, dataset = matrices.split, matrices.dataset
    for horizon, target in dataset.targets.items():
        booster = matrices.grow(
            params, matrices.in_spreads(horizon, split.fit), matrices.in_spreads(horizon, split.validate)
        )
        rounds[horizon] = booster.num_boosted_rounds()
        known = split.validate[np.isfinite(target[split.validate])]
        rows = dataset.matrix[known]
        grown = np.sort(raw(booster, rows), axis=1) * spread(matrices.spreads[horizon], rows)
        flat = empirical(target[split.fit])[None, :]
        skills[horizon] = float(1 - pinball(target[known], grown).mean() / pinball(target[known], flat).mean())
    return skills, rounds


def _storage(checkpoints: Path | None) -> JournalStorage | None:
    if checkpoints is None:
        return None
    checkpoints.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(checkpoints / "study.log")))
