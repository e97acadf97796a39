"""The baselines a model is measured beside: learnt from the training rows, blind to what comes after each row."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from arch import arch_model

from btc import paths
from btc.baselines import HAR_WINDOWS, latest
from btc.baselines import realised as realised_volatilities
from btc.features import LOOK_BACK
from btc.forecasts import HORIZONS, LEVELS
from tests.model.walks import walk
from training import baselines, dataset
from training.baselines import Garch

MINUTES = walk(6_000, seed=4)
DATA = dataset.build(MINUTES)
TRAIN, TEST = DATA.rows[:2_500], DATA.rows[2_600:-60]
GARCH = Garch.fitted(MINUTES, TRAIN)


def test_garch_is_what_arch_makes_of_the_training_minutes():
    returns = 1e4 * paths.steps(np.log(MINUTES.close[int(TRAIN[0]) : int(TRAIN[-1]) + 1]))
    told = arch_model(returns, mean="Zero", vol="GARCH", p=1, q=1, rescale=False).fit(disp="off", show_warning=False)
    ours = GARCH.volatility(MINUTES[int(TRAIN[0]) : int(TRAIN[-1]) + 1], 1)

    assert (GARCH.constant, GARCH.shock, GARCH.memory) == tuple(told.params)
    # Ours after row t is arch's for row t + 1; they begin from different guesses and soon agree.
    np.testing.assert_allclose(1e4 * ours[500:-1], told.conditional_volatility[501:], rtol=1e-3)


def test_garch_over_a_horizon_is_the_sum_of_its_expected_variances():
    one, five = (GARCH.volatility(MINUTES, horizon) for horizon in (1, 5))
    steady = GARCH.constant / (1 - GARCH.shock - GARCH.memory)
    persistence = GARCH.shock + GARCH.memory
    expected = sum(steady + persistence**step * (1e8 * one**2 - steady) for step in range(5))

    np.testing.assert_allclose(1e8 * five**2, expected, rtol=1e-6)


@pytest.mark.parametrize("horizon", HORIZONS)
def test_no_baseline_sees_what_comes_after_its_row_or_learns_from_the_test(horizon):
    last = int(TEST[300])
    short = dataset.build(MINUTES[: last + 1])
    whole = baselines.quantiles(DATA, TRAIN, TEST[:301], horizon, GARCH)
    alone = baselines.quantiles(short, TRAIN, TEST[:301], horizon, GARCH)

    assert tuple(whole) == baselines.NAMES
    for name, quantiles in whole.items():
        np.testing.assert_allclose(alone[name], quantiles, rtol=1e-9, err_msg=name)
        assert quantiles.shape == (301, len(LEVELS))
        assert (np.diff(quantiles, axis=1) >= 0).all()


def test_har_finds_the_wild_hours_of_a_market_whose_volatility_changes_slowly():
    expected = baselines.har(MINUTES, TRAIN, 15).volatility(realised_volatilities(MINUTES), 15)[TEST]
    realised = np.abs(np.log(MINUTES.close[TEST + 15] / MINUTES.close[TEST]))

    assert realised[expected > np.median(expected)].mean() > 1.3 * realised[expected <= np.median(expected)].mean()


@pytest.mark.parametrize("horizon", HORIZONS)
def test_har_is_an_ordinary_regression_and_lives_on_as_it_was_judged(horizon):
    squares = pd.Series(paths.steps(np.log(MINUTES.close))) ** 2
    realised = np.column_stack([squares.rolling(span).mean() ** 0.5 for span in HAR_WINDOWS])
    ahead = squares.rolling(horizon).mean().shift(-horizon).to_numpy() ** 0.5
    inputs = np.column_stack([np.ones(len(TRAIN)), realised[TRAIN]])
    weights, *_ = np.linalg.lstsq(inputs, ahead[TRAIN], rcond=None)
    taught = baselines.har(MINUTES, TRAIN, horizon)
    judged = baselines.quantiles(DATA, TRAIN, TEST, horizon, GARCH)["har"]

    np.testing.assert_allclose(taught.weights, weights, rtol=1e-3, atol=1e-8)
    for place, row in enumerate(TEST[:3]):
        live = latest(MINUTES[row - LOOK_BACK : row + 1], taught=dict.fromkeys(HORIZONS, taught))
        assert live["har"][horizon].tobytes() == judged[place].tobytes()


CREEPING = np.concatenate([np.zeros(len(MINUTES) // 2), np.full(len(MINUTES) // 2, 2e-6)])


def stepping(steps):
    """The minutes with such log returns over and over."""
    close = 50_000 * np.exp(np.cumsum(np.resize(steps, len(MINUTES))))
    return replace(MINUTES, open=close, high=close, low=close, close=close)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([0.0], "the price hardly moves"),
        ([1e-9, -1e-9], "the price hardly moves"),
        (CREEPING, "the optimiser came to no end: "),
        ([1e-4, -1e-4], None),
        ([0.0] * 99 + [0.03], None),
    ],
    ids=["still", "a billionth", "creeping", "in turns", "jumps"],
)
def test_garch_stays_finite_where_minutes_hardly_move_and_says_when_it_is_not_the_best_fit(steps, said):
    minutes = stepping(steps)
    fitted = Garch.fitted(minutes, TRAIN)

    if said is None:
        assert fitted.fallback is None
    else:
        assert said in fitted.fallback
    assert fitted.shock + fitted.memory <= 1 + 1e-6
    volatility = fitted.volatility(minutes, 60)
    assert np.isfinite(volatility).all()
    assert (volatility > 0).all()


def test_garch_that_came_to_no_end_is_no_less_likely_than_riskmetrics():
    minutes = stepping(CREEPING)
    ended, returns = Garch.fitted(minutes, TRAIN), 1e4 * paths.steps(np.log(minutes.close))[TRAIN[0] : TRAIN[-1] + 1]
    model = arch_model(returns, mean="Zero", vol="GARCH", p=1, q=1, rescale=False)
    plain = model.fix((0.005 * np.mean(returns**2), 0.055, 0.94))

    assert ended.fallback
    assert model.fix((ended.constant, ended.shock, ended.memory)).loglikelihood >= plain.loglikelihood
