"""What a model says before any tree grows, and how far it lets trees take it away from that."""

from dataclasses import replace

import numpy as np
import pytest

import training.baselines
from btc import features
from btc.baselines import realised
from btc.features import LOOK_BACK
from btc.forecasts import HORIZONS
from btc.heads import Line
from btc.times import DAY
from tests.model.walks import walk
from training import dataset, plain
from training.matrices import BLOCK, trust

MINUTES = walk(LOOK_BACK + 6_000, seed=3)


@pytest.fixture(scope="module")
def data():
    return dataset.build(MINUTES)


def test_an_estimate_from_few_independent_rows_counts_little():
    assert plain.share(plain.INDEPENDENT, 1) == 0.5
    assert plain.share(6_000, 60) < plain.share(6_000, 1) < 1
    assert plain.share(10_000_000, 60) > 0.99


def test_a_line_tells_wild_times_from_calm_ones(data):
    rows, tested = data.rows[:4_000], data.rows[4_000:]
    line = plain.lines(data, rows)[1]
    size = plain.log_size(data.targets[1][tested])
    known = np.isfinite(size)

    told = line.at(data.matrix[tested])[known]
    assert np.corrcoef(size[known], told)[0, 1] > 0.15
    assert np.nanmean(np.abs(data.targets[1][rows]) / np.exp(line.at(data.matrix[rows]))) == pytest.approx(1, abs=0.05)


def test_a_line_learns_slopes_from_other_markets_too_and_its_har_and_level_from_its_own(data):
    wild = dataset.build(walk(LOOK_BACK + 6_000, seed=5, quiet=0.4, flows=False))
    targets = {horizon: 3 * target for horizon, target in wild.targets.items()}
    wild = replace(wild, targets=targets, minutes=replace(wild.minutes, start=wild.minutes.start + 365 * DAY))
    few = data.rows[:1_500]
    alone, other = plain.lines(data, few)[5], plain.lines(wild, wild.rows)[5]
    both = plain.lines(data, few, [(wild, wild.rows)])[5]

    def apart(line):
        return np.abs(both.weights / both.width - line.weights / line.width).sum()

    def told(line):
        return np.nanmean(np.abs(data.targets[5][few]) / np.exp(line.at(data.matrix[few])))

    assert apart(other) < apart(alone)
    np.testing.assert_array_equal(both.har, alone.har)
    assert (both.har != other.har).all()
    assert told(other) < told(both) < 1.05 * told(alone)
    trades = features.NAMES.index("trades_5")
    assert both.weights[trades] != 0 == other.weights[trades], "what the market itself records is told by it"


def test_minutes_that_several_markets_saw_count_once(data):
    assert plain.distinct([(data, data.rows[:100])]) == 100
    assert plain.distinct([(data, data.rows[:100]), (data, data.rows[50:200])]) == 200


def test_the_longer_the_horizon_the_closer_a_line_stays_to_the_one_before(data):
    few = plain.lines(data, data.rows[:1_500])
    assert sorted(few) == sorted(HORIZONS)
    apart = [np.abs(few[far].weights - few[near].weights).sum() for near, far in ((1, 5), (15, 60))]

    assert apart[1] < apart[0] < np.abs(few[1].weights).sum()


def test_a_line_goes_no_further_than_what_it_saw_and_ignores_what_is_unknown(data):
    line = plain.lines(data, data.rows)[5]
    row = data.matrix[data.rows[-1:]].copy()
    far, further, unknown = row.copy(), row.copy(), row.copy()
    column = features.NAMES.index("range_60")
    far[0, column], further[0, column] = 100.0, 1_000.0
    unknown[0, column], row[0, column] = np.nan, line.centre[column]

    assert line.at(far) == line.at(further)
    assert line.at(unknown) == pytest.approx(line.at(row))
    assert Line.from_dict(line.to_dict()).at(far) == line.at(far)


def test_a_line_begins_with_what_a_har_expects_as_the_features_tell_it(data):
    har = training.baselines.har(MINUTES, data.rows, 15)
    volatility = har.volatility(realised(MINUTES)[data.rows], 15)
    line = plain.lines(data, data.rows)[15]._replace(level=0.0, weights=np.zeros(len(features.NAMES)), har=har.weights)
    rows = data.matrix[data.rows]

    told = np.exp(line.at(rows)) * data.scale[data.rows] * 15**0.5
    np.testing.assert_allclose(told, volatility, rtol=1e-3)
    assert all(line.at(rows[row : row + 1]) == line.at(rows)[row] for row in range(0, 6_000, 700))


def test_from_few_rows_a_har_is_the_scales_own(data):
    few, many = (plain.lines(data, data.rows[:number]) for number in (720, 6_000))
    learnt = {horizon: training.baselines.har(MINUTES, data.rows[:720], horizon).weights for horizon in HORIZONS}

    for horizon in HORIZONS:
        counts = plain.share(720, horizon)
        own = (few[horizon].har - counts * learnt[horizon]) / (1 - counts)
        assert own == pytest.approx([0, 0, 0.15, 0.2, 0.3, 0.2, 0.15])
    assert not np.allclose(few[1].har, many[1].har)


@pytest.mark.parametrize("seed", range(4, 8))
def test_a_line_from_half_a_day_expects_nothing_absurd(seed):
    data = dataset.build(walk(LOOK_BACK + 4_000, seed=seed))
    line = plain.lines(data, data.rows[:720])[60]

    told = np.abs(data.targets[60][data.rows[800:]]) / np.exp(line.at(data.matrix[data.rows[800:]]))
    assert np.nanmean(told) < 2


def test_in_a_market_calmer_than_all_it_learnt_from_a_line_with_a_constant_expects_its_return(data):
    calm, row = features.NAMES.index("scale_level"), data.matrix[data.rows[-1:]].copy()
    line = plain.lines(data, data.rows)[60]
    assert line.har[0] > 0
    calmer, calmest = row.copy(), row.copy()
    calmer[0, calm], calmest[0, calm] = row[0, calm] - 6, row[0, calm] - 8

    assert line.at(calmest) > line.at(calmer) > line.at(row)


def test_a_feature_that_never_varies_or_was_not_recorded_weighs_nothing(data):
    matrix = data.matrix.copy()
    flows, quiet = features.NAMES.index("trades_5"), features.NAMES.index("quiet_60")
    matrix[:, flows], matrix[:, quiet] = np.nan, 0.25
    for line in plain.lines(replace(data, matrix=matrix), data.rows).values():
        assert line.weights[flows] == line.weights[quiet] == 0
        assert np.isfinite(line.weights).all()


def test_a_shape_from_few_rows_is_nearly_symmetric():
    drift = np.random.default_rng(1).normal(0.5, 1, size=3_000)
    near, far = plain.shape(drift, 1), plain.shape(drift, 60)

    np.testing.assert_array_less(np.abs(far + far[::-1]), np.abs(near + near[::-1]))
    assert (np.diff(near) > 0).all()


def test_a_gain_is_trusted_as_far_as_it_is_beyond_luck():
    noise = np.random.default_rng(2).normal(size=40 * BLOCK)

    assert trust(noise + 1) > 0.99
    assert 0 < trust(noise - noise.mean() + 0.03) < 0.95
    assert trust(noise - 1) == 0
    assert trust(np.where(np.arange(len(noise)) % 3, noise + 1, np.nan)) > 0.99
