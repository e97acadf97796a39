"""Retraining on drift: where a champion is out of bounds, and ever more rarely where no model comes of it."""

import pytest

from btc.aws import clients, retraining
from btc.aws.scores import ScoreTable
from btc.aws.state import StateTable
from btc.champions import Champion
from btc.scores import Duel, Sums
from btc.times import DAY, HOUR, day_of, iso
from btc.trades import Market
from tests.unit.aws import aws
from tests.unit.market import BTC, NOON
from tests.unit.scoring import CHAMPION, ETH, forecast, score, trade

__all__ = ["aws", "score"]
NAME, PAUSE = "predict-bitcoin-test", 24


@pytest.fixture
def state(aws) -> StateTable:
    """With a pipeline to start."""
    role = "arn:aws:iam::123456789012:role/pipeline"
    clients.sagemaker().create_pipeline(
        PipelineName=NAME, PipelineDefinition="{}", ClientRequestToken="t" * 32, RoleArn=role
    )
    return StateTable("state", clients.dynamodb())


def executions() -> int:
    answer = clients.sagemaker().list_pipeline_executions(PipelineName=NAME)
    return len(answer["PipelineExecutionSummaries"])


def promoted(state: StateTable, at: int) -> None:
    state.promote(Champion(f"of {at}", f"bitcoin/{at}", "s3://models/1", iso(at - DAY), iso(at)), {}, iso(at))


def starts(state: StateTable, until: int) -> list[int]:
    """The hours after noon in which one is started, of a model that is out of bounds all the time."""
    return [
        hour
        for hour in range(until)
        if retraining.start(clients.sagemaker(), state, NAME, NOON + hour * HOUR, PAUSE) is not None
    ]


def test_what_comes_to_nothing_is_tried_ever_more_rarely_and_at_least_weekly(state):
    promoted(state, NOON - 9 * DAY)

    assert starts(state, 800) == [0, 24, 72, 168, 336, 504, 672]


def test_after_a_promotion_the_pause_is_short_again(state):
    promoted(state, NOON - 9 * DAY)
    assert starts(state, 80) == [0, 24, 72]
    promoted(state, NOON + 80 * HOUR)

    assert [hour for hour in starts(state, 200) if hour > 80] == [96, 120, 168]


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


def test_live_coverage_and_skill_are_told_by_horizon(score, state):
    state.promote(CHAMPION, {})
    past_week()
    metrics = settle(score)

    five = {
        name: next(each for each in metrics[name] if each["horizon"] == "5") for name in ("LiveCoverage", "LiveSkill")
    }
    assert five["LiveCoverage"]["value"] == pytest.approx(0.9)
    assert five["LiveSkill"]["value"] == pytest.approx(0.02)
    assert five["LiveSkill"]["market"] == "kraken:BTC-USD"
    assert "DriftDetected" not in metrics, "a metric costs in the hours in which it is told"


@pytest.mark.parametrize(
    ("week", "cause"),
    [({"covered": 60}, "coverage"), ({"covered": 48}, "coverage"), ({"skill": -0.01}, "skill")],
)
def test_a_champion_out_of_bounds_raises_a_metric_and_is_trained_anew_once_in_a_while(score, state, week, cause):
    state.promote(CHAMPION, {})
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


def test_a_market_from_which_no_model_learns_starts_no_training_where_it_drifts(score, state):
    state.promote(CHAMPION, {})
    past_week(covered=48, market=ETH)

    assert "DriftDetected" in settle(score, market=ETH)
    assert executions() == 0


def test_the_baseline_and_a_champion_within_bounds_start_nothing(score, state):
    past_week(covered=10)
    settle(score)
    state.promote(CHAMPION._replace(model_version="new"), {})
    settle(score, 1)

    assert executions() == 0, "neither the baseline nor a model that has not forecast yet can have drifted"


def test_who_is_interrupted_after_starting_a_training_starts_the_same_again(score, state, monkeypatch):
    tokens: list[str] = []
    client = clients.sagemaker()
    start = client.start_pipeline_execution
    monkeypatch.setattr(
        client, "start_pipeline_execution", lambda **told: (tokens.append(told["ClientRequestToken"]), start(**told))[1]
    )
    state.promote(CHAMPION, {})
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
