"""The REST API's edge: known paths, keys, limits, and problem details for what it refuses by itself."""

import json
from types import ModuleType

import msgspec
import pytest

from btc.problems import ProblemDetails
from btc.routes import READABLE, ROUTES
from cdk.problems import PROBLEMS
from tests.infra.assembly import Assembly, Json, resolved


def methods(assembly: Assembly) -> dict[str, bool]:
    """Whether a key is required, by path."""
    resources = {name: resource["Properties"] for name, resource in assembly.of_type("ApiGateway::Resource").items()}

    def path(reference: Json) -> str:
        name = reference.get("Ref")
        return f"{path(resources[name]['ParentId'])}/{resources[name]['PathPart']}" if name else ""

    return {
        path(method["Properties"]["ResourceId"]) or "/": method["Properties"]["ApiKeyRequired"]
        for method in assembly.of_type("ApiGateway::Method").values()
    }


def test_every_route_is_there_and_all_but_the_open_ones_ask_for_a_key(dev: Assembly, dashboard: ModuleType) -> None:
    files = dashboard.files()

    assert methods(dev) == {**{route.path: route.keyed for route in ROUTES}, **dict.fromkeys(files, False)}
    assert {path for path, keyed in methods(dev).items() if not keyed} == {"/health", "/openapi.json", *files}


def test_the_gateway_itself_asks_for_what_a_route_cannot_do_without(dev: Assembly) -> None:
    [validated] = [
        method["Properties"]
        for method in dev.of_type("ApiGateway::Method").values()
        if "RequestValidatorId" in method["Properties"]
    ]

    assert validated["RequestParameters"] == {"method.request.querystring.horizon": True}
    assert dev.one("ApiGateway::RequestValidator")["ValidateRequestParameters"]


def test_answers_are_compressed(dev: Assembly) -> None:
    assert dev.one("ApiGateway::RestApi")["MinimumCompressionSize"] == 1024


def test_no_path_is_open_to_what_is_not_known(dev: Assembly) -> None:
    assert not [path for path in methods(dev) if "+}" in path]
    assert {method["Properties"]["HttpMethod"] for method in dev.of_type("ApiGateway::Method").values()} == {"GET"}


def test_a_key_may_ask_so_often(dev: Assembly) -> None:
    plan = dev.one("ApiGateway::UsagePlan")

    assert plan["Throttle"] == {"RateLimit": 10, "BurstLimit": 15}
    assert plan["Quota"] == {"Limit": 100_000, "Period": "DAY"}
    [stage] = plan["ApiStages"]
    assert stage["Throttle"] == {"/v1/forecasts/{symbol}/live/GET": {"RateLimit": 0.1, "BurstLimit": 20}}
    assert dev.one("ApiGateway::UsagePlanKey")["UsagePlanId"] == {
        "Ref": next(iter(dev.of_type("ApiGateway::UsagePlan")))
    }


def gateway_response(assembly: Assembly, name: str) -> Json:
    [response] = [
        each["Properties"]
        for each in assembly.of_type("ApiGateway::GatewayResponse").values()
        if each["Properties"]["ResponseType"] == name
    ]
    return response


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_the_gateway_refuses_with_problem_details(name: str, dev: Assembly) -> None:
    response = gateway_response(dev, name)
    problem = PROBLEMS[name]

    body = json.loads(
        response["ResponseTemplates"]["application/json"].replace("$context.error.messageString", '"why"')
    )

    content_type = response["ResponseParameters"]["gatewayresponse.header.Content-Type"]
    assert content_type == "'application/problem+json'"
    assert (body["title"], body.get("status")) == (problem.title, problem.status)
    assert body["detail"] == (problem.detail or "why")
    assert body["type"] == "about:blank"
    assert (body["reason"], body["request_id"]) == ("$context.error.responseType", "$context.requestId")
    # What it fills in, it does not quote: a quotation mark in a path would end the text it stands in.
    assert "$context.path" not in json.dumps(response)
    assert response["ResponseParameters"]["gatewayresponse.header.Cache-Control"] == "'no-store'"
    assert response.get("StatusCode") == (str(problem.status) if problem.status else None)


@pytest.mark.parametrize(("name", "seconds"), [("THROTTLED", 1), ("QUOTA_EXCEEDED", 3600), ("INVALID_API_KEY", None)])
def test_who_asked_too_often_is_told_when_to_ask_again(name: str, seconds: int | None, dev: Assembly) -> None:
    told = gateway_response(dev, name)["ResponseParameters"].get("gatewayresponse.header.Retry-After")

    assert told == (f"'{seconds}'" if seconds else None)


def test_who_does_not_sign_is_told_to_where_that_is_asked_for(dev: Assembly, guarded: Assembly) -> None:
    known = gateway_response(dev, "MISSING_AUTHENTICATION_TOKEN")
    unsigned = gateway_response(guarded, "MISSING_AUTHENTICATION_TOKEN")

    assert (known["StatusCode"], unsigned["StatusCode"]) == ("404", "403")
    body = json.loads(unsigned["ResponseTemplates"]["application/json"])
    assert (body["title"], body["status"]) == ("Forbidden", 403)
    for words in ("SigV4", "execute-api", "x-api-key", "btc.client --sign"):
        assert words in body["detail"]
    assert guarded.functions["api"]["Properties"]["Environment"]["Variables"]["SIGNED"] == "true"


def test_what_is_open_has_a_limit_of_its_own_that_no_key_holder_shares(dev: Assembly) -> None:
    limits = {
        (each["ResourcePath"].replace("~1", "/").replace("//", "/"), each["HttpMethod"]): (
            each["ThrottlingRateLimit"],
            each["ThrottlingBurstLimit"],
        )
        for each in dev.one("ApiGateway::Stage")["MethodSettings"]
    }

    unkeyed = [(path, "GET") for path, keyed in methods(dev).items() if not keyed]
    assert limits == {("/*", "*"): (50, 50), **dict.fromkeys(unkeyed, (20, 20))}


def test_requests_are_logged_without_who_made_them_beyond_the_address(dev: Assembly) -> None:
    setting = resolved(dev.one("ApiGateway::Stage")["AccessLogSetting"])

    logged = json.loads(setting["Format"])
    assert {"requestId", "status", "httpMethod", "resourcePath"} <= set(logged)
    assert not [value for value in logged.values() if "apiKey" in value]


def test_the_address_and_the_key_are_told(dev: Assembly) -> None:
    assert {"ApiUrl", "ApiKeyId", "UsagePlanId", "StreamName", "BarsTable", "LakeBucket", "PipelineName"} <= set(
        dev.template["Outputs"]
    )


def test_by_default_nobody_signs_no_page_is_let_in_and_nothing_is_billed_by_the_hour(dev: Assembly) -> None:
    assert {each["Properties"]["AuthorizationType"] for each in dev.of_type("ApiGateway::Method").values()} == {"NONE"}
    for kind in ("WAFv2::WebACL", "Lambda::Version", "IAM::ManagedPolicy"):
        assert not dev.of_type(kind)


def test_another_origin_is_let_in_by_setting(guarded: Assembly) -> None:
    asked = [each["Properties"] for each in guarded.of_type("ApiGateway::Method").values()]
    preflights = [each for each in asked if each["HttpMethod"] == "OPTIONS"]

    assert len(preflights) == len(ROUTES)
    for preflight in preflights:
        [told] = preflight["Integration"]["IntegrationResponses"]
        assert told["ResponseParameters"]["method.response.header.Access-Control-Allow-Origin"] == "'https://a.example'"
        assert not preflight["ApiKeyRequired"]
        allowed = told["ResponseParameters"]["method.response.header.Access-Control-Allow-Headers"]
        assert {"x-api-key", "authorization", "x-amz-date", "x-amz-security-token"} <= set(allowed[1:-1].split(","))
    for response in guarded.of_type("ApiGateway::GatewayResponse").values():
        headers = response["Properties"]["ResponseParameters"]
        assert headers["gatewayresponse.header.Access-Control-Allow-Origin"] == "'https://a.example'"
        assert headers["gatewayresponse.header.Access-Control-Expose-Headers"] == f"'{READABLE}'"
    assert guarded.functions["api"]["Properties"]["Environment"]["Variables"]["CORS_ORIGIN"] == "https://a.example"


def test_by_setting_all_that_asks_for_a_key_asks_for_a_signature_too(guarded: Assembly) -> None:
    for method in guarded.of_type("ApiGateway::Method").values():
        properties = method["Properties"]
        expected = "AWS_IAM" if properties["ApiKeyRequired"] else "NONE"
        assert properties["AuthorizationType"] == expected
    [statement] = resolved(guarded.one("IAM::ManagedPolicy")["PolicyDocument"]["Statement"])
    assert statement["Action"] == "execute-api:Invoke"
    assert statement["Resource"].endswith("/live/GET/v1/*")


def test_by_setting_a_firewall_stands_before_the_stage(guarded: Assembly) -> None:
    acl = guarded.one("WAFv2::WebACL")

    assert acl["Scope"] == "REGIONAL"
    assert sorted(rule["Priority"] for rule in acl["Rules"]) == [0, 1, 2, 3]
    assert acl["Rules"][0]["Statement"]["RateBasedStatement"]["Limit"] == 6000
    stage = next(iter(guarded.of_type("ApiGateway::Stage")))
    assert stage in json.dumps(guarded.one("WAFv2::WebACLAssociation")["ResourceArn"])


def test_the_firewall_tells_who_asks_too_often_when_to_ask_again(guarded: Assembly) -> None:
    acl = guarded.one("WAFv2::WebACL")
    told = acl["Rules"][0]["Action"]["Block"]["CustomResponse"]
    headers = {header["Name"]: header["Value"] for header in told["ResponseHeaders"]}
    body = acl["CustomResponseBodies"][told["CustomResponseBodyKey"]]
    problem = msgspec.json.decode(body["Content"], type=ProblemDetails)

    assert (told["ResponseCode"], body["ContentType"]) == (429, "APPLICATION_JSON")
    assert (headers["Retry-After"], headers["Cache-Control"]) == ("60", "no-store")
    assert headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert "Content-Type" not in headers, "which WAF refuses"
    assert (problem.title, problem.status, problem.reason) == ("Too Many Requests", 429, "TOO_OFTEN")
    assert "$" not in body["Content"], "WAF fills nothing in"


def test_by_setting_the_api_starts_from_a_snapshot(guarded: Assembly) -> None:
    assert guarded.functions["api"]["Properties"]["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    alias = next(iter(guarded.of_type("Lambda::Alias")))
    for method in guarded.of_type("ApiGateway::Method").values():
        called = json.dumps(method["Properties"]["Integration"].get("Uri"))
        assert alias in called or ":lambda:path/" not in called
