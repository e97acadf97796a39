"""The mirror: features of a market are turned into those of the market whose price is the reciprocal."""

from dataclasses import replace

import numpy as np
import pytest

from btc import features
from btc.features import LOOK_BACK, NAMES
from btc.mirrors import mirrored
from tests.model.walks import walk

MINUTES = walk(LOOK_BACK + 2_000, unknown=0.01)
for column in (MINUTES.open, MINUTES.high, MINUTES.low, MINUTES.close):
    column[LOOK_BACK + 900 : LOOK_BACK + 1_000] = MINUTES.close[LOOK_BACK + 900]  # a market that stands still
ROWS = features.matrix(MINUTES)[LOOK_BACK:]


@pytest.fixture(scope="module")
def turned():
    """The features of dollars in bitcoin: what was a rise is a fall, and who bought has sold."""
    reciprocal = replace(
        MINUTES,
        open=1e9 / MINUTES.open,
        high=1e9 / MINUTES.low,
        low=1e9 / MINUTES.high,
        close=1e9 / MINUTES.close,
        buy_volume=MINUTES.volume - MINUTES.buy_volume,
    )
    return features.matrix(reciprocal)[LOOK_BACK:]


@pytest.mark.parametrize("name", NAMES)
def test_a_feature_of_the_mirror_image_is_that_of_the_reciprocal_market(turned, name):
    column = NAMES.index(name)
    np.testing.assert_allclose(mirrored(ROWS)[:, column], turned[:, column], rtol=1e-3, atol=1e-3)


def test_the_mirror_of_the_mirror_is_the_market():
    np.testing.assert_allclose(mirrored(mirrored(ROWS)), ROWS, rtol=1e-6, atol=1e-6)


def test_what_is_unknown_stays_unknown():
    rows = ROWS[:3].copy()
    rows[1, NAMES.index("to_high_5")] = np.nan
    found = mirrored(rows)

    assert np.isnan(found[1, NAMES.index("to_low_5")])
    assert np.isfinite(found[1, NAMES.index("to_high_5")])
