"""The function that says what became of each forecast, keeps live scores and starts retraining on drift."""

import json
from collections.abc import Iterable
from types import SimpleNamespace

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
from btc.champions import Champion
from btc.forecasts import HORIZONS, LEVELS
from btc.scores import Duel, Sums
from btc.settings import ScoreForecasts
from btc.tape import Watermark
from btc.times import DAY, FOREVER, HOUR, MINUTE, SECOND, day_of, iso
from btc.trades import Market, Trade
from tests.unit.aws import CONTEXT, aws, fold, load
from tests.unit.market import BTC, NOON

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]
CHAMPION = Champion("2025-11-01-abc", "bitcoin/1", "s3://models/1", iso(NOON - 9 * DAY), iso(NOON - 9 * DAY))
ETH = Market("kraken", "ETH-USD")
QUANTILES = {horizon: [0.002 * (level - 0.5) for level in LEVELS] for horizon in HORIZONS}
TIMED = SimpleNamespace(**vars(CONTEXT), get_remaining_time_in_millis=lambda: 240_000)
RIVALS = {"naive": QUANTILES, "ewma": {horizon: [0.004 * (level - 0.5) for level in LEVELS] for horizon in HORIZONS}}


@pytest.fixture
def score(aws, monkeypatch, capsys):
    """Runs the function two seconds after that minute after noon; its metrics by name."""
    told = ScoreForecasts(
        bars_table="bars",
        forecasts_table="forecasts",
        scores_table="scores",
        state_table="state",
        markets=(str(BTC), str(ETH)),
        retention_days=7,
        catch_up_hours=3,
        least_forecasts=1000,
        coverage_low=0.85,
        coverage_high=0.95,
        skill_low=0.0,
        pipeline="predict-bitcoin-test",
        retrain_pause_hours=24,
    )
    module = load("score_forecasts", told)

    def run(minute: float, *, later: int = 0) -> dict[str, list[dict]]:
        now = NOON + round(minute * MINUTE) + 2 * SECOND + later
        monkeypatch.setattr(module.time, "time_ns", lambda: now * 1000)
        capsys.readouterr()
        module.handler({}, TIMED)
        found: dict[str, list[dict]] = {}
        for line in capsys.readouterr().out.splitlines():
            told = json.loads(line)
            for metric in (
                each["Name"] for group in told.get("_aws", {}).get("CloudWatchMetrics", ()) for each in group["Metrics"]
            ):
                found.setdefault(metric, []).append({**told, "value": told[metric][0]})
        return found

    return run


@pytest.fixture
def pipeline(aws) -> None:
    role = "arn:aws:iam::123456789012:role/pipeline"
    clients.sagemaker().create_pipeline(
        PipelineName="predict-bitcoin-test", PipelineDefinition="{}", ClientRequestToken="t" * 32, RoleArn=role
    )


def executions() -> int:
    answer = clients.sagemaker().list_pipeline_executions(PipelineName="predict-bitcoin-test")
    return len(answer["PipelineExecutionSummaries"])


def forecast(
    *minutes: int, version: str = CHAMPION.model_version, baseline: bool = False, market: Market = BTC
) -> None:
    """Forecasts as of these minutes after noon."""
    for minute in minutes:
        made = forecasts.of(
            market,
            NOON + minute * MINUTE,
            100_000.0,
            QUANTILES,
            model_version=version,
            baseline=baseline,
            baselines=RIVALS,
        )
        assert all(ForecastTable("forecasts", clients.dynamodb()).add(each, 30) for each in made)


def trade(minutes: Iterable[int], until: int, price: float = 100_010.0, market: Market = BTC) -> list[Bar]:
    """A trade in each of these minutes after noon, and the feed alive up to minute `until`; all bars."""
    tape = [Trade(market, 1000 + row, NOON + row * MINUTE, round(price * 1e8), 10**7, True) for row in minutes]
    fold(tape, Watermark(market, NOON + until * MINUTE, tape[-1].trade_id) if tape else None)
    return BarTable("bars", clients.dynamodb()).between(market, NOON - DAY, NOON + 2 * DAY)


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


def past_week(covered: int = 54, skill: float = 0.02, market: Market = BTC) -> None:
    """Sixty forecasts an hour of the five-minute horizon, of which so many were covered; another model had no luck."""
    duels = [Duel(60, round(1e6 * (1 - each)), 1_000_000) for each in (skill, -1)]
    champion, another = Sums(60, covered=covered, duels={"har": duels[0]}), Sums(60, duels={"har": duels[1]})
    for hour in range(48):
        sums = {CHAMPION.model_version: champion, "another": another}
        start = day_of(NOON) - 2 * DAY + hour * HOUR
        ScoreTable("scores", clients.dynamodb()).put(market, 5, start, sums, 60)


def settle(score, minute: int = 0, market: Market = BTC) -> dict[str, list[dict]]:
    """One more forecast is scored, whose bar closes that minute after noon."""
    forecast(minute, market=market)
    trade(range(minute - 1, minute + 1), until=minute + 1, market=market)
    return score(minute + 1)


def test_live_coverage_and_skill_are_told_by_horizon(score):
    StateTable("state", clients.dynamodb()).promote(CHAMPION, {})
    past_week()
    metrics = settle(score)

    five = {
        name: next(each for each in metrics[name] if each["horizon"] == "5") for name in ("LiveCoverage", "LiveSkill")
    }
    assert five["LiveCoverage"]["value"] == pytest.approx(0.9)
    assert five["LiveSkill"]["value"] == pytest.approx(0.02)
    assert five["LiveSkill"]["market"] == "kraken:BTC-USD"
    assert "DriftDetected" not in metrics, "a metric costs in the hours in which it is told"


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize(
    ("week", "cause"),
    [({"covered": 60}, "coverage"), ({"covered": 48}, "coverage"), ({"skill": -0.01}, "skill")],
)
def test_a_champion_out_of_bounds_raises_a_metric_and_is_trained_anew_once_in_a_while(score, week, cause):
    StateTable("state", clients.dynamodb()).promote(CHAMPION, {})
    past_week(**week)
    metrics = settle(score)
    assert {each["cause"]: each["value"] for each in metrics["DriftDetected"]}[cause] == 1
    assert executions() == 1

    settle(score, 1)
    assert executions() == 1
    settle(score, 24 * 60 + 2)
    assert executions() == 2
    settle(score, 2 * 24 * 60 + 2)
    assert executions() == 2, "two in vain: the next pause is twice as long"
    settle(score, 3 * 24 * 60 + 4)
    assert executions() == 3


@pytest.mark.usefixtures("pipeline")
def test_a_market_from_which_no_model_learns_starts_no_training_where_it_drifts(score):
    StateTable("state", clients.dynamodb()).promote(CHAMPION, {})
    past_week(covered=48, market=ETH)

    assert "DriftDetected" in settle(score, market=ETH)
    assert executions() == 0


@pytest.mark.usefixtures("pipeline")
def test_the_baseline_and_a_champion_within_bounds_start_nothing(score):
    past_week(covered=10)
    settle(score)
    StateTable("state", clients.dynamodb()).promote(CHAMPION._replace(model_version="new"), {})
    settle(score, 1)

    assert executions() == 0, "neither the baseline nor a model that has not forecast yet can have drifted"


@pytest.mark.usefixtures("pipeline")
def test_who_is_interrupted_after_starting_a_training_starts_the_same_again(score, monkeypatch):
    tokens: list[str] = []
    client = clients.sagemaker()
    start = client.start_pipeline_execution
    monkeypatch.setattr(
        client, "start_pipeline_execution", lambda **told: (tokens.append(told["ClientRequestToken"]), start(**told))[1]
    )
    StateTable("state", clients.dynamodb()).promote(CHAMPION, {})
    past_week(covered=10)
    with monkeypatch.context() as broken:
        broken.setattr(StateTable, "retrain", lambda *_: (_ for _ in ()).throw(ConnectionError))
        with pytest.raises(ConnectionError):
            settle(score)
    settle(score, 1)
    settle(score, 25 * 60)

    first, again, next_one = tokens
    assert first == again != next_one
    assert min(map(len, tokens)) >= 32
