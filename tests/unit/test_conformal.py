"""Rolling calibration: it keeps its promise in the long run, calm or wild, and never sees an outcome early."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from btc import conformal
from btc.conformal import REGIMES, Offsets
from btc.forecasts import LEVELS

NORMAL = norm.ppf(LEVELS)
LENGTH = 60_000
SCALE = np.exp(np.random.default_rng(3).normal(size=LENGTH))
AT = np.arange(LENGTH)


def market(width: float, shift: float = 0.0, seed: int = 1) -> np.ndarray:
    """Outcomes that are wider and lie higher than the raw forecasts say."""
    return SCALE * (width * np.random.default_rng(seed).normal(size=LENGTH) + shift)


@pytest.mark.parametrize(("width", "shift"), [(1.0, 0.0), (1.4, 0.0), (0.7, 0.2)])
def test_each_level_comes_to_hold_what_it_promises_in_every_regime(width, shift):
    raw, truth = SCALE[:, None] * NORMAL, market(width, shift)
    offsets = Offsets.none(SCALE, rate=1 / 1000)
    issued = conformal.rolled(raw, truth, SCALE, at=AT, horizon=5, offsets=offsets)
    late = AT >= LENGTH // 2

    for regime in range(REGIMES):
        rows = late & (offsets.regime(SCALE) == regime)
        np.testing.assert_allclose((truth[rows, None] <= issued[rows]).mean(axis=0), LEVELS, atol=0.03)
    assert (np.diff(issued, axis=1) >= 0).all()


@settings(max_examples=25)
@given(row=st.integers(1, 1999), horizon=st.sampled_from([1, 5, 15, 60]))
def test_a_forecast_knows_no_outcome_before_its_horizon_has_passed(row, horizon):
    raw, truth = SCALE[:2000, None] * NORMAL, market(1.3)[:2000]
    changed = truth.copy()
    changed[max(0, row - horizon + 1) :] += 5.0
    before = conformal.rolled(raw, truth, SCALE[:2000], at=AT[:2000], horizon=horizon, offsets=Offsets.none(SCALE))
    after = conformal.rolled(raw, changed, SCALE[:2000], at=AT[:2000], horizon=horizon, offsets=Offsets.none(SCALE))

    assert after[: row + 1].tobytes() == before[: row + 1].tobytes()


@pytest.mark.parametrize("horizon", [1, 5, 60])
def test_step_by_step_it_is_what_it_is_over_all_rows(horizon):
    raw, truth = SCALE[:300, None] * NORMAL, market(1.3)[:300]
    truth[100:110] = np.nan
    whole = conformal.rolled(raw, truth, SCALE[:300], at=AT[:300], horizon=horizon, offsets=Offsets.none(SCALE))
    offsets, issued = Offsets.none(SCALE), []
    for row in range(300):
        if row >= horizon:
            past = slice(row - horizon, row - horizon + 1)
            offsets.settle(raw[past], truth[past], SCALE[past])
        issued.append(offsets.issue(raw[row], SCALE[row]))

    assert np.array(issued).tobytes() == whole.tobytes()


@settings(max_examples=25)
@given(cut=st.integers(1, 299), horizon=st.sampled_from([1, 5, 60]))
def test_cut_anywhere_and_gone_on_with_it_is_what_it_is_in_one(cut, horizon):
    raw, truth, scale = SCALE[:300, None] * NORMAL, market(1.3)[:300], SCALE[:300]
    in_one, in_two = Offsets.none(SCALE), Offsets.none(SCALE)
    whole = conformal.rolled(raw, truth, scale, at=AT[:300], horizon=horizon, offsets=in_one)
    conformal.rolled(raw[:cut], truth[:cut], scale[:cut], at=AT[:cut], horizon=horizon, offsets=in_two)
    rest = slice(max(0, cut - horizon), 300)  # the forecasts whose outcomes are yet to come, and all after them
    again = conformal.rolled(
        raw[rest], truth[rest], scale[rest], at=AT[rest], horizon=horizon, offsets=in_two, since=cut - 1
    )

    assert again[cut - rest.start :].tobytes() == whole[cut:].tobytes()
    assert in_two.values.tobytes() == in_one.values.tobytes()


def test_an_unknown_outcome_teaches_nothing():
    raw = SCALE[:100, None] * NORMAL
    offsets = Offsets.none(SCALE)

    np.testing.assert_array_equal(
        conformal.rolled(raw, np.full(100, np.nan), SCALE[:100], at=AT[:100], horizon=1, offsets=offsets), raw
    )
    assert not offsets.values.any()
