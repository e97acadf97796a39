"""The search for hyperparameters: heats on few rows, and a final on all.

Which hyperparameters are far behind shows on few rows already. A heat takes a quarter of them, in fewer and larger
steps, and is judged on the same validation rows; only the best are worth the time that all rows take, and which of them
is best is measured on all of them.
"""

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from btc.forecasts import HORIZONS
from training import growth, matrices, plain, sampling
from training.dataset import Dataset
from training.growth import booster_params
from training.matrices import Matrices
from training.sampling import SeededTPE
from training.split import Fold

Measured = Future[tuple[float, int]]
"""The skill and the rounds of a booster that may still be growing."""

_SPENT: Final = "seconds"
"""Under which a study keeps how long its heats have taken so far."""
_JUDGED: Final = (TrialState.COMPLETE, TrialState.PRUNED)
AT_ONCE: Final = 4
"""Trials that grow at a time at the most: each tries what those before it have taught, and more would know less."""
FIRST: Final[Mapping[str, float]] = {
    "eta": growth.ETA,
    "max_depth": 6,
    "min_child_share": 0.0003,
    "subsample": 0.5,
    "colsample_bytree": 0.3,
    "lambda": 20.0,
}
"""The plain recipe: every search tries it first, and measures on all rows who is to replace it."""
HASTE: Final = 0.1
"""Eta of a heat: a third of the rounds that ETA takes."""
FINALISTS: Final = 2
"""Of the heats, beside the plain recipe."""


@dataclass(frozen=True)
class Tuned:
    """The best hyperparameters found, and the rounds each horizon stopped at with them."""

    params: Mapping[str, float]
    rounds: Mapping[int, int]
    spread_rounds: Mapping[int, int]
    weights: Mapping[int, float]
    """The networks' share by horizon; see `networks`."""
    rows: int
    """That the rounds were found on, mirror images among them."""
    skill: float
    """Mean CRPS skill over folds and horizons on the validation rows, against constant scaled quantiles."""
    trials: int


def tune(  # noqa: PLR0913 - what a search is told
    dataset: Dataset,
    folds: Sequence[Fold],
    beside: Sequence[Dataset] = (),
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

    They learn from the datasets `beside` too, and are judged on the market itself. `observe` is shown each finished
    trial, one at a time, those of before the stop first.
    """
    # One after the other: while they are made they take most, and at a time a third more.
    every = [Matrices(dataset, fold, beside, seed=seed, threads=threads) for fold in folds]
    search = Search(every, trials, seed=seed, threads=threads, device=device, clock=clock, say=say)
    study = search.heats(seconds, _study_name(dataset, folds, beside, seed), _storage(checkpoints), observe)
    best = search.final(study)
    return Tuned(
        best.params,
        best.rounds,
        {horizon: task.spread.num_boosted_rounds() for horizon, task in every[-1].tasks.items()},
        every[-1].weights(seed, threads, say),
        every[-1].fit.total,
        best.skill,
        sum(trial.state in _JUDGED for trial in study.trials),
    )


class Finalist(NamedTuple):
    """What all rows say of a trial."""

    params: Mapping[str, float]
    skills: tuple[float, ...]
    """Fold by fold and horizon by horizon."""
    rounds: Mapping[int, int]
    """By horizon, on the newest fold."""

    @property
    def skill(self) -> float:
        return float(np.mean(self.skills))


class Search:
    """A heat for every trial, and a final of the best; each is worth its mean skill over folds and horizons.

    Where there are threads, AT_ONCE boosters grow at a time and share them: what a trial tries depends on which are
    done before it.
    """

    def __init__(  # noqa: PLR0913 - what a search is told
        self,
        every: Sequence[Matrices],
        trials: int,
        *,
        seed: int,
        threads: int,
        device: str = "cpu",
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = print,
    ) -> None:
        self._every, self._trials, self._seed, self._device = every, trials, seed, device
        self._workers = min(threads, AT_ONCE)
        self._threads = threads // self._workers
        self._clock, self._began, self._say = clock, clock(), say

    def heats(
        self,
        seconds: float,
        name: str | None = None,
        storage: JournalStorage | None = None,
        observe: Callable[[FrozenTrial], None] = lambda _: None,
    ) -> optuna.Study:
        """A study of up to so many trials, begun within about `seconds`; what is stored goes on, its time too."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        workers = min(self._workers, self._trials)
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            sampler=SeededTPE(self._seed),
            direction="maximize",
            load_if_exists=True,
        )
        finished = [trial for trial in study.trials if trial.state in _JUDGED]
        for trial in finished:
            observe(trial)
        measured = any(map(_plain, finished))
        if not measured:
            study.enqueue_trial(dict(FIRST))
        spent, showing = float(study.user_attrs.get(_SPENT, 0.0)), Lock()

        def show(study: optuna.Study, trial: FrozenTrial) -> None:
            with showing:
                study.set_user_attr(_SPENT, spent + self._clock() - self._began)
                observe(trial)

        study.optimize(
            self._heat,
            n_trials=max(self._trials - len(finished), 0 if measured else 1),
            timeout=max(seconds - spent, 0.0 if measured else 1.0),
            n_jobs=workers,
            callbacks=[show],
        )
        return study

    def final(self, study: optuna.Study) -> Finalist:
        """The best of the plain recipe and the first FINALISTS of the heats, all rows told."""
        heats = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
        heats.sort(key=lambda trial: -trial.values[0])
        chosen = {trial.number: trial for trial in (*filter(_plain, heats), *heats[:FINALISTS])}
        return max(self._measured(study, list(chosen.values())), key=lambda each: each.skill)

    def _measured(self, study: optuna.Study, trials: Sequence[optuna.Trial | FrozenTrial]) -> list[Finalist]:
        """Trials on all rows, booster by booster; kept with the study, so that a final that was stopped goes on too."""
        known, pool = study.user_attrs, ThreadPoolExecutor(self._workers)

        def grown(trial: optuna.Trial | FrozenTrial, fold: int, horizon: int, shorter: Measured) -> tuple[float, int]:
            kept = json.dumps(["all rows", fold, horizon, trial.params])
            if kept in known:
                return float(known[kept][0]), int(known[kept][1])
            skill, rounds = self._grown(fold, horizon, trial.params, few=False, shorter=lambda: shorter.result()[1])
            study.set_user_attr(kept, [skill, rounds])
            name = f"trial {trial.number + 1} on all rows of fold {fold + 1}, {horizon} min"
            self._tell(f"{name}: skill {skill:+.4f}, {rounds} rounds")
            return skill, rounds

        nothing: Measured = Future()
        nothing.set_result((0.0, 0))
        chains = [[[nothing] for _ in self._every] for _ in trials]
        finalists = []
        try:
            for horizon in HORIZONS:  # one after the other, so that hardly any waits for a shorter one
                for trial, folds in zip(trials, chains, strict=True):
                    for fold, chain in enumerate(folds):
                        chain.append(pool.submit(grown, trial, fold, horizon, chain[-1]))
            for trial, folds in zip(trials, chains, strict=True):
                skills, rounds = zip(*(each.result() for chain in folds for each in chain[1:]), strict=True)
                newest = dict(zip(HORIZONS, rounds[-len(HORIZONS) :], strict=True))
                finalists.append(Finalist({"eta": growth.ETA, **trial.params}, skills, newest))
                self._tell(f"trial {trial.number + 1} on all rows: skill {finalists[-1].skill:+.4f}, rounds {newest}")
        finally:
            pool.shutdown(cancel_futures=True)
        return finalists

    def _heat(self, trial: optuna.Trial) -> float:
        """Its skill on few rows, or on all where it is alone; one that is behind is given up, but the plain recipe."""
        recipe, skills = suggested(trial), []
        for told in self._measured(trial.study, [trial])[0].skills if self._trials == 1 else self._few(recipe):
            skills.append(told)
            trial.report(float(np.mean(skills)), len(skills))
            if not _plain(trial) and behind(trial):
                self._tell(f"trial {trial.number + 1}/{self._trials}: given up after {len(skills)} boosters")
                raise optuna.TrialPruned
        skill = float(np.mean(skills))
        self._tell(f"trial {trial.number + 1}/{self._trials}: skill {skill:+.4f}")
        return skill

    def _few(self, recipe: Mapping[str, float]) -> Iterator[float]:
        for fold in range(len(self._every)):
            rounds = 0
            for horizon in HORIZONS:
                skill, rounds = self._grown(fold, horizon, recipe, few=True, shorter=partial(int, rounds))
                yield skill

    def _grown(
        self, fold: int, horizon: int, recipe: Mapping[str, float], *, few: bool, shorter: Callable[[], int]
    ) -> tuple[float, int]:
        """Skill and rounds."""
        each, told = self._every[fold], {**recipe, "eta": HASTE if few else growth.ETA}
        params = booster_params(told, each.tree_rows(few=few), self._seed, self._threads, self._device)
        heads = each.heads(horizon, params, few=few, shorter=shorter)
        return each.skill(horizon, heads), heads.quantiles.num_boosted_rounds()

    def _tell(self, what: str) -> None:
        self._say(f"{what}, {self._clock() - self._began:.0f} s")


def behind(trial: optuna.Trial) -> bool:
    """Whether a trial is behind the median of those that came as far as it, where there are three.

    Optuna's own pruner compares the best that a trial ever reported, and the first horizon is the easiest.
    """
    seen = {each.number: each.intermediate_values for each in trial.study.get_trials(deepcopy=False)}
    step = max(seen[trial.number])
    mine = seen.pop(trial.number)[step]
    others = [values[step] for values in seen.values() if step in values]
    return len(others) >= 3 and mine < float(np.median(others))


def suggested(trial: optuna.Trial) -> dict[str, float]:
    """What a trial tries; eta is not among it, for with a smaller one all do better, and take longer."""
    return {
        "max_depth": trial.suggest_int("max_depth", 3, 7),
        "min_child_share": trial.suggest_float("min_child_share", 2e-4, 0.02, log=True),
        "subsample": trial.suggest_float("subsample", 0.2, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.2, 1.0),
        "lambda": trial.suggest_float("lambda", 5.0, 500.0, log=True),
    }


def _plain(trial: optuna.Trial | FrozenTrial) -> bool:
    return all(value == FIRST[name] for name, value in trial.params.items())


def _study_name(dataset: Dataset, folds: Sequence[Fold], beside: Sequence[Dataset], seed: int) -> str:
    """Trials on other rows, or of another search, are no part of this one: they may have seen its test."""
    spans = [[int(part[0]), int(part[-1]), len(part)] for fold in folds for part in (fold.fit, fold.validate)]
    code = [inspect.getsource(part) for part in (Search, behind, suggested, matrices, plain, growth, sampling)]
    data = [each.digest for each in (dataset, *beside)]
    told = json.dumps([data, spans, seed, FIRST, HASTE, FINALISTS, code])
    return f"quantiles-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def _storage(checkpoints: Path | None) -> JournalStorage | None:
    if checkpoints is None:
        return None
    checkpoints.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(checkpoints / "study.log")))
