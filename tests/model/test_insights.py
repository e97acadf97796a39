"""What a report tells is what the model and its losses say."""

import numpy as np
import pytest

from btc import features
from btc.heads import predicted
from btc.times import DAY, MINUTE
from training import insights
from training.losses import BASIS_POINTS, pinball


def test_a_skill_that_one_month_alone_had_is_found_in_that_month():
    minutes = np.arange(90 * 1440) + (17_897 * DAY) // MINUTE  # from 2019-01-01
    theirs = np.random.default_rng(1).gamma(4.0, size=len(minutes))
    february = (minutes.astype("datetime64[m]").astype("datetime64[M]") == np.datetime64("2019-02")).astype(float)
    told = insights.periods(minutes, theirs * (1 - 0.1 * february), theirs, seed=1)

    assert [str(each.start) for each in told] == ["2019-01", "2019-02", "2019-03"]
    np.testing.assert_allclose([each.skill for each in told], [0.0, 0.1, 0.0], atol=1e-12)


@pytest.mark.parametrize(("days", "spans"), [(5, 5), (28, 5), (70, 3)])
def test_short_tests_are_told_by_day_or_week(days, spans):
    minutes = np.arange(days * 1440) + (17_897 * DAY) // MINUTE
    mine = np.random.default_rng(1).gamma(4.0, size=(2, len(minutes)))
    mine[0, :100] = np.nan
    told = insights.periods(minutes, *mine, seed=1)

    assert len(told) == spans
    assert all(each.low <= each.skill <= each.high for each in told)


def test_the_features_shares_are_of_all_that_splits_gained(story, run):
    for head in insights.HEADS:
        for horizon, shares in story.gains[head].items():
            assert set(shares) <= set(features.NAMES)
            splits = getattr(run.model.heads[horizon], head).get_score(importance_type="weight")
            assert len(shares) == len(splits)
            assert sum(shares.values()) == pytest.approx(1 if splits else 0)


def test_a_learning_curve_ends_with_the_loss_of_the_whole_model(story, run, data, parts):
    for horizon, heads in run.model.heads.items():
        curve = story.curves["quantiles"][horizon]
        rows = parts.calibrate[np.isfinite(data.targets[horizon][parts.calibrate])]
        quantiles, size = predicted(heads, data.matrix[rows])
        lost = pinball(data.targets[horizon][rows], np.sort(quantiles, axis=1) * size)
        whole = float(np.mean(lost * data.scale[rows]) * BASIS_POINTS * horizon**0.5)

        assert curve.rounds[-1:] == (heads.quantiles.num_boosted_rounds(),)[: len(curve.rounds)]
        assert curve.losses[-1:] == (pytest.approx(whole),)[: len(curve.losses)]


def test_the_windows_follow_each_other_and_hold_the_splits_rows(story, parts):
    assert [each.rows for each in story.windows] == [len(getattr(parts, each.use)) for each in story.windows]
    for before, after in zip(story.windows, story.windows[1:], strict=False):
        assert before.first < before.until < after.first
