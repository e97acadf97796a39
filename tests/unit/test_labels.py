"""Labels in units of the volatility that was known before them."""

import numpy as np

from btc import features, labels
from btc.forecasts import HORIZONS
from tests.model.walks import walk


def test_targets_have_about_unit_size_whatever_the_horizon():
    minutes = walk(20_000, seed=4)
    scale = features.scale(minutes)

    for horizon in HORIZONS:
        target = labels.targets(minutes, horizon, scale)
        assert 0.7 < np.nanstd(target) < 1.4


def test_a_target_is_the_return_over_scale_and_root_horizon():
    minutes = walk(2000)
    scale = np.full(2000, 0.002)

    np.testing.assert_allclose(labels.targets(minutes, 15, scale), labels.returns(minutes, 15) / (0.002 * 15**0.5))


def test_history_shorter_than_the_horizon_has_no_label():
    assert np.isnan(labels.returns(walk(30), 60)).all()
