"""Forecasts are made of closed bars, as they close."""

import json
from typing import Any

import pytest

from local.patterns import compile_pattern
from tests.infra.assembly import Assembly


@pytest.mark.parametrize(
    ("name", "image", "forecasts"),
    [
        ("INSERT", {"closed": {"BOOL": True}}, True),
        ("MODIFY", {"closed": {"BOOL": True}}, True),
        ("MODIFY", {"closed": {"BOOL": False}}, False),
        ("REMOVE", None, False),
    ],
)
def test_only_a_closed_bar_is_forecast_from(
    name: str, image: dict[str, Any] | None, forecasts: bool, dev: Assembly
) -> None:
    [filtered] = dev.event_source("forecast")["FilterCriteria"]["Filters"]
    record = {"eventName": name, "dynamodb": {"NewImage": image} if image else {"OldImage": {"closed": {"BOOL": True}}}}

    assert compile_pattern(json.loads(filtered["Pattern"]))(record) is forecasts


def test_a_forecast_waits_for_no_batch(dev: Assembly) -> None:
    assert "MaximumBatchingWindowInSeconds" not in dev.event_source("forecast")


def test_forecasts_are_keyed_by_series_and_target_time_and_tell_of_their_changes(dev: Assembly) -> None:
    tables = {
        tuple(key["AttributeName"] for key in table["Properties"]["KeySchema"]): table["Properties"]
        for table in dev.of_type("DynamoDB::Table").values()
    }

    told = tables["series", "target_time"]["StreamSpecification"]["StreamViewType"]
    assert told in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES")


def test_of_the_state_it_writes_its_calibration_and_never_the_champion(dev: Assembly) -> None:
    function = dev.functions["forecast"]["Properties"]
    state = function["Environment"]["Variables"]["STATE_TABLE"]["Ref"]
    [role] = function["Role"]["Fn::GetAtt"][:1]
    [policy] = [
        each["Properties"]["PolicyDocument"]["Statement"]
        for each in dev.of_type("IAM::Policy").values()
        if {"Ref": role} in each["Properties"]["Roles"]
    ]
    [statement] = [each for each in policy if state in str(each["Resource"]) and "dynamodb:PutItem" in each["Action"]]

    assert statement["Action"] == "dynamodb:PutItem"
    told = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    assert told in ("calibration:*", ["calibration:*"])
