"""The OpenAPI document: every route, parameter and answer, as the code has them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from btc import openapi
from btc.routes import ROUTES
from tests.unit.asking import SETTINGS, ask, asking, clock
from tests.unit.aws import aws

__all__ = ["ask", "aws", "clock"]


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(json.dumps(openapi.document(signed=False, root="/live")))


def test_every_route_is_told_and_no_other(document):
    assert set(document["paths"]) == {route.path for route in ROUTES}
    assert document["openapi"].startswith("3.1")


def test_every_reference_leads_somewhere(document):
    def references(part: Any) -> list[str]:
        if isinstance(part, list):
            return [each for entry in part for each in references(entry)]
        if isinstance(part, dict):
            return [part["$ref"]] if "$ref" in part else [each for entry in part.values() for each in references(entry)]
        return []

    found = references(document)
    assert found
    for reference in found:
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_parameters_are_those_that_are_read(document):
    [horizon] = [
        each
        for each in document["paths"]["/v1/forecasts/{symbol}/history"]["get"]["parameters"]
        if each["name"] == "horizon"
    ]

    assert (horizon["in"], horizon["required"], horizon["schema"]["enum"]) == ("query", True, [1, 5, 15, 60])


def test_prices_of_bars_are_numbers(document):
    assert document["components"]["schemas"]["Bar"]["properties"]["open"] == {"type": "number"}


def test_only_what_is_open_needs_no_key(document):
    open_paths = [path for path, item in document["paths"].items() if not item["get"]["security"]]

    assert open_paths == ["/health", "/openapi.json"]


def test_a_signature_is_told_of_where_one_is_asked_for(aws, clock, document, monkeypatch):
    signed = asking(replace(SETTINGS, signed=True), clock, monkeypatch)("/openapi.json").body
    secured = {path: item["get"]["security"] for path, item in signed["paths"].items()}

    assert signed["components"]["securitySchemes"]["signature"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert secured["/v1/models/current"] == [{"key": [], "signature": []}]
    assert secured["/health"] == []
    assert "signature" not in document["components"]["securitySchemes"]


def test_who_asks_too_often_is_told_when_to_ask_again(document):
    told = document["components"]["responses"]["429"]

    assert set(told["headers"]) == {"Retry-After"}
    assert set(told["content"]) == {"application/problem+json", "application/json"}, "a firewall knows no other kind"


def test_what_is_open_can_be_refused_by_a_firewall_all_the_same(document):
    for item in document["paths"].values():
        assert {"403", "429"} <= set(item["get"]["responses"])


def test_the_gateway_leaves_out_of_a_problem_what_is_a_senders_own_words(document):
    assert set(document["components"]["schemas"]["ProblemDetails"]["required"]) == {
        *("type", "title", "detail", "request_id")
    }


@pytest.mark.parametrize(
    ("path", "root"), [("/live/openapi.json", "/live"), ("/openapi.json", "/"), ("/a/b/openapi.json", "/a/b")]
)
def test_its_address_is_the_path_that_it_is_served_under(aws, clock, monkeypatch, path, root):
    ask = asking(SETTINGS, clock, monkeypatch)
    other = ask("/openapi.json", context={"path": "/other/openapi.json"})
    reply = ask("/openapi.json", context={"path": path})

    assert reply.body["servers"] == [{"url": root}]
    assert (other.body["servers"], other.headers["etag"] == reply.headers["etag"]) == ([{"url": "/other"}], False)


def test_it_is_served(ask, document):
    reply = ask("/openapi.json")

    assert (reply.status, reply.body) == (200, document)
    assert reply.headers["cache-control"] == "public, max-age=3600"
