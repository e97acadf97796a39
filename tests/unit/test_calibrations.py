"""The forecast function's rolling calibration: kept from bar to bar, resumed after a restart, begun anew by a model."""

import math

import numpy as np
import pytest

from btc import bars, models, serving
from btc.aws import clients
from btc.aws.calibrations import CalibrationTable, gather
from btc.aws.lookbacks import LookBacks
from btc.aws.tables import BarTable, bar_item
from btc.bars import Bar
from btc.features import LOOK_BACK
from btc.forecasts import HORIZONS
from btc.minutes import Minutes
from btc.serving import CATCH_UP, REACH, Calibration
from btc.tape import Watermark
from btc.times import DAY, MINUTE
from btc.trades import Trade, Trades
from tests.unit.aws import aws
from tests.unit.market import BTC, NOON
from tests.unit.test_forecast import artefact

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]
LENGTH = LOOK_BACK + 400
TRAINED = NOON + (LOOK_BACK + 150) * MINUTE


@pytest.fixture(scope="module")
def history() -> list[Bar]:
    """A proven bar a minute from NOON on."""
    steps = np.random.default_rng(3).normal(scale=5e-4, size=LENGTH + 1).cumsum()
    trades = [
        Trade(BTC, row, NOON + (row - 1) * MINUTE, round(1e13 * math.exp(step)), 10**7, row % 2 == 0)
        for row, step in enumerate(steps)
    ]
    end = Watermark(BTC, NOON + LENGTH * MINUTE, LENGTH)
    made = bars.prove(bars.merge({}, Trades.of(BTC, trades)), [end])
    return [bar for start, bar in sorted(made.items()) if start >= NOON]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> models.Model:
    folder = tmp_path_factory.mktemp("model")
    artefact(folder, TRAINED)
    return models.Model.open(folder)


@pytest.fixture
def step(aws, history, model):
    """What the function does with the bar of a row."""
    items = [{**bar_item(bar), "version": {"N": "1"}} for bar in history]
    for first in range(0, len(items), 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[first : first + 25]]
        clients.dynamodb().batch_write_item(RequestItems={"bars": puts})
    table = CalibrationTable("state", clients.dynamodb())
    stored = LookBacks(BarTable("bars", clients.dynamodb()))

    def step(row, of=model):
        calibration, minutes = gather(table, stored, of, history[row])
        serving.forecast(BTC, minutes, of, calibration)
        table.keep(BTC, calibration)
        return calibration, minutes

    return step


def alone(model, bars: list[Bar]) -> Calibration:
    """What all bars at once make of it."""
    calibration = Calibration.begun(model)
    calibration.follow(model, Minutes.of_bars(bars), bars[-1].end)
    return calibration


def learnt(calibration: Calibration) -> list[bytes]:
    return [calibration.offsets[horizon].values.tobytes() for horizon in HORIZONS]


def test_kept_from_bar_to_bar_it_is_what_all_bars_at_once_make_of_it(step, history, model):
    for row in (LOOK_BACK + 150, LOOK_BACK + 151, LOOK_BACK + 200, LENGTH - 1):
        calibration, minutes = step(row)
    at_once = alone(model, history)

    assert calibration.until == at_once.until == history[-1].end
    assert learnt(calibration) == learnt(at_once) != learnt(Calibration.begun(model))
    assert minutes.start[-1] == history[-1].start
    assert len(minutes) >= REACH // MINUTE - 60


def test_after_a_restart_it_goes_on_from_what_was_kept(step, history, model):
    before, _ = step(LENGTH - 2)
    kept = CalibrationTable("state", clients.dynamodb()).read(BTC, model)

    assert kept.until == history[-2].end
    assert learnt(kept) == learnt(before)


def test_the_same_bar_again_changes_nothing(step):
    first, again = step(LENGTH - 1)[0], step(LENGTH - 1)[0]

    assert (again.until, learnt(again)) == (first.until, learnt(first))


def test_an_earlier_bar_is_served_without_what_came_later_and_leaves_it_kept(step, history, model):
    last = step(LENGTH - 1)[0]
    early, minutes = step(LENGTH - 100)
    at_once = alone(model, history[:-99])
    kept = CalibrationTable("state", clients.dynamodb()).read(BTC, model)

    assert minutes.start[-1] == history[-100].start
    assert (early.until, learnt(early)) == (at_once.until, learnt(at_once))
    assert (kept.until, learnt(kept)) == (last.until, learnt(last))


def test_another_model_begins_as_its_own_training_left_it(step, tmp_path, history):
    step(LENGTH - 1)
    artefact(tmp_path, TRAINED + 100 * MINUTE)
    other = models.Model.open(tmp_path)

    assert CalibrationTable("state", clients.dynamodb()).read(BTC, other).until == other.trained_until
    assert step(LENGTH - 1, other)[0].model_version == other.version
    assert CalibrationTable("state", clients.dynamodb()).read(BTC, other).until == history[-1].end


def test_what_lies_far_behind_comes_nearer_a_day_with_each_bar(step, tmp_path, history):
    artefact(tmp_path, history[-1].end - 2 * DAY - 10 * MINUTE)
    old = models.Model.open(tmp_path)
    reached = [step(LENGTH - 1, old) for _ in range(4)]

    assert [(history[-1].end - each.until) // MINUTE for each, _ in reached] == [CATCH_UP // MINUTE + 10, 0, 0, 0]
    assert {minutes.start[-1] for _, minutes in reached} == {history[-1].start}
