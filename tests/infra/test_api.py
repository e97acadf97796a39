"""The REST API's edge: known paths, keys, limits, and problem details for what it refuses by itself."""

import json

import pytest

from cdk.api import KEYED, OPEN, PROBLEMS
from tests.infra.assembly import Assembly, resolved


def methods(assembly: Assembly) -> dict[str, bool]:
    """Whether a key is required, by path."""
    resources = {name: resource["Properties"] for name, resource in assembly.of_type("ApiGateway::Resource").items()}

    def path(name: str) -> str:
        parent = resources[name]["ParentId"].get("Ref")
        return (path(parent) if parent else "") + "/" + str(resources[name]["PathPart"])

    return {
        path(method["Properties"]["ResourceId"]["Ref"]): method["Properties"]["ApiKeyRequired"]
        for method in assembly.of_type("ApiGateway::Method").values()
    }


def test_all_but_health_asks_for_a_key(dev: Assembly) -> None:
    assert methods(dev) == {**dict.fromkeys(OPEN, False), **dict.fromkeys(KEYED, True)}


def test_no_path_is_open_to_what_is_not_known(dev: Assembly) -> None:
    assert not [path for path in methods(dev) if "+}" in path]
    assert {method["Properties"]["HttpMethod"] for method in dev.of_type("ApiGateway::Method").values()} == {"GET"}


def test_a_key_may_ask_so_often(dev: Assembly) -> None:
    plan = dev.one("ApiGateway::UsagePlan")

    assert plan["Throttle"] == {"RateLimit": 10, "BurstLimit": 15}
    assert plan["Quota"] == {"Limit": 100_000, "Period": "DAY"}
    assert dev.one("ApiGateway::UsagePlanKey")["UsagePlanId"] == {
        "Ref": next(iter(dev.of_type("ApiGateway::UsagePlan")))
    }


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_the_gateway_refuses_with_problem_details(name: str, dev: Assembly) -> None:
    [response] = [
        each["Properties"]
        for each in dev.of_type("ApiGateway::GatewayResponse").values()
        if each["Properties"]["ResponseType"] == name
    ]
    problem = PROBLEMS[name]

    body = json.loads(
        response["ResponseTemplates"]["application/json"].replace("$context.error.messageString", '"why"')
    )

    content_type = response["ResponseParameters"]["gatewayresponse.header.Content-Type"]
    assert content_type == "'application/problem+json'"
    assert (body["title"], body.get("status")) == (problem.title, problem.status)
    assert body["detail"] == (problem.detail or "why")
    assert body["type"] == "about:blank"
    assert (body["instance"], body["request_id"]) == ("$context.path", "$context.requestId")
    assert response.get("StatusCode") == (str(problem.status) if problem.status else None)


def test_the_open_path_cannot_run_up_a_bill(dev: Assembly) -> None:
    [settings] = dev.one("ApiGateway::Stage")["MethodSettings"]

    assert (settings["HttpMethod"], settings["ResourcePath"]) == ("*", "/*")
    assert settings["ThrottlingRateLimit"] == 50


def test_requests_are_logged_without_who_made_them_beyond_the_address(dev: Assembly) -> None:
    setting = resolved(dev.one("ApiGateway::Stage")["AccessLogSetting"])

    logged = json.loads(setting["Format"])
    assert {"requestId", "status", "httpMethod", "resourcePath"} <= set(logged)
    assert not [value for value in logged.values() if "apiKey" in value]


def test_the_address_and_the_key_are_told(dev: Assembly) -> None:
    assert {"ApiUrl", "ApiKeyId", "StreamName", "BarsTable", "LakeBucket", "PipelineName"} <= set(
        dev.template["Outputs"]
    )
