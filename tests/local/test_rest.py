"""The local API answers HTTP as API Gateway does: routes, keys, its own errors, and the proxy event's true form."""

from __future__ import annotations

import base64
import textwrap
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from local.gateway_responses import GatewayResponse, UnsupportedTemplateError
from local.lambdas import Function, FunctionError, FunctionSpec, Result
from local.rest import Route
from local.runtime import managed_runtime
from tests.local.serving import KEY, Serve, answering, echo, named, serve

__all__ = ["serve"]


def test_the_event_has_the_form_of_proxy_integration(serve: Serve) -> None:
    ask = serve(Route("/v1/bars/{symbol}", "GET", echo, api_key_required=True))
    event = ask("/v1/bars/BTC%2DUSD?interval=5m&at=1&at=2&empty=", X_Thing="ü".encode().decode("latin-1")).json

    assert event["resource"] == "/v1/bars/{symbol}"
    assert event["path"] == "/v1/bars/BTC%2DUSD"
    assert event["httpMethod"] == "GET"
    assert event["pathParameters"] == {"symbol": "BTC-USD"}
    assert event["queryStringParameters"] == {"interval": "5m", "at": "2", "empty": ""}
    assert event["multiValueQueryStringParameters"] == {"interval": ["5m"], "at": ["1", "2"], "empty": [""]}
    assert event["headers"]["x-api-key"] == KEY
    assert event["multiValueHeaders"]["x-api-key"] == [KEY]
    assert event["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert (event["body"], event["isBase64Encoded"], event["stageVariables"]) == (None, False, None)
    context = event["requestContext"]
    assert context["identity"]["apiKey"] == KEY
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert (context["stage"], context["path"]) == ("prod", "/prod/v1/bars/BTC%2DUSD")
    assert context["requestTimeEpoch"] > 1_700_000_000_000


def test_what_is_absent_is_null(serve: Serve) -> None:
    event = serve(Route("/health", "GET", echo))("/health", key=None).json

    assert event["queryStringParameters"] is event["multiValueQueryStringParameters"] is event["pathParameters"] is None
    assert "apiKey" not in event["requestContext"]["identity"]


def test_a_body_is_text_or_base64(serve: Serve) -> None:
    ask = serve(Route("/", "POST", echo))

    assert ask("/", "POST", "prix: 5 €".encode()).json["body"] == "prix: 5 €"
    binary = ask("/", "POST", b"\x00\xff").json
    assert (base64.b64decode(binary["body"]), binary["isBase64Encoded"]) == (b"\x00\xff", True)


def test_the_most_specific_resource_answers_and_it_alone(serve: Serve) -> None:
    ask = serve(
        Route("/{proxy+}", "ANY", named("greedy")),
        Route("/v1/forecasts/{symbol}", "GET", named("one")),
        Route("/v1/forecasts/all", "GET", named("all")),
        Route("/v1/forecasts/{symbol}/history", "GET", named("history")),
        Route("/", "GET", named("root")),
    )

    assert ask("/v1/forecasts/BTC-USD").json == "one"
    assert ask("/v1/forecasts/all").json == "all"
    assert ask("/v1/forecasts/BTC-USD/history").json == "history"
    assert ask("/v1/forecasts/BTC-USD/other").json == "greedy"
    assert ask("/v1/forecasts/BTC-USD/").json == "one"
    assert ask("/").json == ask("").json == "root"
    # API Gateway settles on a resource first: what it has no method for is not found elsewhere.
    assert ask("/v1/forecasts/BTC-USD", "POST").status == 403


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "HEAD", "DELETE"])
def test_a_method_or_path_that_is_not_there_is_a_missing_token(serve: Serve, method: str) -> None:
    ask = serve(Route("/health", "GET", named("health")))

    for reply in (ask("/health", method), ask("/nowhere", method)):
        assert reply.status == 403
        assert reply.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
        assert reply.body == (b"" if method == "HEAD" else b'{"message":"Missing Authentication Token"}')


@pytest.mark.parametrize("key", [None, "", "wrong", KEY[:-1], KEY + "x", "schlüssel"])
def test_no_known_key_no_entry(serve: Serve, key: str | None) -> None:
    called: list[object] = []

    def function(event: Mapping[str, Any]) -> Result:
        called.append(event)
        return echo(event)

    reply = serve(Route("/v1/bars/{symbol}", "GET", function, api_key_required=True))("/v1/bars/BTC-USD", key=key)

    assert (reply.status, reply.body) == (403, b'{"message":"Forbidden"}')
    assert reply.headers["x-amzn-errortype"] == "ForbiddenException"
    assert not called


def test_another_stage_is_forbidden(serve: Serve) -> None:
    reply = serve(Route("/health", "GET", named("health")))("/health", root="/test")

    assert (reply.status, reply.json) == (403, {"message": "Forbidden"})


def test_a_template_sets_the_gateways_own_words(serve: Serve) -> None:
    problem = '{"type":"about:blank","status":%s,"detail":$context.error.messageString,"instance":"$context.requestId"}'
    unauthorised = GatewayResponse.from_properties(
        {
            "ResponseType": "INVALID_API_KEY",
            "StatusCode": "401",
            "ResponseTemplates": {"application/problem+json": problem % 401},
            "ResponseParameters": {
                "gatewayresponse.header.WWW-Authenticate": "'ApiKey'",
                "gatewayresponse.header.X-Id": "context.requestId",
            },
        }
    )
    others = GatewayResponse.from_properties(
        {"ResponseType": "DEFAULT_4XX", "ResponseTemplates": {"application/json": '{"title":"$context.error.message"}'}}
    )
    ask = serve(Route("/v1", "GET", named("v1"), api_key_required=True), responses=(unauthorised, others))

    refused = ask("/v1", key=None)
    assert refused.status == 401
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["www-authenticate"] == "ApiKey"
    assert refused.json["detail"] == "Forbidden"
    assert refused.json["instance"] == refused.headers["x-id"] == refused.headers["x-amzn-requestid"]
    missing = ask("/nowhere")
    assert (missing.status, missing.json) == (403, {"title": "Missing Authentication Token"})


def test_a_gateway_response_that_cannot_be_rendered_is_refused_at_the_start() -> None:
    with pytest.raises(UnsupportedTemplateError, match="authorizer"):
        GatewayResponse.from_properties(
            {"ResponseType": "DEFAULT_4XX", "ResponseTemplates": {"application/json": "$context.authorizer.claims"}}
        )


def test_a_functions_answer_becomes_http(serve: Serve) -> None:
    image = base64.b64encode(b"\x89PNG").decode()
    ask = serve(
        Route(
            "/made",
            "GET",
            answering({"statusCode": 201, "headers": {"X-A": 1, "Content-Type": "text/plain"}, "body": "é"}),
        ),
        Route("/image", "GET", answering({"statusCode": "200", "body": image, "isBase64Encoded": True})),
        Route("/empty", "GET", answering({"statusCode": 204, "multiValueHeaders": {"X-B": ["1"]}})),
    )

    made, empty = ask("/made"), ask("/empty")
    assert (made.status, made.body, made.headers["x-a"]) == (201, "é".encode(), "1")
    assert made.headers["content-type"] == "text/plain"
    assert ask("/image").body == b"\x89PNG"
    assert (empty.status, empty.body, empty.headers["x-b"]) == (204, b"", "1")
    assert empty.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "payload",
    [
        None,
        "text",
        [],
        {},
        {"statusCode": "two hundred"},
        {"statusCode": 42},
        {"statusCode": 200, "body": {"not": "text"}},
        {"statusCode": 200, "headers": "none"},
        {"statusCode": 200, "headers": {"X": "a\r\nY: b"}},
        {"statusCode": 200, "body": "!", "isBase64Encoded": True},
    ],
)
def test_a_malformed_answer_is_a_bad_gateway(serve: Serve, payload: Any) -> None:
    reply = serve(Route("/", "GET", answering(payload)))("/")

    assert (reply.status, reply.body) == (502, b'{"message":"Internal server error"}')


def test_an_error_is_a_bad_gateway_and_an_answer_that_comes_too_late_a_timeout(serve: Serve) -> None:
    ask = serve(
        Route("/error", "GET", answering(error=FunctionError("KeyError", "secret detail"))),
        Route("/late", "GET", answering({"statusCode": 200}, duration_ms=29_001)),
    )

    assert (ask("/error").status, ask("/error").body) == (502, b'{"message":"Internal server error"}')
    assert (ask("/late").status, ask("/late").json) == (504, {"message": "Endpoint request timed out"})


def test_a_real_function_answers_two_requests_at_once(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "asset").mkdir()
    code = """
        import json, time
        def handler(event, context):
            time.sleep(0.3)
            return {"statusCode": 200, "body": json.dumps(event["pathParameters"])}
    """
    (tmp_path / "asset" / "handler.py").write_text(textwrap.dedent(code))
    spec = FunctionSpec(
        name="api",
        arn="arn:aws:lambda:us-east-1:123456789012:function:api",
        asset=tmp_path / "asset",
        handler="handler.handler",
        runtime=managed_runtime(tmp_path / "runtime"),
        environment={},
    )
    with Function(spec, tmp_path / "log", concurrency=2) as function:
        ask = serve(Route("/v1/{symbol}", "GET", function.invoke))
        replies: list[Any] = []
        threads = [
            threading.Thread(target=lambda symbol=symbol: replies.append(ask(f"/v1/{symbol}").json)) for symbol in "ab"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(reply["symbol"] for reply in replies) == ["a", "b"]
