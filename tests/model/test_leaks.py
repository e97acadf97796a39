"""The leak alarm: silent on what is honest, and each planted leak is caught and named."""

from dataclasses import replace

import numpy as np
import pytest

from btc import features, labels
from btc.features import NAMES
from btc.forecasts import MEDIAN
from tests.model.walks import busy, walk
from training import dataset, leaks, measures, split
from training.leaks import LeakError
from training.split import EMBARGO, Fold

DATA = dataset.build(walk(14_000, seed=8, unknown=0.01))
PARTS = split.split(DATA, split.newest(DATA, 2.0))
[FOLD, *_] = split.folds(DATA, PARTS, 1)
START = DATA.minutes.start
HONEST = {
    "direction_later": 0.545,
    "reversal": 0.52,
    "crps_skill": 0.03,
    "crps_skill_low": 0.02,
    "rows": 240_000,
}


def test_honest_features_folds_and_controls_raise_no_alarm():
    found = leaks.refuse_leaks(DATA, PARTS, seed=1, threads=1)
    leaks.refuse_too_good({"5": HONEST})

    assert set(found) == set(leaks.HIGHEST)


def test_a_feature_shifted_by_one_minute_is_caught_by_name():
    shifted = DATA.matrix.copy()
    column = NAMES.index("return_1")
    shifted[:-1, column] = DATA.matrix[1:, column]

    with pytest.raises(LeakError, match="return_1 of row"):
        leaks.refuse_future_features(DATA.minutes, DATA.rows, shifted, features.matrix)


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_model_that_reads_a_feature_of_the_future_is_too_good(horizon):
    shifted, column = DATA.matrix.copy(), NAMES.index(f"return_{horizon}")
    shifted[:-horizon, column] = DATA.matrix[horizon:, column]
    leaking, rows = replace(DATA, matrix=shifted), FOLD.validate
    target = DATA.targets[horizon]
    quantiles = leaks._taught(leaking, FOLD.fit, rows, target, horizon=horizon, seed=1, threads=1)
    known = rows[np.isfinite(target[rows])]
    truth, last = labels.returns(DATA.minutes, horizon)[known], measures.last_moves(DATA.minutes)[known]
    first = labels.returns(DATA.minutes, 1)[known] if horizon > 1 else np.zeros(len(known))
    median = quantiles[np.isfinite(target[rows]), MEDIAN]
    told = measures.signs(truth, median, last=last, first=first, seed=1)

    with pytest.raises(LeakError, match=f"at {horizon} min the direction is right"):
        leaks.refuse_too_good({str(horizon): {**HONEST, **told, "rows": len(truth)}})


def test_a_sign_may_be_as_right_as_bid_and_ask_make_it():
    bouncing = {**HONEST, "direction_later": 0.76, "reversal": 0.74}
    leaks.refuse_too_good({"1": bouncing, "5": bouncing})
    going_on = {**bouncing, "reversal": 0.26}
    leaks.refuse_too_good({"5": going_on})

    with pytest.raises(LeakError, match="at 1 min the direction is right 76"):
        leaks.refuse_too_good({"1": going_on})
    with pytest.raises(LeakError, match="at 5 min the direction is right 76"):
        leaks.refuse_too_good({"5": {**bouncing, "reversal": 0.6}})


@pytest.mark.parametrize("unseen", [0.0, 0.5])
def test_a_market_that_goes_back_and_forth_raises_no_alarm(unseen):
    minutes, source = walk(14_000, seed=8), np.random.default_rng(1)
    halves = source.choice([-2e-3, 2e-3], size=len(minutes))
    halves = halves[np.maximum.accumulate(np.where(source.random(len(minutes)) < unseen, 0, np.arange(len(minutes))))]
    closed = minutes.close * np.exp(halves)
    high, low = np.maximum(minutes.high, closed), np.minimum(minutes.low, closed)
    data = dataset.build(replace(minutes, close=closed, high=high, low=low))
    found = leaks.refuse_leaks(data, split.split(data, split.newest(data, 2.0)), seed=1, threads=1)

    assert found["next_minute"] < 0.02
    steps = np.diff(np.log(closed))
    assert np.corrcoef(steps[1:], steps[:-1])[0, 1] < -0.15


def test_a_price_that_stands_still_where_a_line_is_learnt_gives_none():
    closed = DATA.minutes.close.copy()
    closed[: FOLD.validate[0]] = closed[0]
    data = replace(DATA, minutes=replace(DATA.minutes, close=closed), targets={1: np.zeros(len(closed))})

    assert not leaks._bounced(data, FOLD.fit, FOLD.validate).any()


def test_volumes_a_minute_early_are_caught():
    minutes = walk(14_000, seed=8)
    leaks.refuse_early_volume(busy(minutes))
    leaks.refuse_early_volume(minutes)

    with pytest.raises(LeakError, match=r"volumes go with the next minute's move \(0\.\d+\) more than"):
        leaks.refuse_early_volume(busy(minutes, ahead=1))


def test_a_scale_of_a_later_minute_is_caught():
    leaks.refuse_future_scale(DATA.minutes, DATA.rows, DATA.scale)

    with pytest.raises(LeakError, match="the scale of row"):
        leaks.refuse_future_scale(DATA.minutes, DATA.rows, np.roll(DATA.scale, -1))


def test_a_skill_no_market_gives_is_refused():
    with pytest.raises(LeakError, match="skill is 40"):
        leaks.refuse_too_good({"60": {**HONEST, "crps_skill": 0.4, "crps_skill_low": 0.3}})


def test_shuffled_folds_are_caught():
    mixed = np.random.default_rng(1).permutation(PARTS.train)
    fit, validate = np.sort(mixed[:4_000]), np.sort(mixed[4_000:])

    with pytest.raises(LeakError, match="rows that are learnt from reach"):
        leaks.refuse_shared_futures(START, fit, validate)


@pytest.mark.parametrize("kept", [0, EMBARGO])
def test_a_cut_without_purge_or_without_embargo_is_caught(kept):
    cut = int(FOLD.validate[0])
    unpurged = np.arange(FOLD.fit[0], cut - kept)

    with pytest.raises(LeakError, match="purge"):
        leaks.refuse_shared_futures(START, unpurged, FOLD.validate)


def test_folds_that_learn_from_what_they_are_judged_on_are_caught():
    with pytest.raises(LeakError, match="rows that are learnt from reach"):
        leaks.refuse_shared_futures(START, np.concatenate([FOLD.fit, FOLD.validate]), FOLD.validate)


def moved(minutes, columns=slice(None)):
    """The data with features of so many minutes later."""
    matrix = DATA.matrix.copy()
    matrix[:-minutes, columns] = DATA.matrix[minutes:, columns]
    return replace(DATA, matrix=matrix)


def test_the_shuffled_control_fires_where_folds_are_shuffled():
    mixed = np.random.default_rng(1).permutation(np.concatenate([FOLD.fit, FOLD.validate]))
    fold = Fold(np.sort(mixed[len(FOLD.validate) :]), np.sort(mixed[: len(FOLD.validate)]))

    with pytest.raises(LeakError, match=r"the shuffled control has a skill of .* lie among those that are judged"):
        leaks.refuse_skilled_controls(leaks.controls(DATA, fold, seed=1, threads=1))


def test_the_shifted_control_fires_where_a_feature_is_a_day_ahead():
    leaking = moved(1440 + 5, [NAMES.index("return_5")])

    with pytest.raises(LeakError, match=r"the shifted control has a skill of .* prices of a day later"):
        leaks.refuse_skilled_controls(leaks.controls(leaking, FOLD, seed=1, threads=1))


def test_the_next_minute_control_fires_where_one_feature_is_one_minute_ahead():
    leaking = moved(1, [NAMES.index("return_1")])

    with pytest.raises(LeakError, match=r"the next_minute control has a skill of .* minutes after their own"):
        leaks.refuse_skilled_controls(leaks.controls(leaking, FOLD, seed=1, threads=1))
