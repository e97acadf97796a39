"""How long the API's answers hold, how a client asks whether they have changed, and whose pages may read them."""

from dataclasses import replace

import pytest

from btc.aws import clients
from btc.aws.state import StateTable
from btc.champions import Champion
from btc.times import MINUTE, SECOND, iso
from tests.unit.asking import SETTINGS, ask, asking, clock, forecast_minutes, store_bars
from tests.unit.aws import aws
from tests.unit.market import BTC, NOON

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["ask", "aws", "clock"]

EXPOSED = "access-control-expose-headers"
FORECASTS, BARS = "/v1/forecasts/BTC-USD", "/v1/bars/BTC-USD"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (FORECASTS, {}),
        (f"{FORECASTS}/history", {"horizon": "5"}),
        ("/v1/scores/BTC-USD", {}),
        (BARS, {}),
        ("/v1/models/current", {}),
        ("/openapi.json", {}),
    ],
)
def test_what_a_client_has_already_is_not_sent_again_however_old_it_has_become(ask, clock, path, query):
    forecast_minutes(3)
    store_bars(3)
    StateTable("state", clients.dynamodb()).promote(Champion("m", "g/1", "s3://m/1", iso(NOON), iso(NOON)), {})
    first = ask(path, **query)
    clock.now += 7 * SECOND
    second = ask(path, {"If-None-Match": f'"other", {first.headers["etag"]}'}, **query)

    assert first.status == 200
    assert (second.status, second.text) == (304, "")
    assert second.headers["etag"] == first.headers["etag"]
    assert "cache-control" in second.headers
    assert ask(path, {"If-None-Match": 'W/"other"'}, **query).status == 200


def test_what_has_changed_has_another_tag(ask):
    forecast_minutes(2)
    before = ask(FORECASTS).headers["etag"]
    store_bars(3)
    after = ask(FORECASTS, {"If-None-Match": before})

    assert (after.status, after.headers["etag"] != before) == (200, True)


def test_the_newest_forecast_holds_until_the_next_minute_and_an_overdue_one_a_second(ask, clock):
    forecast_minutes(11)
    store_bars(12)
    assert ask(FORECASTS).headers["cache-control"] == "private, max-age=58"
    clock.now += MINUTE

    assert ask(FORECASTS).headers["cache-control"] == "private, max-age=1"


def test_what_is_read_before_a_horizon_of_it_can_be_is_read_again(ask):
    forecast_minutes(11)
    store_bars(12)
    key = {"series": {"S": f"{BTC}:1"}, "target_time": {"S": iso(NOON + 11 * MINUTE)}}
    late = clients.dynamodb().delete_item(TableName="forecasts", Key=key, ReturnValues="ALL_OLD")["Attributes"]
    torn = ask(FORECASTS)
    clients.dynamodb().put_item(TableName="forecasts", Item=late)
    whole = ask(FORECASTS)

    assert torn.headers["cache-control"] == "private, max-age=1"
    assert {made["as_of"] for made in whole.body["forecasts"]} == {iso(NOON + 10 * MINUTE)}
    assert whole.headers["cache-control"] == "private, max-age=58"


def test_an_answer_of_one_minute_is_not_told_as_one_of_the_next(ask, clock, monkeypatch):
    forecast_minutes(11)
    store_bars(12)
    moments = iter([NOON + 11 * MINUTE - 1, *[NOON + 11 * MINUTE] * 9])
    monkeypatch.setattr(type(clock), "now", property(lambda _: next(moments)), raising=False)

    assert ask(FORECASTS).headers["cache-control"] in ("private, max-age=0", "private, max-age=1")


def test_proven_bars_hold_until_the_next_minute_and_others_a_second(ask):
    store_bars(10)
    proven = ask(BARS, start=iso(NOON + MINUTE), end=iso(NOON + 9 * MINUTE))
    growing = ask(BARS, start=iso(NOON + MINUTE), end=iso(NOON + 11 * MINUTE))

    assert proven.headers["cache-control"] == "private, max-age=58"
    assert growing.headers["cache-control"] == "private, max-age=1"


def test_a_span_that_is_over_stays_the_same_while_the_feed_goes_on(ask, clock):
    store_bars(10)
    span = {"start": iso(NOON + MINUTE), "end": iso(NOON + 9 * MINUTE)}
    first = ask(BARS, **span)
    clock.now += 5 * MINUTE
    store_bars(15)
    again = ask(BARS, {"If-None-Match": first.headers["etag"]}, **span)
    newest = ask(BARS, start=span["start"])

    assert (first.body["as_of"], first.body["staleness_s"]) == (span["end"], 61.5)
    assert (again.status, again.headers["etag"]) == (304, first.headers["etag"])
    assert newest.body["as_of"] == iso(NOON + 15 * MINUTE)


def test_a_span_that_the_feed_has_not_reached_the_end_of_is_no_newer_than_the_feed(ask):
    store_bars(5)

    assert ask(BARS, start=iso(NOON), end=iso(NOON + 9 * MINUTE)).body["as_of"] == iso(NOON + 5 * MINUTE)


@pytest.mark.parametrize("path", [BARS, "/openapi.json"])
def test_a_cache_is_told_that_answers_differ_by_what_compression_is_taken(ask, path):
    first = ask(path)

    assert first.headers["vary"] == "Accept-Encoding"
    assert ask(path, {"If-None-Match": first.headers["etag"]}).headers["vary"] == "Accept-Encoding"


def test_health_is_never_kept(ask):
    assert ask("/health").headers["cache-control"] == "no-store"
    assert "etag" not in ask("/health").headers


@pytest.mark.parametrize("path", [FORECASTS, "/v1/nothing", "/health", "/openapi.json"])
def test_pages_of_the_origin_that_is_set_may_read_what_comes_back(clock, monkeypatch, path):
    allowed = asking(replace(SETTINGS, cors_origin="https://example.org"), clock, monkeypatch)(path)

    assert allowed.headers["access-control-allow-origin"] == "https://example.org"
    assert {"ETag", "Retry-After", "x-amzn-RequestId"} <= set(allowed.headers[EXPOSED].split(", "))


def test_by_default_no_other_page_may(ask):
    assert "access-control-allow-origin" not in ask(FORECASTS).headers
