"""The search for hyperparameters: one study, quantised matrices that every trial and horizon share."""

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from btc.baselines import empirical
from btc.forecasts import HORIZONS
from btc.heads import Heads, seen
from btc.minutes import Floats, Ints
from training import networks
from training.dataset import Dataset
from training.growth import FINE, Laplace, Pinball, Shards, booster_params, grow, modes, quantised
from training.losses import pinball
from training.networks import Plain
from training.plain import lines, shape, share
from training.split import Fold
from training.views import View, Views

_JUDGED: Final = (TrialState.COMPLETE, TrialState.PRUNED)
BLOCK: Final = 120
"""Validation rows whose losses are averaged before their error is estimated: two of the longest horizons."""
ROWS: Final = 160_000
"""Rows, evenly spread, that a trial learns from: the final boosters take more, see `fit.ROWS`."""
AT_ONCE: Final = 4
"""Trials that grow at a time at the most: each tries what those before it have taught, and more would know less."""
FIRST: Final[Mapping[str, float]] = {
    "eta": 0.03,
    "max_depth": 6,
    "min_child_share": 0.0003,
    "subsample": 0.5,
    "colsample_bytree": 0.3,
    "lambda": 20.0,
}
"""The plain recipe: every search tries it first."""
WEIGHT: Final = 0.8
"""The share of a network that has shown what it learns; trees have the rest."""
SPREAD: Final[Mapping[str, float]] = {
    "eta": 0.06,
    "max_depth": 4,
    "min_child_share": 0.001,
    "subsample": 0.5,
    "colsample_bytree": 0.5,
    "lambda": 50.0,
}
"""That of the spread heads, which take seconds and are not searched for."""


@dataclass(frozen=True)
class Tuned:
    """The best hyperparameters found, and the rounds each horizon stopped at with them."""

    params: Mapping[str, float]
    rounds: Mapping[int, int]
    spread_rounds: Mapping[int, int]
    weights: Mapping[int, float]
    """The network's share by horizon; see `networks`."""
    rows: int
    """That the rounds were found on, mirror images among them."""
    skill: float
    """Mean CRPS skill over folds and horizons on the validation rows, against constant scaled quantiles."""
    trials: int


class Matrices:
    """A fold's quantised rows: built once, for every trial, horizon and head; trials may read it at a time."""

    def __init__(self, dataset: Dataset, fold: Fold, *, seed: int, threads: int) -> None:
        self.dataset, self.number = dataset, len(fold.fit)
        self.fit = Views.of_both((dataset, thinned(fold.fit, ROWS)))
        self.validate = View(dataset, thinned(fold.validate, ROWS // 4))
        self.fit_matrix = Shards.of(self.fit.features, self.fit.total, threads)
        judged = quantised(self.validate.features(slice(None)), threads, self.fit_matrix.matrices[0])
        self.validate_matrix = Shards([judged])
        self.lines = lines(dataset, fold.fit)
        params = booster_params(SPREAD, self.fit_matrix.tree_rows, seed, threads)
        self.spreads = {horizon: self._spread(horizon, params) for horizon in dataset.targets}

    def heads(self, horizon: int, params: dict[str, Any]) -> Heads:
        """The heads of a horizon grown on the fit rows, with these parameters for the quantiles."""
        line, size = self.lines[horizon], self.spreads[horizon]
        fit, validate = (
            part.targets(horizon) / np.exp(part.of(line) + part.of(size)) for part in (self.fit, self.validate)
        )
        plain = shape(fit, horizon)
        ways = modes(plain)
        booster = self._grow(params, horizon, Pinball(fit, plain, ways), Pinball(validate, plain, ways))
        return Heads(size, booster, line, plain, ways)

    def skill(self, horizon: int, heads: Heads) -> float:
        """Validation skill against constant quantiles of the scaled return."""
        target, judged = self.dataset.targets[horizon], self.validate.rows
        known = judged[np.isfinite(target[judged])]
        quantiles, size = seen(heads, self.dataset.matrix[known])
        grown = np.sort(quantiles, axis=1) * np.exp(size)
        flat = empirical(self.fit.targets(horizon))[None, :]
        # In basis points of the price, as the test will weigh them: wild times count for more.
        weight = self.dataset.scale[known]
        return float(1 - weight @ pinball(target[known], grown) / (weight @ pinball(target[known], flat)))

    def weights(self, seed: int, say: Callable[[str], None]) -> dict[int, float]:
        """The network's share by horizon: WEIGHT, as far as one learning from the fit rows earns it on the others."""
        plains = {}
        for horizon, line in self.lines.items():
            plain = shape(self.fit.targets(horizon) / np.exp(self.fit.of(line)), horizon)
            plains[horizon] = Plain(line, plain, modes(plain, FINE))
        found = {}
        for horizon, net in networks.taught(self.fit, plains, seed, say).items():
            line, plain, ways = plains[horizon]
            truth = self.validate.targets(horizon) / np.exp(self.validate.of(line))
            outputs = net.outputs(self.validate.features(slice(None))).astype(np.float64)
            moved = np.sort(plain + outputs[:, 1:] @ ways, axis=1) * np.exp(outputs[:, :1])
            gain = pinball(truth, plain[None, :]) - pinball(truth, moved)
            found[horizon] = WEIGHT * trust(gain) * share(self.number, horizon)
        say("network's share: " + ", ".join(f"{horizon} min {weight:.0%}" for horizon, weight in found.items()))
        return found

    def _spread(self, horizon: int, params: dict[str, Any]) -> Any:
        """The spread head, grown on what the line leaves."""
        fit, validate = (Laplace(np.abs(part.targets(horizon))) for part in (self.fit, self.validate))
        starts = [part.of(self.lines[horizon]) for part in (self.fit, self.validate)]
        return self._grow(params, horizon, fit, validate, starts)

    def _grow(
        self,
        params: dict[str, Any],
        horizon: int,
        fit: Laplace | Pinball,
        validate: Laplace | Pinball,
        starts: Sequence[Floats | None] = (None, None),
    ) -> Any:
        """As many of the rounds that served the validation rows best as the rows' number and their gain warrant."""
        judged = (self.validate_matrix, validate, starts[1])
        booster = grow(params, self.fit_matrix, fit, start=starts[0], validation=judged)
        best = booster[: booster.best_iteration + 1]
        added = best.inplace_predict(self.validate.features(slice(None)))
        plain = np.zeros_like(added) if starts[1] is None else starts[1]
        gain = trust(validate.losses(plain) - validate.losses(plain + added)) * share(self.number, horizon)
        rounds = round(gain * best.num_boosted_rounds())
        return booster[:rounds] if rounds else grow(params, self.fit_matrix, fit, start=starts[0], rounds=0)


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


def tune(  # noqa: PLR0913 - what a search is told
    dataset: Dataset,
    folds: Sequence[Fold],
    *,
    trials: int,
    seconds: float,
    seed: int,
    threads: int,
    checkpoints: Path | None,
    device: str = "cpu",
    clock: Callable[[], float] = time.monotonic,
    say: Callable[[str], None] = print,
    observe: Callable[[FrozenTrial], None] = lambda _: None,
) -> Tuned:
    """Up to `trials` trials of TPE within about `seconds`; a study in `checkpoints` goes on where it was stopped.

    `observe` is shown each finished trial, one at a time, those of before the stop first.

    A trial that is behind the median of those before it, fold by fold and horizon by horizon, is given up. Where
    there are threads, AT_ONCE trials grow at a time and share them: what each tries depends on which is done first.
    """
    matrices = [Matrices(dataset, fold, seed=seed, threads=threads) for fold in folds]
    began = clock()
    workers = min(threads, trials, AT_ONCE)

    def objective(trial: optuna.Trial) -> float:
        params = booster_params(suggested(trial), matrices[-1].fit_matrix.tree_rows, seed, threads // workers, device)
        skills, rounds = [], {}
        for each in matrices:
            for horizon in HORIZONS:
                heads = each.heads(horizon, params)
                rounds[horizon] = heads.quantiles.num_boosted_rounds()
                skills.append(each.skill(horizon, heads))
                trial.report(float(np.mean(skills)), len(skills))
                if trial.should_prune():
                    say(f"trial {trial.number + 1}/{trials}: given up after {len(skills)} boosters")
                    raise optuna.TrialPruned
        trial.set_user_attr("rounds", rounds)
        mean = float(np.mean(skills))
        say(f"trial {trial.number + 1}/{trials}: skill {mean:+.4f}, rounds {rounds}, {clock() - began:.0f} s")
        return mean

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=_study_name(dataset, folds, seed),
        storage=_storage(checkpoints),
        sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=workers > 1),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
        direction="maximize",
        load_if_exists=True,
    )
    finished = [trial for trial in study.trials if trial.state in _JUDGED]
    for trial in finished:
        observe(trial)
    if not finished:
        study.enqueue_trial(dict(FIRST))
    showing = Lock()

    def show(_: optuna.Study, trial: FrozenTrial) -> None:
        with showing:
            observe(trial)

    study.optimize(
        objective,
        n_trials=max(trials - len(finished), 0 if finished else 1),
        timeout=seconds if finished else max(seconds, 1.0),
        n_jobs=workers,
        callbacks=[show],
    )
    best = study.best_trial
    rounds = {int(horizon): int(number) for horizon, number in best.user_attrs["rounds"].items()}
    spread_rounds = {horizon: head.num_boosted_rounds() for horizon, head in matrices[-1].spreads.items()}
    return Tuned(
        best.params,
        rounds,
        spread_rounds,
        matrices[-1].weights(seed, say),
        matrices[-1].fit.total,
        float(best.values[0]),
        len(study.trials),
    )


def suggested(trial: optuna.Trial) -> dict[str, float]:
    """What a trial tries."""
    return {
        "eta": trial.suggest_float("eta", 0.015, 0.06, log=True),
        "max_depth": trial.suggest_int("max_depth", 3, 7),
        "min_child_share": trial.suggest_float("min_child_share", 2e-4, 0.02, log=True),
        "subsample": trial.suggest_float("subsample", 0.2, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.2, 1.0),
        "lambda": trial.suggest_float("lambda", 5.0, 500.0, log=True),
    }


def thinned(rows: Ints, most: int) -> Ints:
    """Every so manieth row, so that at most so many are left."""
    return rows[:: -(-len(rows) // most)]


def _study_name(dataset: Dataset, folds: Sequence[Fold], seed: int) -> str:
    """Trials on other rows, or of another search, are no part of this one: they may have seen its test."""
    spans = [[int(part[0]), int(part[-1]), len(part)] for fold in folds for part in (fold.fit, fold.validate)]
    told = json.dumps([dataset.digest, spans, seed, ROWS, FIRST, SPREAD, inspect.getsource(suggested)])
    return f"quantiles-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def _storage(checkpoints: Path | None) -> JournalStorage | None:
    if checkpoints is None:
        return None
    checkpoints.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(checkpoints / "study.log")))
