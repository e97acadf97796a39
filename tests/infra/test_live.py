"""The WebSocket API: tickets alone open it, it tells nobody's, it posts and no more, and a stage may do without."""

import json
from dataclasses import replace
from pathlib import Path

from cdk.settings import DEV
from local.patterns import compile_pattern
from tests.infra.assembly import Assembly, resolved
from tests.infra.conftest import synthesised


def test_only_who_brings_a_ticket_is_asked_about_and_let_in(dev: Assembly) -> None:
    authorizer = dev.one("ApiGatewayV2::Authorizer")
    routes = {
        each["Properties"]["RouteKey"]: each["Properties"] for each in dev.of_type("ApiGatewayV2::Route").values()
    }

    assert set(routes) == {"$connect", "$disconnect"}
    assert routes["$connect"]["AuthorizationType"] == "CUSTOM"
    assert routes["$connect"]["AuthorizerId"] == {"Ref": next(iter(dev.of_type("ApiGatewayV2::Authorizer")))}
    assert authorizer["IdentitySource"] == ["route.request.querystring.ticket"]
    assert dev.logical_id("connect_listeners") in json.dumps(authorizer["AuthorizerUri"])


def test_it_is_throttled_and_its_log_holds_no_ticket(dev: Assembly) -> None:
    stage = dev.one("ApiGatewayV2::Stage")
    logged = json.loads(stage["AccessLogSettings"]["Format"])

    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == 50
    assert {"requestId", "status", "eventType", "connectionId"} <= set(logged)
    assert not [value for value in logged.values() if "query" in value.lower() or "path" in value.lower()]
    account = next(iter(dev.of_type("ApiGateway::Account")))
    assert account in next(iter(dev.of_type("ApiGatewayV2::Stage").values()))["DependsOn"]


def test_it_may_post_to_connections_of_this_api_and_no_more(dev: Assembly) -> None:
    statements = [
        (name, statement)
        for name, policy in dev.of_type("IAM::Policy").items()
        for statement in resolved(policy["Properties"]["PolicyDocument"]["Statement"])
        if "execute-api" in json.dumps(statement["Action"])
    ]

    [(name, statement)] = statements
    api = next(iter(dev.of_type("ApiGatewayV2::Api")))
    assert name.startswith("LivePushForecastsRole")
    assert statement["Action"] == "execute-api:ManageConnections"
    assert statement["Resource"].endswith(f":<{api}>/live/POST/@connections/*")


def test_the_api_issues_tickets_and_lets_nobody_in_by_itself(dev: Assembly) -> None:
    [policy] = [each for name, each in dev.of_type("IAM::Policy").items() if name.startswith("ApiFunctionRole")]
    [statement] = [
        each
        for each in resolved(policy["Properties"]["PolicyDocument"]["Statement"])
        if "dynamodb:PutItem" in each["Action"]
    ]

    assert statement["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["ticket"]}}


def test_a_push_comes_once_a_minute_with_the_last_forecast_to_be_written(dev: Assembly) -> None:
    source = dev.event_source("push_forecasts")
    [pattern] = [compile_pattern(each["Pattern"]) for each in source["FilterCriteria"]["Filters"]]

    def record(kind: str, horizon: int) -> dict[str, object]:
        return {"eventName": kind, "dynamodb": {"Keys": {"series": {"S": f"kraken:BTC-USD:{horizon}"}}}}

    assert [horizon for horizon in (1, 5, 15, 60) if pattern(record("INSERT", horizon))] == [60]
    assert not pattern(record("MODIFY", 60)), "its outcome is no new forecast"
    assert source.get("MaximumBatchingWindowInSeconds", 0) == 0
    assert source["MaximumRecordAgeInSeconds"] == 120


def test_the_page_may_connect_to_this_api_and_to_no_other(dev: Assembly) -> None:
    methods = [resolved(each["Properties"]) for each in dev.of_type("ApiGateway::Method").values()]
    name = "method.response.header.Content-Security-Policy"
    told = {
        answer["ResponseParameters"][name]
        for method in methods
        for answer in method["Integration"].get("IntegrationResponses", ())
        if name in answer.get("ResponseParameters", {})
    }

    api = next(iter(dev.of_type("ApiGatewayV2::Api")))
    assert told == {f"'connect-src http: <{api}.ApiEndpoint>'"}


def test_a_stage_may_do_without(tmp_path: Path) -> None:
    silent = synthesised(replace(DEV, live=False), tmp_path)

    assert not {each["Type"] for each in silent.template["Resources"].values() if "ApiGatewayV2" in each["Type"]}
    assert "push_forecasts" not in silent.functions
    assert silent.functions["api"]["Properties"]["Environment"]["Variables"]["CHANNEL_URL"] == ""
    assert "'connect-src http:'" in json.dumps(silent.of_type("ApiGateway::Method"))
