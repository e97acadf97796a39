"""What is served: calibrated by what became of earlier forecasts, as evaluation would have it, bit for bit."""

import numpy as np
import pytest
import xgboost as xgb

from btc import baselines, features, labels, models, serving
from btc.conformal import Offsets
from btc.features import LOOK_BACK
from btc.forecasts import HORIZONS, LEVELS, Reason
from btc.heads import Heads
from btc.minutes import Minutes
from btc.models import Model, Taught
from btc.serving import REACH, Calibration
from btc.times import MINUTE, iso
from tests.model.rivals import FIXED
from tests.model.walks import MONDAY, walk
from tests.unit.market import BTC
from training import dataset, issue
from training.growth import Laplace, Pinball, grow, modes, quantised

MINUTES = walk(LOOK_BACK + 700, unknown=0.01)
TRAINED = LOOK_BACK + 300
"""The row that the model was trained until."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    """A small real model, and what its calibration had learnt by a row."""
    rows = features.matrix(MINUTES)[LOOK_BACK:TRAINED]
    generator = np.random.default_rng(5)
    shared = {"max_depth": 3, "nthread": 1, "seed": 1}
    quantile = {"objective": "reg:quantileerror", "quantile_alpha": LEVELS, "multi_strategy": "multi_output_tree"}
    told = xgb.QuantileDMatrix(rows, generator.normal(size=len(rows)))
    heads = {
        horizon: Heads(xgb.train(shared, told, 2), xgb.train({**shared, **quantile}, told, 4)) for horizon in HORIZONS
    }
    learnt = {horizon: Offsets.none(features.scale(MINUTES)[LOOK_BACK:TRAINED]) for horizon in HORIZONS}
    for offsets in learnt.values():
        offsets.values[:] = generator.normal(scale=0.05, size=offsets.values.shape)
    zeros = {horizon: np.zeros(len(LEVELS)) for horizon in HORIZONS}
    about = {"trained_until": iso(int(MINUTES.start[TRAINED]) + MINUTE)}
    return models.write(tmp_path_factory.mktemp("model"), Taught(heads, zeros, learnt, FIXED), rows[:2], about)


def seen(last: int, until: int) -> Minutes:
    """What a function reads: the minutes from REACH before a calibration's time to a row."""
    first = int(np.searchsorted(MINUTES.start, until - REACH))
    return MINUTES[first : last + 1]


def test_bar_by_bar_it_serves_what_evaluation_says_of_the_same_minutes(model):
    data = dataset.build(MINUTES)
    rows = data.rows[data.rows > TRAINED]
    expected = issue.issued(data, rows, model)
    calibration = Calibration.begun(model)
    for place, row in enumerate(rows):
        minutes = seen(row, calibration.until)
        for made in serving.forecast(BTC, minutes, model, calibration):
            prices = [float(f"{made.reference_price * np.exp(value):.10g}") for value in expected[made.horizon][place]]
            assert list(made.quantiles) == prices
        raw = model.quantiles(5, data.matrix[row : row + 1])[0] * (data.scale[row] * 5**0.5)
        assert calibration.offsets[5].issue(raw, data.scale[row]).tobytes() == expected[5][place].tobytes()


@pytest.mark.parametrize("steps", [(399,), (1, 398), (61, 200, 138), (5,) * 79 + (4,)])
def test_however_far_it_comes_at_once_it_arrives_at_the_same_offsets(steps, model):
    one = Calibration.begun(model)
    one.follow(model, MINUTES, int(MINUTES.start[-1]) + MINUTE)
    many, row = Calibration.begun(model), TRAINED
    for step in steps:
        row += step
        many.follow(model, seen(row, many.until), int(MINUTES.start[row]) + MINUTE)

    assert many.until == one.until
    for horizon in HORIZONS:
        assert many.offsets[horizon].values.tobytes() == one.offsets[horizon].values.tobytes()
        assert many.offsets[horizon].values.tobytes() != model.offsets()[horizon].values.tobytes()


def test_a_minute_after_its_time_changes_nothing(model):
    row = TRAINED + 200
    alone, told = Calibration.begun(model), Calibration.begun(model)
    alone.follow(model, MINUTES[: row + 1], int(MINUTES.start[row]) + MINUTE)
    told.follow(model, MINUTES, int(MINUTES.start[row]) + MINUTE)

    for horizon in HORIZONS:
        assert alone.offsets[horizon].values.tobytes() == told.offsets[horizon].values.tobytes()


def test_without_the_bars_it_stays_as_it_was_and_never_goes_back(model):
    begun, later = Calibration.begun(model), model.trained_until + 60 * MINUTE
    blind, short, back = (Calibration.begun(model) for _ in range(3))
    blind.follow(model, None, later)
    short.follow(model, MINUTES[-100:], later)
    back.follow(model, MINUTES, model.trained_until - 60 * MINUTE)

    assert (blind.until, short.until, back.until) == (later, later, model.trained_until)
    for each in (blind, short, back):
        assert all(each.offsets[h].values.tobytes() == begun.offsets[h].values.tobytes() for h in HORIZONS)


def test_the_model_forecasts_from_a_whole_look_back(model):
    made = serving.forecast(BTC, MINUTES[-(LOOK_BACK + 1) :], model)
    more = serving.forecast(BTC, MINUTES, model)

    assert made == more
    assert [each.horizon for each in made] == list(HORIZONS)
    assert {each.model_version for each in made} == {model.version}
    assert not any(each.baseline for each in made)
    assert made[0].reference_price == MINUTES.close[-1]


def test_beside_a_model_stands_the_har_that_it_was_judged_beside(model):
    forecast, alone = (serving.forecast(BTC, MINUTES, each)[0] for each in (model, None))
    realised = baselines.realised(MINUTES)[-1]
    told = FIXED[1].spread * (realised * FIXED[1].weights).sum()

    np.testing.assert_allclose(forecast.baselines["har"], MINUTES.close[-1] * np.exp(told), rtol=1e-9)
    assert alone.baselines["har"] != forecast.baselines["har"]
    assert alone.baselines["ewma"] == forecast.baselines["ewma"]


def test_without_model_or_whole_look_back_the_baseline_is_served_and_says_so(model):
    for made, reason in (
        (serving.forecast(BTC, MINUTES, None), Reason.NO_CHAMPION),
        (serving.forecast(BTC, MINUTES, None, reason=Reason.EXPIRED), Reason.EXPIRED),
        (serving.forecast(BTC, MINUTES[-LOOK_BACK:], model), Reason.INCOMPLETE),
    ):
        assert all(each.baseline for each in made)
        assert {each.model_version for each in made} == {baselines.VERSION}
        assert {each.baseline_reason for each in made} == {reason}
        assert [each.horizon for each in made] == list(HORIZONS)


def test_after_the_market_changes_the_served_intervals_come_to_hold_again(tmp_path):
    """Until the training ends each step is drawn alone; from then on each follows the one before it: five minutes go
    further than their volatility says."""
    change, length = 10_000, 55_000
    generator = np.random.default_rng(6)
    steps = 5e-4 * generator.normal(size=length)
    for row in range(change, length):
        steps[row] += 0.45 * steps[row - 1]
    close = 50_000 * np.exp(np.cumsum(steps))
    opened = np.concatenate([close[:1], close[:-1]])
    start = MONDAY + MINUTE * np.arange(length, dtype=np.int64)
    flat = np.ones(length)
    minutes = Minutes.of_columns(
        start, opened, np.maximum(opened, close), np.minimum(opened, close), close, volume=flat
    )
    data = dataset.build(minutes)
    model = plain(data, change, tmp_path)
    truth, raw = labels.returns(minutes, 5), issue.predicted(data, data.rows, model, 5)

    def covered(day: int, calibration: Calibration) -> float:
        """The share of a day's outcomes within the 90 % interval, with the calibration of the day's begin."""
        rows = np.arange(change + day * 1440, change + (day + 1) * 1440)
        quantiles = [calibration.offsets[5].issue(raw[row - LOOK_BACK], data.scale[row]) for row in rows]
        low, *_, high = np.array(quantiles).T
        return float(np.mean((low <= truth[rows]) & (truth[rows] <= high)))

    calibration, served = Calibration.begun(model), []
    for day in range(30):
        until = int(start[change + day * 1440]) + MINUTE
        part = minutes[max(0, change + (day - 3) * 1440) : change + day * 1440 + 1]
        calibration.follow(model, part, until)
        served.append(covered(day, calibration))
    alone = [covered(day, Calibration.begun(model)) for day in (27, 28, 29)]

    assert np.mean(served[:2]) < 0.8
    assert np.mean(alone) < 0.8
    assert np.mean(served[-3:]) > 0.86


def plain(data: dataset.Dataset, until: int, folder) -> Model:
    """The distribution of the returns before a row, for all times, in one regime."""
    rows = data.rows[data.rows < until - 60]
    matrix, heads = quantised(data.matrix[rows], 1), {}
    for horizon in HORIZONS:
        target = data.targets[horizon][rows]
        shape = baselines.empirical(target)
        spread = grow({"nthread": 1, "eta": 0.3}, matrix, Laplace(np.abs(target)), rounds=0)
        quantiles = grow({"nthread": 1, "eta": 0.3}, matrix, Pinball(target, shape, modes(shape)), rounds=0)
        heads[horizon] = Heads(spread, quantiles, shape=shape, modes=modes(shape))
    one = dict.fromkeys(HORIZONS, Offsets.none(np.linspace(1e-9, 2e-9, 100)))
    zeros = {horizon: np.zeros(len(LEVELS)) for horizon in HORIZONS}
    about = {"trained_until": iso(int(data.minutes.start[until]) + MINUTE)}
    return models.write(folder, Taught(heads, zeros, one, FIXED), data.matrix[rows[:2]], about)
