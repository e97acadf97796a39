"""Forecasts from quantiles of the log return."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btc import forecasts, views
from btc.forecasts import HORIZONS, LEVELS, MEDIAN
from btc.times import MINUTE
from tests.unit.market import BTC, NOON

NORMAL = [-0.01, -0.008, -0.006, -0.005, -0.004, -0.003, -0.002, -0.0015, -0.001, 0.0005] + [
    0.001 * step for step in range(1, 10)
]
RETURNS = st.lists(
    st.integers(-500_000, 500_000).map(lambda millionths: millionths / 1e6), min_size=len(LEVELS), max_size=len(LEVELS)
)


def of(quantiles):
    return forecasts.of(BTC, NOON, 60_000.0, quantiles, model_version="m", baseline=False)


@given(RETURNS)
def test_quantiles_never_cross_and_the_median_is_predicted(returns):
    [made] = of({5: returns})

    assert list(made.quantiles) == sorted(made.quantiles)
    assert made.predicted_price == made.quantiles[MEDIAN]
    assert 0 < made.probability_up < 1


@given(RETURNS, st.floats(1e-4, 0.2))
def test_the_probability_of_a_rise_grows_as_the_distribution_moves_up(returns, shift):
    ascending = sorted(returns)
    moved = [value + shift for value in ascending]

    assert forecasts.probability_above_zero(moved) >= forecasts.probability_above_zero(ascending)


@given(RETURNS)
def test_a_mirrored_distribution_has_the_mirrored_probability(returns):
    ascending = sorted(returns)
    mirrored = [-value for value in reversed(ascending)]
    total = forecasts.probability_above_zero(ascending) + forecasts.probability_above_zero(mirrored)

    assert total == pytest.approx(1, abs=1e-6)


def test_there_is_a_forecast_a_horizon_that_tells_when_it_is_for():
    made = of(dict.fromkeys(reversed(HORIZONS), NORMAL))

    assert [each.horizon for each in made] == sorted(HORIZONS)
    assert [each.target_time for each in made] == [NOON + horizon * MINUTE for horizon in sorted(HORIZONS)]
    assert made[0].quantiles[0] == pytest.approx(60_000 * math.exp(-0.01))


def test_a_forecast_is_plain_json():
    [made] = of({60: NORMAL})
    told = json.loads(views.to_json(views.forecasts(made.market, [made], None, NOON)))["forecasts"][0]

    assert told["symbol"] == "BTC-USD"
    assert told["as_of"] == "2025-11-10T12:00:00Z"
    assert told["target_time"] == "2025-11-10T13:00:00Z"
    assert list(told["quantiles"]) == [f"{level:.2f}" for level in LEVELS]
    assert told["baseline"] is False
