"""What the API refuses, and how: problem details that say what is wrong and tell nothing of the inside."""

import pytest

from btc.aws import clients
from tests.unit.asking import ask, clock
from tests.unit.aws import aws

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["ask", "aws", "clock"]

BARS, HISTORY = "/v1/bars/BTC-USD", "/v1/forecasts/BTC-USD/history"


@pytest.mark.parametrize(
    ("path", "query", "status", "detail"),
    [
        ("/v1/forecasts/DOGE-USD", {}, 404, "DOGE-USD is not followed here; known: BTC-USD"),
        ("/v1/forecasts/BTC-USD", {"venue": "nowhere"}, 404, "BTC-USD at nowhere is not followed here"),
        ("/v1/forecasts/DOGE-USD/history", {"horizon": "5"}, 404, "DOGE-USD is not followed here"),
        ("/v1/scores/DOGE-USD", {}, 404, "DOGE-USD is not followed here; known: BTC-USD"),
        ("/v1/nothing", {}, 404, "there is nothing at /v1/nothing"),
        ("/v1/bars/..%2f..%2fetc%2fpasswd", {}, 404, ""),
        ("/v1/bars/BTC-USD\x00", {}, 404, ""),
        (BARS, {"interval": "7m"}, 400, "interval cannot be read: expected 1m, 5m, 15m, 1h, 4h or 1d"),
        (BARS, {"start": "yesterday"}, 400, "start cannot be read: expected start of the first bar, ISO 8601"),
        (BARS, {"start": "2026-11-22T20:28:00"}, 400, "ISO 8601 with a zone"),
        (BARS, {"start": "2026-02-30T00:00:00Z"}, 400, "start names no moment of the calendar"),
        (BARS, {"start": "2026-11-22T20:28:00Z\n"}, 400, "start"),
        (BARS, {"start": "null"}, 400, "start cannot be read"),
        (BARS, {"end": "0001-01-01T00:00:00Z"}, 400, "end lies outside"),
        (BARS, {"end": "9999-12-31T23:59:59+00:00"}, 400, "end lies outside"),
        (BARS, {"end": "1970-01-01T00:00:00Z"}, 400, "start"),
        (BARS, {"start": "2025-01-01T00:00:00Z"}, 400, "at most 1500 bars of 1m"),
        (BARS, {"start": "2025-11-11T00:00:00Z", "end": "2025-11-10T00:00:00Z"}, 400, "not before end"),
        (BARS, {"interval": ["1m", "5m"]}, 400, "interval is given 2 times"),
        (BARS, {"intervall": "5m"}, 400, "intervall is no parameter of this route; known: venue, interval, start, end"),
        (BARS, {"venue": "kraken' OR 1=1 --"}, 400, "venue cannot be read: expected a venue, as kraken"),
        (HISTORY, {}, 400, "horizon is missing: expected minutes ahead, 1, 5, 15 or 60"),
        (HISTORY, {"horizon": "7"}, 400, "horizon cannot be read: expected minutes ahead"),
        (HISTORY, {"horizon": "5", "limit": "0"}, 400, "limit cannot be read: expected forecasts a page, 1 to 200"),
        (HISTORY, {"horizon": "5", "limit": "9" * 500}, 400, "limit cannot be read"),
        (HISTORY, {"horizon": "5", "limit": "٣"}, 400, "limit cannot be read"),
        (HISTORY, {"horizon": "5", "cursor": "%"}, 400, "cursor is none that an answer gave"),
        (HISTORY, {"horizon": "5", "cursor": "AAAA"}, 400, "cursor is none that an answer gave"),
        (HISTORY, {"horizon": "5", "cursor": "é"}, 400, "cursor is none that an answer gave"),
        (HISTORY, {"horizon": "5", "cursor": "A" * 300}, 400, "cursor cannot be read: expected next_cursor"),
        ("/openapi.json", {"a": "b"}, 400, "a is no parameter of this route; known: none"),
        ("/v1/models/current", {"a": "b"}, 400, "a is no parameter of this route; known: none"),
    ],
)
def test_what_cannot_be_answered_is_told_as_problem_details(ask, path, query, status, detail):
    reply = ask(path, **query)

    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    assert detail in reply.body["detail"]
    assert reply.body["status"] == status
    assert reply.body["instance"] == f"/live{path}"
    assert reply.body["request_id"] == "request-1"
    assert reply.headers["cache-control"] == "no-store"


def test_a_fault_of_ours_tells_nothing_of_itself(ask):
    clients.dynamodb().delete_table(TableName="state")
    reply = ask("/v1/models/current")

    assert (reply.status, reply.headers["content-type"]) == (500, "application/problem+json")
    assert "state" not in reply.text.replace('"status"', "")
    assert "Traceback" not in reply.text
