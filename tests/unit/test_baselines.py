"""Baselines: finite, causal, calibrated on a market they fit."""

import numpy as np
import pytest

from btc import baselines, labels
from btc.baselines import FEWEST, TooFewMinutesError
from btc.features import LOOK_BACK
from btc.forecasts import HORIZONS, LEVELS
from tests.model.walks import walk

MINUTES = walk(12_000, seed=9)
LAST = np.array([len(MINUTES) - 1])


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_served_baseline_needs_its_look_back_only(horizon):
    tail = MINUTES[-(LOOK_BACK + 1) :]
    whole = baselines.look_back(MINUTES, LAST, horizon)[0]

    assert baselines.latest(tail)[horizon].tobytes() == whole.tobytes()
    assert baselines.ewma(tail)[-1] == baselines.ewma(MINUTES)[-1]


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


@pytest.mark.parametrize("horizon", [1, 5, 15])
def test_its_quantiles_hold_what_they_promise(horizon):
    rows = np.arange(2000, len(MINUTES) - horizon)
    truth = labels.returns(MINUTES, horizon)[rows]
    quantiles = baselines.look_back(MINUTES, rows, horizon)
    covered = (truth[:, None] <= quantiles).mean(axis=0)

    np.testing.assert_allclose(covered, LEVELS, atol=0.05)
    assert (np.diff(quantiles, axis=1) >= 0).all()


def test_too_little_history_is_said():
    assert baselines.latest(MINUTES[:FEWEST])[60].shape == (len(LEVELS),)
    with pytest.raises(TooFewMinutesError, match=str(FEWEST)):
        baselines.latest(MINUTES[: FEWEST - 1])
