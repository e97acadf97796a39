"""What an evaluation tells of quantiles and losses: each figure with the interval its blocks of time give it."""

import json

import numpy as np
import pytest

from btc.forecasts import LEVELS, MEDIAN
from btc.minutes import Minutes
from btc.times import MINUTE
from training import baselines, measures
from training.losses import BLOCK, RESAMPLES, block_bootstrap, interval, resampled

ROWS = 40 * BLOCK
NORMAL = np.array([-1.645, -1.282, -1.036, -0.842, -0.674, -0.524, -0.385, -0.253, -0.126, 0.0])
QUANTILES = np.concatenate([NORMAL, -NORMAL[-2::-1]])


def market(seed=1, *, told=0.0):
    """Returns in two regimes with their quantiles; `told` is the share of the return that the median knows."""
    source = np.random.default_rng(seed)
    scale = np.repeat(np.exp(source.normal(size=ROWS // BLOCK)), BLOCK)
    known, rest = told * source.normal(size=ROWS), (1 - told**2) ** 0.5
    truth = scale * (known + rest * source.normal(size=ROWS))
    return truth, scale[:, None] * (known[:, None] + rest * QUANTILES), scale


def test_every_figure_lies_within_its_interval_and_is_json():
    told = measures.shape(*market(told=0.2), seed=1)

    for name in ("coverage_90", "coverage_90_calm", "coverage_90_wild", "direction", "mae_skill"):
        assert told[f"{name}_low"] < told[name] < told[f"{name}_high"], name
    for level in LEVELS:
        low, high = told["coverage_intervals"][f"{level:.2f}"]
        assert low <= told["coverage"][f"{level:.2f}"] <= high
    assert told == json.loads(json.dumps(told, allow_nan=False))


def test_true_quantiles_are_found_to_cover_and_coins_to_be_coins():
    truth, predicted, scale = market()
    predicted[:, MEDIAN] = np.random.default_rng(2).choice([-1e-9, 1e-9], size=ROWS)
    told = measures.shape(truth, predicted, scale, seed=1)

    assert told["coverage_90_low"] < 0.9 < told["coverage_90_high"]
    assert told["direction_low"] < 0.5 < told["direction_high"]
    assert told["mae_skill"] == pytest.approx(0, abs=1e-3)
    assert told["coverage_90_high"] - told["coverage_90_low"] < 0.02


def test_a_median_that_knows_has_skill_and_direction_above_chance_beyond_doubt():
    told = measures.shape(*market(told=0.3), seed=1)

    assert told["direction_low"] > 0.5
    assert told["mae_skill_low"] > 0


def test_intervals_that_fail_in_one_regime_are_found_there():
    truth, predicted, scale = market()
    calm = scale <= np.quantile(scale, 0.2)
    predicted[calm] *= 0.5
    told = measures.shape(truth, predicted, scale, seed=1)

    assert told["coverage_90_calm_high"] < 0.7
    assert told["coverage_90_wild_low"] > 0.87


def bouncing(rows=ROWS, spread=1.0, seed=6):
    """Returns of each minute where the price stands still but for bid and ask, between which it is traded at random."""
    source = np.random.default_rng(seed)
    side = source.choice([-spread, spread], size=rows + 6)
    return np.diff(side + 0.7 * source.normal(size=rows + 6).cumsum())


def told_of(steps, horizon, median, last=None):
    """The signs of forecasts for so many of these minutes ahead."""
    truth = sum(steps[ahead : ROWS + ahead] for ahead in range(1, horizon + 1))
    first = steps[1 : ROWS + 1] if horizon > 1 else np.zeros(ROWS)
    return measures.signs(truth, median, last=steps[:ROWS] if last is None else last, first=first, seed=1)


def test_what_bid_and_ask_tell_of_a_sign_is_told_apart():
    steps = bouncing()
    near, far = (told_of(steps, horizon, -steps[:ROWS]) for horizon in (1, 5))

    assert (
        near["direction_later"]
        == near["reversal"]
        == pytest.approx((np.sign(steps[1:]) != np.sign(steps[:-1])).mean(), abs=1e-3)
    )
    assert near["reversal_low"] > 0.55, "the price goes back"
    assert far["direction_later_low"] < 0.5 < far["direction_later_high"], "and stays there"


def test_where_many_minutes_see_no_trade_the_price_goes_back_in_later_ones():
    source = np.random.default_rng(5)
    traded = source.random(ROWS + 6) < 0.5
    side = source.choice([-1.0, 1.0], size=ROWS + 6)
    seen = side[np.maximum.accumulate(np.where(traded, np.arange(ROWS + 6), 0))]
    steps = np.diff(seen, prepend=seen[0])
    prices = np.exp(1e-4 * seen)
    minutes = Minutes.of_columns(MINUTE * np.arange(ROWS + 6), *[prices] * 4, volume=traded.astype(float))
    last = measures.last_moves(minutes)[:ROWS]
    told = told_of(steps, 5, -last, last)

    assert told["direction_later"] == told["reversal"] > 0.65


def test_a_median_that_knows_what_comes_later_is_seen_to():
    first, later = np.random.default_rng(2).normal(size=(2, ROWS))
    told = measures.signs(first + later, later, last=first, first=first, seed=1)

    assert told["direction_later"] == 1
    assert told["reversal_low"] < 0.5 < told["reversal_high"]


def test_the_last_move_is_that_of_the_last_minute_in_which_the_close_moved():
    closes = np.array([5.0, 5.0, 6.0, 6.0, 6.0, 3.0])
    moves = measures.last_moves(Minutes.of_columns(MINUTE * np.arange(6), *[closes] * 4, volume=np.ones(6)))

    up, down = np.log(6 / 5), -0.25  # no return is beyond that
    np.testing.assert_allclose(moves, [0, 0, up, up, up, down])


def test_a_market_that_never_moved_has_a_coins_direction_and_no_skill():
    told = measures.shape(np.zeros(ROWS), np.zeros((ROWS, len(LEVELS))), np.ones(ROWS), seed=1)

    assert (told["direction_low"], told["direction"], told["direction_high"]) == (0.5, 0.5, 0.5)
    assert (told["mae_skill_low"], told["mae_skill"], told["mae_skill_high"]) == (0, 0, 0)


def test_intervals_are_as_wide_as_independent_blocks_make_them():
    blocks = np.random.default_rng(3).normal(size=400)
    means = resampled(np.repeat(blocks, BLOCK)[:, None], mean_of(400), seed=1)

    assert len(means) == RESAMPLES
    assert means.std() == pytest.approx(blocks.std() / 20, rel=0.1)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_intervals_of_few_blocks_hold_as_often_as_they_say(count):
    source, held = np.random.default_rng(3), 0
    for seed in range(400):
        blocks = 5 + source.normal(size=count)
        low, high = interval(resampled(np.repeat(blocks, BLOCK)[:, None], mean_of(count), seed))
        held += low < 5 < high

    assert 0.9 < held / 400 < 0.985


def test_a_stub_at_the_end_is_no_block_of_its_own():
    source, held = np.random.default_rng(3), 0
    for seed in range(400):
        rows = np.append(np.repeat(5 + source.normal(size=2), BLOCK), 5.0)
        low, high = interval(resampled(rows[:, None], mean_of(rows.size / BLOCK), seed))
        held += low < 5 < high

    assert held / 400 > 0.92


def test_a_single_block_is_halved_for_one_tells_nothing_of_how_blocks_differ():
    rows = np.repeat([1.0, 3.0], BLOCK // 4)[:, None]
    low, high = interval(resampled(rows, mean_of(rows.size / BLOCK), seed=1))

    assert low < 1
    assert high > 3


def mean_of(count):
    """Of so many blocks."""
    return lambda sums: sums[..., 0] / (count * BLOCK)


def test_skill_is_told_against_every_baseline_and_the_best_of_them():
    source = np.random.default_rng(4)
    lost = {name: source.gamma(2.0, size=ROWS) * (1 + number / 10) for number, name in enumerate(baselines.NAMES)}
    lost["model"] = 0.9 * lost["naive"]
    lost["model"][:100] = np.nan
    told = measures.skills(lost, seed=1)

    assert told["best_baseline"] == "naive"
    assert told["crps_skill"] == told["against"]["naive"]["crps_skill"] == pytest.approx(0.1)
    assert set(told["against"]) == set(baselines.NAMES)
    low, high = interval(block_bootstrap(lost["model"][100:], lost["har"][100:], seed=1))
    assert told["against"]["har"] == {
        "crps_skill": pytest.approx(1 - lost["model"][100:].mean() / lost["har"][100:].mean()),
        "crps_skill_low": low,
        "crps_skill_high": high,
    }
