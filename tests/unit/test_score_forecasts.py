"""The function that says what became of each forecast and keeps their sums."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from btc import forecasts, scores
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.aws.scores import ScoreTable
from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.bars import Bar, Source
from btc.scores import Sums
from btc.tape import Watermark
from btc.times import DAY, FOREVER, HOUR, MINUTE, SECOND
from btc.trades import Trade
from tests.unit.aws import aws, fold
from tests.unit.market import BTC, NOON
from tests.unit.scoring import CHAMPION, QUANTILES, RIVALS, forecast, score, trade

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws", "score"]


def outcomes(horizon: int = 1) -> dict[int, float | None]:
    """The realised price by the minute after noon at which a forecast's target lies."""
    held = ForecastTable("forecasts", clients.dynamodb()).between(BTC, horizon, NOON - DAY, NOON + DAY)
    return {
        (each.forecast.target_time - NOON) // MINUTE: each.outcome.realised_price if each.outcome else None
        for each in held
    }


def live(horizon: int = 1) -> dict[int, dict[str, Sums]]:
    return dict(ScoreTable("scores", clients.dynamodb()).between(BTC, horizon, NOON - DAY, NOON + DAY))


def test_when_a_bar_closes_the_forecasts_for_its_end_get_their_outcome(score):
    forecast(0, 1)
    trade(range(-1, 6), until=6)
    metrics = score(6)
    [first, _] = ForecastTable("forecasts", clients.dynamodb()).between(BTC, 1, NOON, NOON + HOUR)

    assert outcomes(1) == {1: 100_010.0, 2: 100_010.0}
    assert outcomes(5) == {5: 100_010.0, 6: 100_010.0}
    assert outcomes(60) == {60: None, 61: None}
    assert first.outcome == scores.outcome(first.forecast, 100_010.0)
    assert set(first.outcome.baseline_losses) == set(RIVALS)
    assert metrics["ForecastsScored"][0]["value"] == 4


def test_what_the_sums_hold_is_what_the_forecasts_came_to(score):
    forecast(*range(10), version="one")
    forecast(*range(10, 20), version="baseline", baseline=True)
    trade(range(-1, 18), until=18)
    score(18)
    held = ForecastTable("forecasts", clients.dynamodb()).between(BTC, 1, NOON, NOON + HOUR)

    assert live() == {NOON: scores.sums(held)}
    assert {version: sums.forecasts for version, sums in live()[NOON].items()} == {"one": 10, "baseline": 8}


def test_a_minute_that_is_not_proven_tells_no_outcome_until_it_is(score):
    forecast(0, 1)
    trade([-1, 0, 2], until=2)
    score(2)
    assert outcomes() == {1: None, 2: None}

    trade([1], until=2)
    score(7)
    assert outcomes() == {1: 100_010.0, 2: 100_010.0}


def test_the_venues_own_bar_tells_an_outcome(score):
    forecast(0)
    kline = Bar(BTC, NOON, *[10_002_000_000_000] * 4, trade_count=3, closed=True, source=Source.KLINES)
    BarTable("bars", clients.dynamodb()).replace([kline], {}, FOREVER)
    score(1)

    assert outcomes() == {1: 100_020.0}


@pytest.mark.parametrize(
    ("minute", "hours"),
    [(6, 0), (63, 0), (170, 1), (47 * 60, 24)],
    ids=["at once", "an hour", "three hours", "two days"],
)
def test_a_late_trade_scores_again_and_counts_once(score, minute, hours):
    forecast(0)
    trade([-1, 0], until=1)
    for past in (1, 61, 65, minute - 1):
        score(past)
    before = live()[NOON][CHAMPION.model_version]
    late = Trade(BTC, 1001, NOON + 30 * SECOND, 10_050_000_000_000, 10**7, True)
    fold([late], Watermark(BTC, NOON + 2 * MINUTE, 1001))
    for past in range(minute, minute + hours * 60 + 1, 60):
        score(past)
    after = live()[NOON][CHAMPION.model_version]

    assert outcomes() == {1: 100_500.0}
    assert (before.forecasts, before.covered) == (1, 1)
    assert (after.forecasts, after.covered) == (1, 0)


@hypothesis(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(minutes=st.lists(st.integers(8, 300), min_size=1, max_size=5))
def test_any_repetition_at_any_time_leaves_the_same(score, minutes):
    if not outcomes():
        forecast(*range(4))
    trade(range(-1, 8), until=8)
    score(8)
    expected = (outcomes(1), outcomes(5), live(1), live(5))
    for minute in minutes:
        score(minute)

    assert (outcomes(1), outcomes(5), live(1), live(5)) == expected


def test_a_forecast_that_expired_meanwhile_is_not_brought_back(score):
    [gone, *_] = forecasts.of(BTC, NOON, 100_000.0, QUANTILES, model_version="m", baseline=False)
    table = ForecastTable("forecasts", clients.dynamodb())

    assert not table.settle(gone, scores.outcome(gone, 100_010.0))
    assert outcomes() == {}


def test_runs_that_did_not_come_are_made_up_for_by_the_next(score):
    forecast(-300, -90, 1)
    trade([-301, -300, *range(-91, 3)], until=3)
    state = StateTable("state", clients.dynamodb())
    state.begin_scoring(NOON - 4 * HOUR, 0)
    state.end_scoring(NOON - 4 * HOUR)
    score(3)

    assert outcomes()[-89] == outcomes()[2] == 100_010.0
    assert outcomes()[-299] is None, "three hours are looked back upon; days before have their turn"


def test_an_hour_of_which_nothing_is_new_is_not_scored_again(score, monkeypatch):
    forecast(*range(3))
    trade(range(-1, 58), until=60)
    for past in (59, 60, 65):
        score(past)
    monkeypatch.setattr(ForecastTable, "settle", None)
    read = []
    between = ForecastTable.between
    monkeypatch.setattr(
        ForecastTable, "between", lambda table, *asked: (read.append(asked[2]), between(table, *asked))[1]
    )
    score(125)

    assert NOON not in read
    assert NOON + 2 * HOUR in read, "the hour under way is looked at each time"


def test_two_that_come_at_once_do_not_score_both(score, monkeypatch, capsys):
    forecast(0)
    trade([-1, 0], until=1)
    assert StateTable("state", clients.dynamodb()).begin_scoring(NOON, NOON + 4 * MINUTE) == 0
    score(1)
    assert outcomes() == {1: None}

    score(5)  # the first was ended by Lambda before it was over
    assert outcomes() == {1: 100_010.0}


def test_a_run_that_fails_lets_the_next_one_in_and_keeps_what_it_has_to_look_back_upon(score, monkeypatch):
    forecast(-90)
    trade(range(-91, 3), until=3)
    with monkeypatch.context() as broken:
        broken.setattr(BarTable, "between", lambda *_: (_ for _ in ()).throw(ConnectionError))
        with pytest.raises(ConnectionError):
            score(3)
    score(3, later=SECOND)

    assert outcomes() == {-89: 100_010.0}
