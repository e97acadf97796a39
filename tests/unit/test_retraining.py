"""Retraining on drift: at once where a model came of the last one, ever more rarely where none did."""

import pytest

from btc.aws import clients, retraining
from btc.aws.state import StateTable
from btc.champions import Champion
from btc.times import DAY, HOUR, iso
from tests.unit.aws import aws
from tests.unit.market import NOON

__all__ = ["aws"]
NAME, PAUSE = "predict-bitcoin-test", 24


@pytest.fixture
def state(aws) -> StateTable:
    role = "arn:aws:iam::123456789012:role/pipeline"
    clients.sagemaker().create_pipeline(
        PipelineName=NAME, PipelineDefinition="{}", ClientRequestToken="t" * 32, RoleArn=role
    )
    return StateTable("state", clients.dynamodb())


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
