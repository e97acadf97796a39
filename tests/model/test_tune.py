"""The search: trials grow side by side on the same matrices, and none can tell that there were others."""

import numpy as np
import optuna
import pytest

from btc.features import LOOK_BACK
from btc.forecasts import HORIZONS
from tests.model.walks import walk
from training import dataset, tune
from training.growth import booster_params
from training.split import Fold
from training.tune import Matrices

pytestmark = pytest.mark.usefixtures("hasty")

TRIALS, THREADS, SEED = 3, 2, 5


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
    tuned = tune.tune(data, [fold], **told, say=said.append)
    return tuned, [line for line in said if line.startswith("trial")], folder


def test_every_trial_asked_for_is_made_and_told(found):
    tuned, said, folder = found
    study = optuna.load_study(study_name=None, storage=tune._storage(folder))

    assert tuned.trials == len(study.trials) == len(said) == TRIALS
    assert all(trial.state.is_finished() for trial in study.trials)
    assert tuned.skill == max(trial.value for trial in study.trials if trial.state.name == "COMPLETE")


def test_the_plain_recipe_is_among_them(found):
    _, _, folder = found
    study = optuna.load_study(study_name=None, storage=tune._storage(folder))

    assert any(trial.params == dict(tune.FIRST) for trial in study.trials)


def test_a_trial_comes_out_as_it_would_alone(found, data, fold):
    tuned, _, _ = found
    alone = Matrices(data, fold, seed=SEED, threads=THREADS)
    params = booster_params(tuned.params, alone.fit_matrix.tree_rows, SEED, 1)
    heads = {horizon: alone.heads(horizon, params) for horizon in HORIZONS}

    assert np.mean([alone.skill(horizon, each) for horizon, each in heads.items()]) == pytest.approx(tuned.skill)
    assert {horizon: each.quantiles.num_boosted_rounds() for horizon, each in heads.items()} == tuned.rounds
    assert alone.fit.total == tuned.rows == 2 * len(alone.fit[0].rows)


def test_a_search_without_time_left_goes_with_what_it_has(found, data, fold):
    tuned, _, folder = found
    told = {"trials": 2 * TRIALS, "seconds": 0, "seed": SEED, "threads": 1, "checkpoints": folder}
    again = tune.tune(data, [fold], **told)

    assert again.params == tuned.params
    assert again.rounds == tuned.rounds


def test_a_network_has_its_share_where_it_has_shown_what_it_learns(found):
    tuned, _, _ = found

    assert set(tuned.weights) == set(HORIZONS)
    assert all(0 <= weight <= tune.WEIGHT for weight in tuned.weights.values())


def test_trials_on_other_rows_are_not_gone_on_with(found, data, fold):
    tuned, _, folder = found
    later = Fold(fold.fit[100:], fold.validate)
    told = {"trials": 1, "seconds": 600, "seed": SEED, "threads": THREADS, "checkpoints": folder}

    assert tune.tune(data, [later], **told).trials == 1 < tuned.trials
    assert tune.tune(data, [fold], **told).trials == tuned.trials


def test_a_search_that_was_broken_off_in_its_first_trial_begins_again(data, fold, tmp_path):
    told = {"trials": 1, "seconds": 600, "seed": SEED, "threads": 1, "checkpoints": tmp_path}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Matrices, "heads", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune.tune(data, [fold], **told)

    assert tune.tune(data, [fold], **told).skill > -1


def _interrupted(*_):
    raise KeyboardInterrupt
