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
from btc.minutes import Floats
from btc.models import Heads, spread, standardised
from training.dataset import Dataset
from training.evaluate import pinball
from training.plain import lines, log_size, shape, share
from training.split import Split

MAX_BIN: Final = 64
MAX_ROUNDS: Final = 400
PATIENCE: Final = 12
"""Rounds without a better validation loss after which a booster stops growing."""
BLOCK: Final = 120
"""Validation rows whose losses are averaged before their error is estimated: two of the longest horizons."""
FIRST: Final[Mapping[str, float]] = {
    "eta": 0.05,
    "max_depth": 3,
    "min_child_share": 0.005,
    "subsample": 0.7,
    "colsample_bytree": 0.5,
    "lambda": 20.0,
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
        self.lines = lines(dataset, split.fit)
        params = spread_params(len(split.fit), seed, threads)
        self.spreads = {horizon: self._spread(horizon, params) for horizon in dataset.targets}

    def heads(self, horizon: int, params: dict[str, Any]) -> Heads:
        """The heads of a horizon grown on the fit rows, with these parameters for the quantiles."""
        line, size = self.lines[horizon], self.spreads[horizon]
        fit, validate = (
            self.dataset.targets[horizon][part]
            / np.exp(line.at(self.dataset.matrix[part]) + size.inplace_predict(self.dataset.matrix[part]))
            for part in (self.split.fit, self.split.validate)
        )
        plain = shape(fit, horizon)
        label(self.fit, fit, plain)
        label(self.validate, validate, plain)

        def losses(grown: Any) -> Floats:
            return pinball(validate, np.sort(plain + grown.reshape(len(validate), -1), axis=1))

        return Heads(size, self._grow(params, horizon, losses), line, plain)

    def _spread(self, horizon: int, params: dict[str, Any]) -> xgb.Booster:
        """The spread head, grown on what the line leaves."""
        fit, validate = (
            log_size(self.dataset.targets[horizon][part]) - self.lines[horizon].at(self.dataset.matrix[part])
            for part in (self.split.fit, self.split.validate)
        )
        label(self.fit, fit)
        label(self.validate, validate)
        return self._grow(params, horizon, lambda grown: np.asarray((validate - grown) ** 2))

    def _grow(self, params: dict[str, Any], horizon: int, losses: Callable[[Any], Floats]) -> xgb.Booster:
        """As many of the rounds that served the validation rows best as the rows' number and their gain warrant.

        `losses` gives those of the validation rows (n,) from what the booster adds to the plain forecast.
        """
        booster = xgb.train(
            params,
            self.fit,
            MAX_ROUNDS,
            evals=[(self.validate, "validate")],
            early_stopping_rounds=PATIENCE,
            verbose_eval=False,
        )
        rows = self.dataset.matrix[self.split.validate]
        best = booster[: booster.best_iteration + 1]
        added = best.inplace_predict(rows)
        gain = trust(losses(np.zeros_like(added)) - losses(added)) * share(len(self.split.fit), horizon)
        rounds = round(gain * best.num_boosted_rounds())
        return booster[:rounds] if rounds else xgb.train(params, self.fit, 0)


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


def quantised(rows: Any, threads: int, like: xgb.QuantileDMatrix | None = None) -> xgb.QuantileDMatrix:
    """Rows (n, features) in bins; `like` lends its cuts."""
    return xgb.QuantileDMatrix(rows, label=np.zeros(len(rows)), max_bin=MAX_BIN, nthread=threads, ref=like)


def label(matrix: xgb.QuantileDMatrix, target: Floats, start: Any = 0.0) -> None:
    """Labels (n,), a row whose future is unknown weighing nothing, and the constants (outputs,) growth starts from."""
    known = np.isfinite(target)
    margin = np.broadcast_to(start, (len(target), np.size(start)))
    matrix.set_info(label=np.where(known, target, 0.0), weight=known.astype(np.float32), base_margin=margin)


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
        "base_score": 0.0,
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
        heads = matrices.heads(horizon, params)
        rounds[horizon] = heads.quantiles.num_boosted_rounds()
        known = split.validate[np.isfinite(target[split.validate])]
        rows = dataset.matrix[known]
        grown = np.sort(standardised(heads, rows), axis=1) * spread(heads, rows)
        flat = empirical(target[split.fit])[None, :]
        skills[horizon] = float(1 - pinball(target[known], grown).mean() / pinball(target[known], flat).mean())
    return skills, rounds


def _storage(checkpoints: Path | None) -> JournalStorage | None:
    if checkpoints is None:
        return None
    checkpoints.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(checkpoints / "study.log")))
