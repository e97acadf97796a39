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

from btc.forecasts import LEVELS
from btc.models import raw
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
    skill: float
    """Mean CRPS skill over the horizons on the validation rows, against constant scaled quantiles."""
    trials: int


class Matrices:
    """The quantised fit and validation rows: built once, labelled anew for each horizon."""

    def __init__(self, dataset: Dataset, split: Split, threads: int) -> None:
        self.dataset, self.split, self.threads = dataset, split, threads
        self.fit = quantised(dataset.matrix[split.fit], threads)
        self.validate = quantised(dataset.matrix[split.validate], threads, self.fit)

    def label(self, horizon: int) -> None:
        target = self.dataset.targets[horizon]
        label(self.fit, target[self.split.fit])
        label(self.validate, target[self.split.validate])


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
    """Up to `trials` trials of TPE within about `seconds`; a study in `checkpoints` goes on where it was interrupted."""
    matrices = Matrices(dataset, split, threads)
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
    return Tuned(best.params, rounds, float(best.values[0]), len(study.trials))


def booster_params(params: Mapping[str, float], rows: int, seed: int, threads: int) -> dict[str, Any]:
    """XGBoost's parameters; a leaf's least weight is a share of the rows, so that it means the same on more data."""
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


def _grow(matrices: Matrices, params: dict[str, Any]) -> tuple[dict[int, float], dict[int, int]]:
    """Validation skill and rounds by horizon."""
    skills, rounds = {}, {}
    split = matrices.split
    for horizon, target in matrices.dataset.targets.items():
        matrices.label(horizon)
        booster = xgb.train(
            params,
            matrices.fit,
            MAX_ROUNDS,
            evals=[(matrices.validate, "validate")],
            early_stopping_rounds=PATIENCE,
            verbose_eval=False,
        )
        rounds[horizon] = booster.best_iteration + 1
        seen, truth = target[split.fit], target[split.validate]
        constant = np.quantile(seen[np.isfinite(seen)], LEVELS)
        known = np.isfinite(truth)
        grown = raw(booster[: rounds[horizon]], matrices.dataset.matrix[split.validate[known]])
        flat = pinball(truth[known], constant[None, :]).mean()
        skills[horizon] = float(1 - pinball(truth[known], np.sort(grown, axis=1)).mean() / flat)
    return skills, rounds


def _storage(checkpoints: Path | None) -> JournalStorage | None:
    if checkpoints is None:
        return None
    checkpoints.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(checkpoints / "study.log")))
