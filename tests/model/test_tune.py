"""The search: trials grow side by side on the same matrices, and none can tell that there were others."""

import re
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from btc.baselines import empirical
from btc.features import LOOK_BACK
from btc.forecasts import HORIZONS
from btc.heads import seen
from btc.times import MINUTE
from tests.model.walks import walk
from training import dataset, growth, matrices, networks, tune
from training.growth import booster_params, quantised
from training.losses import pinball
from training.matrices import Matrices
from training.plain import share
from training.sampling import SeededTPE
from training.split import EMBARGO, Fold
from training.tune import Search

TRIALS, THREADS, SEED = 3, 2, 5
OPTIMIZE = optuna.Study.optimize


@pytest.fixture(scope="module")
def data():
    return dataset.build(walk(LOOK_BACK + 2_700, seed=4))


@pytest.fixture(scope="module")
def fold(data):
    return Fold(data.rows[:1_600], data.rows[1_720:2_600])


@pytest.fixture(scope="module")
def found(data, fold, tmp_path_factory):
    folder, said = tmp_path_factory.mktemp("study"), []
    told = {"trials": TRIALS, "seconds": 600, "seed": SEED, "threads": THREADS, "checkpoints": folder}
    return tune.tune(data, [fold], **told, say=said.append), said, folder


def test_every_trial_asked_for_is_made_and_told(found):
    tuned, said, folder = found
    study = optuna.load_study(study_name=None, storage=tune._storage(folder))

    assert tuned.trials == len(study.trials) == TRIALS
    assert {int(line.split("/")[0].split()[1]) for line in said if "/" in line} == {1, 2, 3}
    assert all(trial.state.is_finished() for trial in study.trials)


def test_the_plain_recipe_is_among_them_and_in_the_final(found):
    _, said, folder = found
    study = optuna.load_study(study_name=None, storage=tune._storage(folder))

    [plain] = [trial for trial in study.trials if trial.params.items() <= tune.FIRST.items()]
    assert plain.state.name == "COMPLETE"
    assert any(line.startswith(f"trial {plain.number + 1} on all rows: ") for line in said)


def test_the_best_of_the_final_wins_as_it_would_alone(found, data, fold):
    tuned, said, _ = found
    alone = Matrices(data, fold, seed=SEED, threads=THREADS)
    params = booster_params(tuned.params, alone.tree_rows(few=False), SEED, 1)
    heads, shorter = {}, 0
    for horizon in HORIZONS:
        heads[horizon] = alone.heads(horizon, params, shorter=partial(int, shorter))
        shorter = heads[horizon].quantiles.num_boosted_rounds()
    finals = [float(re.search(r"skill ([+-][\d.]+)", line)[1]) for line in said if " on all rows: " in line]

    assert np.mean([alone.skill(horizon, each) for horizon, each in heads.items()]) == pytest.approx(tuned.skill)
    assert tuned.skill == pytest.approx(max(finals), abs=1e-4)
    assert {horizon: each.quantiles.num_boosted_rounds() for horizon, each in heads.items()} == tuned.rounds
    assert alone.fit.total == tuned.rows == 2 * len(alone.fit[0].rows)


def test_other_markets_are_learnt_from_as_far_as_they_end_before_the_validation(data, fold):
    other = dataset.build(walk(LOOK_BACK + 2_700, seed=9))
    both = Matrices(data, fold, [other], seed=SEED, threads=1)
    learnt = both.fit[1]
    ends = other.minutes.start[learnt.rows] + (1 + max(HORIZONS)) * MINUTE

    assert both.fit.total == 2 * (1_600 + len(learnt.rows))
    assert both.number == len(learnt.rows) == 1_600, "minutes that both markets saw count once"
    assert learnt.dataset is other
    assert ends[-1] == data.minutes.start[fold.validate[0]] - EMBARGO * MINUTE
    told = {"trials": 1, "seconds": 600, "seed": SEED, "threads": THREADS, "checkpoints": None}
    assert tune.tune(data, [fold], [other], **told).rows == both.fit.total
    later = replace(other, rows=other.rows[other.rows > fold.validate[0]])
    assert Matrices(data, fold, [later], seed=SEED, threads=1).fit.total == 2 * 1_600


def test_what_validation_rows_do_not_tell_is_taken_over_from_the_next_shorter_horizon(data, fold, monkeypatch):
    alone = Matrices(data, fold, seed=SEED, threads=1)
    params = booster_params({**tune.FIRST, "max_depth": 3}, alone.tree_rows(few=False), SEED, 1)

    validated = []

    def grow(*told, **more):
        booster = growth.grow(*told, **more)
        if "validation" in more:
            validated.append(booster.num_boosted_rounds())
        return booster

    def grown(trusted, shorter):
        monkeypatch.setattr(matrices, "trust", lambda _: trusted)
        return alone.heads(60, params, shorter=lambda: shorter).quantiles

    monkeypatch.setattr(matrices, "grow", grow)
    none, few, many = (grown(0.0, shorter) for shorter in (0, 200, 2_000))
    rounds = [booster.num_boosted_rounds() for booster in (none, few, many)]
    rows = data.matrix[fold.validate]

    told = matrices.SHORTER * share(len(fold.fit), 60)
    assert rounds == [0, round(200 * told), round(2_000 * told)]
    assert rounds[1] < validated[0] < rounds[2], "one is cut from what has grown, the other has to grow further"
    np.testing.assert_array_equal(few.inplace_predict(rows), many[: rounds[1]].inplace_predict(rows))
    assert grown(1.0, 2_000).num_boosted_rounds() == grown(1.0, 0).num_boosted_rounds()


def test_skill_is_that_of_the_quantiles_a_forecast_would_have(data, fold):
    alone = Matrices(data, fold, seed=SEED, threads=1)
    heads = alone.heads(5, booster_params(tune.FIRST, alone.tree_rows(few=False), SEED, 1))
    target, weight = data.targets[5][alone.validate.rows], data.scale[alone.validate.rows]
    quantiles, size = seen(heads, data.matrix[alone.validate.rows])
    lost = weight @ pinball(target, np.sort(quantiles, axis=1) * np.exp(size))
    flat = weight @ pinball(target, empirical(alone.fit.targets(5))[None, :])

    assert alone.skill(5, heads) == pytest.approx(1 - lost / flat)


def test_a_heat_learns_from_every_fourth_row_in_shards_as_its_objective_does(data, fold, monkeypatch):
    taken = []
    monkeypatch.setattr(matrices, "FEW_AT_ONCE", 400)
    monkeypatch.setattr(growth, "quantised", lambda rows, *_: taken.append(rows) or quantised(rows, 1))
    alone = Matrices(data, fold, seed=SEED, threads=1)
    few = slice(0, None, matrices.FEWER)

    parts = [alone.fit.features(few)[part] for part in alone.few_matrix.parts]
    assert len(parts) == 2
    for rows, part in zip(taken[-2:], parts, strict=True):
        np.testing.assert_array_equal(rows, part)


def test_a_trial_behind_the_median_of_those_that_came_as_far_is_given_up():
    study = optuna.create_study(direction="maximize")
    ended = [_told(study, [0.03, last]).number for last in (0.01, 0.02, 0.03)]

    assert ended == [0, 1, 2]
    assert tune.behind(_told(study, [0.04, 0.015]))  # though it was ahead at first
    assert not tune.behind(_told(study, [0.02, 0.025]))
    assert not tune.behind(_told(study, [0.04, 0.01, 0.0]))  # nobody came as far


def _told(study, skills):
    trial = study.ask()
    for step, skill in enumerate(skills, 1):
        trial.report(skill, step)
    return trial


def test_a_search_without_time_left_goes_with_what_it_has(found, data, fold):
    tuned, _, folder = found
    told = {"trials": 2 * TRIALS, "seconds": 0, "seed": SEED, "threads": 1, "checkpoints": folder}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Matrices, "heads", _interrupted)  # all has grown before
        again = tune.tune(data, [fold], **told)

    assert again.params == tuned.params
    assert again.rounds == tuned.rounds


def test_a_search_that_goes_on_has_only_the_time_that_is_left(tmp_path, monkeypatch):
    passed, timeouts = iter(range(0, 100_000, 100)), []

    def one_trial(study, work, *, timeout, n_trials, **told):
        timeouts.append(timeout)
        OPTIMIZE(study, work, n_trials=min(1, n_trials), **told)

    monkeypatch.setattr(optuna.Study, "optimize", one_trial)
    monkeypatch.setattr(Search, "_heat", lambda *_: 1.0)
    for _ in range(4):
        search = Search([], 9, seed=SEED, threads=1, clock=lambda: next(passed))
        search.heats(250, "study", tune._storage(tmp_path))

    assert timeouts == [250, 150, 50, 0], "each trial takes 100 of them"


@pytest.mark.parametrize("others", [[], [TrialState.PRUNED, TrialState.COMPLETE]], ids=["none", "others"])
def test_a_search_whose_time_is_over_still_measures_the_plain_recipe(others, tmp_path, monkeypatch):
    """As where a job was stopped while that was the last to grow."""
    storage = tune._storage(tmp_path)
    study = optuna.create_study(study_name="study", storage=storage, direction="maximize", sampler=SeededTPE(SEED))
    study.set_user_attr(tune._SPENT, 1e6)
    study.enqueue_trial(dict(tune.FIRST))
    tune.suggested(study.ask())
    for state in others:
        trial = study.ask()
        tune.suggested(trial)
        study.tell(trial, 0.5 if state == TrialState.COMPLETE else None, state)
    monkeypatch.setattr(Search, "_heat", lambda _, trial: tune.suggested(trial)["subsample"])
    found = Search([], 2, seed=SEED, threads=1).heats(250, "study", storage)

    [plain] = [trial for trial in found.trials if trial.state == TrialState.COMPLETE and tune._plain(trial)]
    assert plain.value == tune.FIRST["subsample"]


def test_what_a_trial_tries_depends_on_the_seed_and_its_number_alone():
    def tried(seed, stops=()):
        storage, found = optuna.storages.InMemoryStorage(), []
        for begun in range(14):
            if begun == 0 or begun in stops:
                study = optuna.create_study(
                    study_name="study", storage=storage, sampler=SeededTPE(seed), load_if_exists=True
                )
            trial = study.ask()
            found.append(tune.suggested(trial))
            study.tell(trial, -trial.params["lambda"])
        return found

    whole = tried(1)
    assert tried(1, stops=(3, 12)) == whole, "a start-up trial, and one that TPE draws"
    assert len({each["lambda"] for each in whole}) == 14
    assert tried(2) != whole


@pytest.mark.parametrize(("trusted", "most"), [(0.0, matrices.UNSHOWN), (1.0, matrices.WEIGHT)])
def test_a_network_has_its_share_and_more_where_it_has_shown_what_it_learns(data, fold, monkeypatch, trusted, most):
    monkeypatch.setattr(matrices, "trust", lambda _: trusted)
    monkeypatch.setattr(networks, "EPOCHS", 1)
    told = Matrices(data, fold, seed=SEED, threads=1).weights(SEED, 1, lambda _: None)

    fewer = {horizon: share(len(fold.fit), horizon) ** (1 if trusted else 2) for horizon in HORIZONS}
    assert told == {horizon: pytest.approx(most * fewer[horizon]) for horizon in HORIZONS}


def test_trials_on_other_rows_are_not_gone_on_with(found, data, fold):
    tuned, _, folder = found
    later, other = Fold(fold.fit[100:], fold.validate), dataset.build(walk(LOOK_BACK + 1, seed=9))
    told = {"trials": 1, "seconds": 600, "seed": SEED, "threads": THREADS, "checkpoints": folder}

    assert tune.tune(data, [later], **told).trials == 1 < tuned.trials
    assert tune.tune(data, [fold], **told).trials == tuned.trials
    assert tune._study_name(data, [fold], (), SEED) != tune._study_name(data, [fold], [other], SEED)


class Told(NamedTuple):
    """Matrices whose horizons take a known number of rounds, and as many more as the next shorter one."""

    number: int

    def tree_rows(self, **_):
        return 1_000

    def heads(self, horizon, _, *, shorter, **__):
        rounds = self.number + horizon + shorter()
        return SimpleNamespace(quantiles=SimpleNamespace(num_boosted_rounds=lambda: rounds))

    def skill(self, _, heads):
        return float(heads.quantiles.num_boosted_rounds())


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_each_horizon_is_told_the_rounds_of_the_next_shorter_one_of_its_own_fold(threads):
    search = Search([Told(1_000), Told(2_000)], 2, seed=SEED, threads=threads, say=lambda _: None)
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial(dict(tune.FIRST))
    trial = study.ask()
    chain = [*np.cumsum([1_001, 1_005, 1_015, 1_060]), *np.cumsum([2_001, 2_005, 2_015, 2_060])]

    assert list(search._few(tune.suggested(trial))) == chain
    for _ in range(2):  # the second time all are kept
        [finalist] = search._measured(study, [trial])
        assert list(finalist.skills) == chain
        assert finalist.rounds == dict(zip(HORIZONS, chain[4:], strict=True))


def test_a_search_that_was_broken_off_in_its_first_trial_begins_again(data, fold, tmp_path):
    told = {"trials": 1, "seconds": 600, "seed": SEED, "threads": 1, "checkpoints": tmp_path}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Matrices, "heads", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune.tune(data, [fold], **told)

    assert tune.tune(data, [fold], **told).skill > -1


def _interrupted(*_, **__):
    raise KeyboardInterrupt
