"""API keys: one that is made opens, one that is revoked is gone, and no list tells a value."""

import json
import os
from collections.abc import Iterator
from unittest import mock

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from btc.aws import clients, keys

TEMPLATE = {
    "Resources": {"Nothing": {"Type": "AWS::SQS::Queue"}},
    "Parameters": {"Plan": {"Type": "String"}},
    "Outputs": {"UsagePlanId": {"Value": {"Ref": "Plan"}}},
}


@pytest.fixture
def plan() -> Iterator[str]:
    """The id of a usage plan, which a stack tells of."""
    account = {"AWS_ACCESS_KEY_ID": "t", "AWS_SECRET_ACCESS_KEY": "t", "AWS_DEFAULT_REGION": "us-east-1"}
    with mock.patch.dict(os.environ, account), mock_aws():
        for make in (clients.apigateway, clients.cloudformation):
            make.cache_clear()
        made = clients.apigateway().create_usage_plan(name="plan")["id"]
        clients.cloudformation().create_stack(
            StackName="PredictBitcoin",
            TemplateBody=json.dumps(TEMPLATE),
            Parameters=[{"ParameterKey": "Plan", "ParameterValue": made}],
        )
        yield made


def values(plan: str) -> set[str]:
    """Those that open the plan's routes."""
    return {key["value"] for key in clients.apigateway().get_usage_plan_keys(usagePlanId=plan)["items"]}


def test_a_key_that_is_made_is_in_the_plan_and_its_value_is_told_once(plan, capsys):
    assert keys.main(["make", "somebody"]) == 0
    value = capsys.readouterr().out.strip()
    assert values(plan) == {value}

    assert keys.main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "somebody" in listed
    assert value not in listed


def test_a_key_that_is_revoked_opens_nothing_and_the_others_stay(plan, capsys):
    keys.main(["make", "stays"])
    keys.main(["make", "goes"])
    stays = capsys.readouterr().out.split()[0]
    keys.main(["list"])
    [goes] = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines() if "goes" in line]

    assert keys.main(["revoke", goes]) == 0
    assert clients.apigateway().get_api_keys(includeValues=True)["items"][0]["value"] == stays
    assert len(clients.apigateway().get_api_keys()["items"]) == 1


def test_a_key_that_cannot_join_its_plan_is_not_left_behind(plan, capsys):
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "NotFoundException"}}, "CreateUsagePlanKey")

    clients.apigateway().meta.events.register("before-call.api-gateway.CreateUsagePlanKey", refuse)

    assert keys.main(["make", "nobody"]) == 1
    assert capsys.readouterr().out == ""
    assert clients.apigateway().get_api_keys()["items"] == []


def test_a_key_of_another_plan_is_neither_told_of_nor_revoked(plan, capsys):
    foreign = clients.apigateway().create_api_key(name="foreign")["id"]

    assert keys.main(["list"]) == 0
    assert "foreign" not in capsys.readouterr().out
    assert keys.main(["revoke", foreign]) == 1
    assert "is no key of this API" in capsys.readouterr().err
    assert [key["name"] for key in clients.apigateway().get_api_keys()["items"]] == ["foreign"]


def test_a_stack_that_is_not_there_is_named(plan, capsys):
    assert keys.main(["--stack", "Nowhere", "list"]) == 1
    assert "Nowhere" in capsys.readouterr().err
