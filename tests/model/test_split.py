"""Cuts in time: what is learnt from ends before what is tested begins, labels included."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btc.forecasts import HORIZONS
from btc.times import MINUTE
from tests.model.walks import walk
from training import dataset, split
from training.split import EMBARGO, TooLittleDataError

DATA = dataset.build(walk(12_000, unknown=0.02))
START = DATA.minutes.start


@settings(max_examples=50)
@given(test_days=st.floats(0.6, 2.0))
def test_no_label_of_one_part_reaches_into_the_next_and_an_embargo_lies_between(test_days):
    parts = split.split(DATA, split.newest(DATA, test_days))
    ordered = [parts.fit, parts.validate, parts.calibrate, parts.test]

    for before, after in pairwise(ordered):
        assert before[-1] + max(HORIZONS) + EMBARGO <= after[0]
    assert parts.test[-1] + max(HORIZONS) < len(START)
    assert START[parts.test[0]] >= split.newest(DATA, test_days)


@settings(max_examples=30)
@given(test_days=st.floats(0.6, 1.5), count=st.integers(1, 5))
def test_folds_walk_forward_and_no_label_reaches_over_a_cut(test_days, count):
    parts = split.split(DATA, split.newest(DATA, test_days))
    walked = split.folds(DATA, parts, count)

    assert 1 <= len(walked) <= count
    np.testing.assert_array_equal(walked[-1].validate, parts.validate)
    for fold in walked:
        assert fold.fit[-1] + max(HORIZONS) + EMBARGO <= fold.validate[0]
        assert fold.validate[-1] + max(HORIZONS) + EMBARGO <= parts.calibrate[0]
    for before, after in pairwise(walked):
        assert before.validate[-1] < after.validate[0]
        assert set(before.fit) < set(after.fit)


def test_a_market_of_many_days_has_more_than_one_fold():
    longer = dataset.build(walk(30_000, seed=6))

    assert len(split.folds(longer, split.split(longer, split.newest(longer, 2.0)), 3)) == 3


def test_a_test_may_end_before_the_data_does():
    until = int(START[-1500])
    parts = split.split(DATA, int(START[-3000]), until)

    assert START[parts.test[-1]] + (1 + max(HORIZONS)) * MINUTE <= until


def test_too_little_data_is_said():
    short = dataset.build(walk(5000))

    with pytest.raises(TooLittleDataError, match="at least"):
        split.split(short, split.newest(short, 3.0))
    with pytest.raises(TooLittleDataError, match="to validate on"):
        split.split(short, split.newest(short, 0.6))


def test_a_market_whose_still_minutes_were_left_out_is_told_so():
    patchy = dataset.build(walk(12_000, unknown=0.13))

    with pytest.raises(
        TooLittleDataError, match=r"1[23]\.\d% of the minutes are unknown.* write them as rows of volume 0"
    ):
        split.split(patchy, split.newest(patchy, 2.0))
