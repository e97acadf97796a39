"""The simulated exchange's REST: Kraken's envelope, its paging, its bars."""

import json
import time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from btc.times import SECOND
from local.exchange.market import FIRST_ID
from local.exchange.pairs import listed

BTC = listed("BTC-USD")


def test_rest_paging_walks_the_whole_history_without_loss(exchange):
    rows = exchange.history()
    expected = exchange.scenario.open().markets[BTC].until(exchange.scenario.now)

    assert [row[-1] for row in rows] == list(range(FIRST_ID, FIRST_ID + len(rows)))
    assert len(rows) >= len(expected) > 3000
    assert [round(row[2] * SECOND) for row in rows[: len(expected)]] == expected.times.tolist()
    assert [Decimal(row[0]).scaleb(8) for row in rows[: len(expected)]] == expected.prices.tolist()
    assert [Decimal(row[1]).scaleb(8) for row in rows[: len(expected)]] == expected.sizes.tolist()
    assert [row[3] == "b" for row in rows[: len(expected)]] == expected.taker_buys.tolist()


def test_a_page_counts_since_in_seconds_or_nanoseconds_and_excludes_it(exchange):
    page = exchange.get("Trades", pair="BTC/USD", since=0, count=20)["result"]
    moment = page["XXBTZUSD"][-1][2]
    following = exchange.get("Trades", pair="BTCUSD", since=page["last"], count=1)["result"]["XXBTZUSD"][0]
    second = exchange.get("Trades", pair="XBTUSD", since=int(moment), count=1)["result"]["XXBTZUSD"][0]

    assert page["last"] == str(round(moment * SECOND) * 1000)
    assert following[2] > moment
    assert int(moment) < second[2] <= moment


def test_without_since_the_newest_trades_come_and_a_page_holds_a_thousand(exchange):
    rows = exchange.get("Trades", pair="XBTUSD")["result"]["XXBTZUSD"]

    assert len(rows) == 1000
    assert rows[-1][2] >= exchange.scenario.now / SECOND - 10 * 60


def test_bars_at_rest_are_those_cut_from_the_trades(exchange):
    result = exchange.get("OHLC", pair="XBTUSD", interval=1)["result"]
    minutes: dict[int, list[list[Any]]] = {}
    for row in exchange.history():
        minutes.setdefault(int(row[2]) // 60 * 60, []).append(row)
    bars = result["XXBTZUSD"]

    assert len(bars) == 720
    assert [bar[0] for bar in bars] == list(range(bars[0][0], bars[0][0] + 720 * 60, 60))
    assert result["last"] == bars[-2][0]
    for before, bar in pairwise(bars[:-1]):
        trades = minutes.get(bar[0], [])
        prices = [Decimal(trade[0]) for trade in trades] or [Decimal(before[4])]
        assert [Decimal(price) for price in bar[1:5]] == [prices[0], max(prices), min(prices), prices[-1]]
        assert Decimal(bar[6]) == sum(Decimal(trade[1]) for trade in trades)
        assert bar[7] == len(trades)
        assert bool(trades) == (bar[5] != "0.0")


def test_bars_after_since_only_and_longer_intervals(exchange):
    bars = exchange.get("OHLC", pair="XBTUSD", interval=1)["result"]["XXBTZUSD"]
    hours = exchange.get("OHLC", pair="XBTUSD", interval=60)["result"]["XXBTZUSD"]

    assert exchange.get("OHLC", pair="XBTUSD", since=bars[-3][0])["result"]["XXBTZUSD"][0][0] == bars[-2][0]
    assert all(bar[0] % 3600 == 0 for bar in hours)
    assert len(hours) == exchange.scenario.history_days * 24 + 1


@pytest.mark.parametrize(
    ("name", "query", "error"),
    [
        ("Trades", {"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ("OHLC", {"pair": "ETHUSD"}, "EQuery:Unknown asset pair"),
        ("Trades", {}, "EGeneral:Invalid arguments"),
        ("Trades", {"pair": "XBTUSD", "count": 1001}, "EGeneral:Invalid arguments:count"),
        ("Trades", {"pair": "XBTUSD", "since": "yesterday"}, "EGeneral:Invalid arguments:since"),
        ("OHLC", {"pair": "XBTUSD", "interval": 2}, "EGeneral:Invalid arguments:interval"),
        ("Nothing", {}, "EGeneral:Unknown method"),
    ],
)
def test_bad_queries_are_answered_in_the_envelope_with_status_200(exchange, name, query, error):
    assert exchange.get(name, **query) == {"error": [error]}


def test_the_clock_runs_at_its_speed(exchange):
    before, wall = exchange.get("Time")["result"]["unixtime"], time.monotonic()
    time.sleep(0.4)
    passed, life = exchange.get("Time")["result"]["unixtime"] - before, time.monotonic() - wall

    assert passed == pytest.approx(life * exchange.scenario.speed, abs=4)
    assert exchange.get("SystemStatus")["result"]["status"] == "online"


def test_throttled_calls_are_refused_as_often_as_ordered(exchange):
    exchange.control(throttle=1)

    assert exchange.get("Time") == {"error": ["EGeneral:Too many requests"]}
    assert exchange.get("Time")["error"] == []


def test_an_unknown_order_is_a_bad_request(exchange):
    with pytest.raises(HTTPError) as refusal:
        exchange.control(explode=True)
    with refusal.value as answer:
        assert answer.code == 400


def decimals(row: list[Any]) -> list[int]:
    return [len(cell.partition(".")[2]) for cell in row if isinstance(cell, str)]


def test_rest_answers_have_the_shape_of_krakens_own(exchange, market_data: Path):
    for name, stored in (("Trades", "kraken_rest_trades_first.json"), ("OHLC", "kraken_rest_ohlc_first.json")):
        real = json.loads((market_data / "oracle" / stored).read_text())
        ours = exchange.get(name, pair="XBTUSD", since=0)
        real_rows, our_rows = real["result"].pop("XBTUSDT"), ours["result"].pop("XXBTZUSD")

        assert {key: type(value) for key, value in ours["result"].items()} == {"last": type(real["result"]["last"])}
        assert ours["error"] == real["error"]
        assert [type(cell) for cell in our_rows[0]] == [type(cell) for cell in real_rows[0]]
        decimals = [
            [len(cell.partition(".")[2]) for cell in row if isinstance(cell, str)]
            for row in (our_rows[0], real_rows[0])
        ]
        assert decimals[0] == decimals[1]
