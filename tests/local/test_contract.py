"""The API keeps what its OpenAPI document promises, over the running local stack, whatever it is asked."""

from __future__ import annotations

import copy
import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from btc.client.__main__ import COMMANDS, main
from btc.problems import CONTENT_TYPE
from btc.routes import HISTORY, ROUTES, Route
from local.stack import Served
from tests.local.stocked import stocked

pytestmark = [pytest.mark.xdist_group("contract"), pytest.mark.timeout(600)]

POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
OURS = {"symbol": "BTC-USD"}
CASES = [(POSITIVE, OURS, 100), (NEGATIVE, OURS, 100), (POSITIVE, None, 40), (NEGATIVE, None, 40)]
"""For a route of a market, which what is drawn at random seldom names: 280 cases each, 1,400 in all five."""
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


@dataclass(frozen=True)
class Api:
    """Where it answers, and the document it told."""

    served: Served
    document: dict[str, Any]


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with stocked() as (_, served):
        document = requests.get(f"{served.url}/openapi.json", timeout=30).json()
        yield Api(served, document)


def answers(api: Api, document: dict[str, Any], route: Route, cases: list[tuple[Any, Any, int]]) -> list[int]:
    """The status of each answer; raises where the document does not allow one."""
    operation = schemathesis.openapi.from_dict(document)[route.path]["GET"]
    headers = {"x-api-key": api.served.key}
    found: list[int] = []
    with requests.Session() as session:
        for mode, path, count in cases:

            @settings(
                max_examples=count,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode, path_parameters=path))
            def ask(case: schemathesis.Case) -> None:
                answer = case.call_and_validate(
                    base_url=api.served.url, session=session, headers=headers, checks=CHECKS, timeout=30
                )
                found.append(answer.status_code)

            ask()
    return found


@pytest.mark.parametrize("route", ROUTES, ids=[route.name for route in ROUTES])
def test_no_answer_is_a_fault_or_undocumented(api: Api, route: Route) -> None:
    found = answers(api, api.document, route, CASES if route.parameters else [(POSITIVE, None, 10)])

    print(f"{route.name}: {len(found)} cases, {dict(sorted(Counter(found).items()))}")
    assert 200 in found


@pytest.mark.parametrize("route", [route for route in ROUTES if route.cached], ids=lambda route: route.name)
def test_what_is_held_already_is_answered_as_the_document_says(api: Api, route: Route) -> None:
    url = api.served.url + route.path.format(symbol="BTC-USD")
    query, key = {"horizon": "5"} if route is HISTORY else {}, {"x-api-key": api.served.key}
    first = requests.get(url, query, headers=key, timeout=30)
    again = requests.get(url, query, headers={**key, "If-None-Match": first.headers["ETag"]}, timeout=30)
    told = api.document["paths"][route.path]["get"]["responses"]

    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    for answer in (first, again):
        assert set(told[str(answer.status_code)]["headers"]) <= set(answer.headers)


def test_a_tool_that_knows_the_documents_address_alone_finds_the_api(api: Api) -> None:
    schema = schemathesis.openapi.from_url(f"{api.served.url}/openapi.json")

    assert schema["/health"]["GET"].Case().call(timeout=30).status_code == 200
    keyed = schema["/v1/models/current"]["GET"].Case(headers={"x-api-key": api.served.key})
    assert keyed.call(timeout=30).status_code == 200


def test_an_undocumented_answer_would_be_noticed(api: Api) -> None:
    document = copy.deepcopy(api.document)
    del document["paths"][HISTORY.path]["get"]["responses"]["400"]

    with pytest.raises(FailureGroup, match="400"):
        answers(api, document, HISTORY, [(NEGATIVE, OURS, 20)])


@dataclass(frozen=True)
class Reply:
    status: int
    content_type: str
    body: Any


def ask(api: Api, target: str, method: str = "GET", body: bytes | None = None, key: bool = True) -> Reply:
    request = urllib.request.Request(api.served.url + target, data=body, method=method)
    if key:
        request.add_header("x-api-key", api.served.key)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Reply(answer.status, answer.headers["Content-Type"], json.load(answer))
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.headers["Content-Type"], json.loads(error.read() or b"null"))


PRICES, PAST = "/v1/bars/BTC-USD", "/v1/forecasts/BTC-USD/history"
HOSTILE = {
    "a huge number": f"{PAST}?horizon=5&limit={'9' * 5000}",
    "a huge horizon": f"{PAST}?horizon={'9' * 5000}",
    "infinity": f"{PAST}?horizon=5&limit=Infinity",
    "a negative number": f"{PAST}?horizon=5&limit=-1",
    "no horizon": PAST,
    "an empty horizon": f"{PAST}?horizon=",
    "SQL in a parameter": f"{PRICES}?interval=1m'%20OR%20'1'='1",
    "SQL in the path": "/v1/bars/BTC-USD';DROP%20TABLE%20bars;--",
    "a template in the path": "/v1/bars/%7B%7B7*7%7D%7D",
    "a climb": "/v1/bars/..%2f..%2f..%2fetc%2fpasswd",
    "a climb in the open": "/v1/bars/../../health/../../etc/passwd",
    "a climb, encoded twice": "/v1/bars/%252e%252e%252fetc%252fpasswd",
    "a backslash": "/v1/bars/..%5c..%5cwindows",
    "an overlong encoding": "/v1/bars/%c0%ae%c0%ae%c0%af",
    "a NUL in the path": "/v1/bars/BTC-USD%00",
    "a NUL in a parameter": f"{PRICES}?venue=kraken%00",
    "a line break in a parameter": f"{PRICES}?venue=kraken%0d%0aSet-Cookie:%20a=b",
    "what is no UTF-8": f"{PRICES}?venue=%ff%fe",
    "a cursor that is none": f"{PAST}?horizon=5&cursor=AAAA",
    "a cursor of bytes": f"{PAST}?horizon=5&cursor=%ff%00%01",
    "a cursor of another series": f"{PAST}?horizon=5&cursor=a3Jha2VuOkJUQy1VU0Q6MTwyMDI2LTExLTIyVDIwOjI4OjAwWg",
    "a long cursor": f"{PAST}?horizon=5&cursor={'A' * 5000}",
    "a parameter twice": f"{PRICES}?interval=1m&interval=5m",
    "a parameter as a list": f"{PRICES}?interval[]=1m",
    "a parameter as an object": f"{PRICES}?interval[$ne]=1m",
    "a wrong type": f"{PRICES}?start=1700000000",
    "a time that never was": f"{PRICES}?start=2026-02-30T00:00:00Z",
    "a year beyond all": f"{PRICES}?start=99999-01-01T00:00:00Z",
    "more than there may be": f"{PRICES}?start=1970-01-01T00:00:00Z&end=2026-01-01T00:00:00Z",
    "an unknown parameter": f"{PRICES}?__proto__=1",
    # Sent as they stand: only a careful client would encode them.
    "a quotation mark in the path": '/v1/a"b',
    "a member in the path": '/v1/","status":200,"detail":"',
    "a backslash in the open": "/v1/a\\b",
    "a quotation mark in a symbol": '/v1/bars/a"b\\',
    "a symbol that is none": "/v1/forecasts/BTC",
    "a path that is none": "/v1/forecasts/BTC-USD/history/more",
    "another version": "/v2/forecasts/BTC-USD",
}


@pytest.mark.parametrize("target", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_meant_to_harm_is_refused_with_problem_details(api: Api, target: str) -> None:
    reply = ask(api, target)

    assert 400 <= reply.status < 500
    assert reply.content_type == CONTENT_TYPE
    assert reply.body["request_id"]
    assert reply.body["status"] == reply.status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_only_get_is_answered(api: Api, method: str) -> None:
    reply = ask(api, "/v1/models/current", method)

    assert (reply.status, reply.content_type, reply.body["status"]) == (404, CONTENT_TYPE, 404)


@pytest.mark.parametrize("megabytes", [7, 10, 11])
def test_a_large_body_is_refused_before_it_reaches_the_function(api: Api, megabytes: int) -> None:
    reply = ask(api, "/v1/models/current", body=b"x" * megabytes * 2**20)

    assert (reply.status, reply.content_type, reply.body["status"]) == (413, CONTENT_TYPE, 413)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.keyed], ids=lambda route: route.name)
def test_without_a_key_nothing_is_told(api: Api, route: Route) -> None:
    reply = ask(api, route.path.replace("{symbol}", "BTC-USD"), key=False)

    assert (reply.status, reply.content_type) == (403, CONTENT_TYPE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_client_tells_every_route(api: Api, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    market = [] if command in ("model", "health") else ["BTC-USD"]
    environment = {"BTC_API_URL": api.served.url, "BTC_API_KEY": api.served.key}

    assert main([command, *market], environment) == 0
    table = capsys.readouterr().out
    assert main([command, *market, "--json"], environment) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(table.splitlines()) >= 2
    assert "staleness_s" in told
