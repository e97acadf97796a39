"""Baselines: finite, causal, calibrated on a market they fit."""

import numpy as np
import pytest

from btc import baselines, labels
from btc.baselines import FEWEST, SERVED, VOLATILITIES, TooFewMinutesError
from btc.features import LOOK_BACK
from btc.forecasts import HORIZONS, LEVELS
from tests.model.walks import walk

MINUTES = walk(12_000, seed=9)
LAST = np.array([len(MINUTES) - 1])


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("name", sorted(VOLATILITIES))
def test_a_live_baseline_needs_its_look_back_only(name, horizon):
    tail = MINUTES[-(LOOK_BACK + 1) :]
    whole = baselines.look_back(MINUTES, LAST, horizon, VOLATILITIES[name](MINUTES))[0]

    assert baselines.latest(tail)[name][horizon].tobytes() == whole.tobytes()
    assert VOLATILITIES[name](tail)[-1] == VOLATILITIES[name](MINUTES)[-1]


def test_what_is_served_without_a_model_is_one_of_the_live_baselines():
    served = baselines.latest(MINUTES)[SERVED]

    assert all(
        served[horizon].tobytes() == baselines.look_back(MINUTES, LAST, horizon)[0].tobytes() for horizon in HORIZONS
    )


@pytest.mark.parametrize("horizon", HORIZONS)
def test_a_baseline_does_not_see_the_future(horizon):
    rows = np.arange(2000, 2500)
    alone = baselines.look_back(MINUTES[:2500], rows, horizon)

    assert alone.tobytes() == baselines.look_back(MINUTES, rows, horizon).tobytes()


def test_ewma_is_the_weighted_mean_of_squares():
    steps = np.diff(np.log(MINUTES.close[:400]))
    weights = 0.5 ** (np.arange(len(steps))[::-1] / baselines.HALF_LIFE)
    expected = np.sqrt((weights * steps**2).sum() / weights.sum() + 1e-12)

    assert baselines.ewma(MINUTES[:400])[-1] == pytest.approx(expected, rel=1e-9)


def test_har_is_the_weighted_mean_of_realised_variances():
    squares = np.diff(np.log(MINUTES.close)) ** 2
    expected = np.sqrt(sum(weight * (squares[-span:].mean() + 1e-12) for span, weight in baselines.HAR))

    assert baselines.har(MINUTES)[-1] == pytest.approx(expected, rel=1e-9)
    assert sum(weight for _, weight in baselines.HAR) == pytest.approx(1)


@pytest.mark.parametrize("name", sorted(VOLATILITIES))
@pytest.mark.parametrize("horizon", [1, 5, 15])
def test_its_quantiles_hold_what_they_promise(name, horizon):
    rows = np.arange(2000, len(MINUTES) - horizon)
    truth = labels.returns(MINUTES, horizon)[rows]
    quantiles = baselines.look_back(MINUTES, rows, horizon, VOLATILITIES[name](MINUTES))
    covered = (truth[:, None] <= quantiles).mean(axis=0)

    np.testing.assert_allclose(covered, LEVELS, atol=0.08)
    assert (np.diff(quantiles, axis=1) >= 0).all()


def test_too_little_history_is_said():
    assert baselines.latest(MINUTES[:FEWEST])[SERVED][60].shape == (len(LEVELS),)
    with pytest.raises(TooFewMinutesError, match=str(FEWEST)):
        baselines.latest(MINUTES[: FEWEST - 1])
