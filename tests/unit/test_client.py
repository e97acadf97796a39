"""The client against a real HTTP server: typed answers, patience where it helps, and none where it does not."""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest

from btc.client import Api, ApiError, UnreachableError, connection
from btc.client.__main__ import main

HEALTH = {"as_of": None, "staleness_s": None, "status": "stale", "feed_age_s": {"kraken:BTC-USD": None}}
BAR = {
    "start": "2026-11-22T20:28:00Z",
    **dict.fromkeys(("open", "high", "low", "close", "volume"), 105433),
    **dict.fromkeys(("buy_volume", "turnover", "trade_count", "first_trade_id", "last_trade_id")),
    "closed": True,
    "complete": True,
    "source": "trades",
}
PROBLEM = {"type": "about:blank", "title": "Forbidden", "detail": "no", "request_id": "r-1"}

Script = list[tuple[int, dict[str, str], bytes]]
"""Answers, one a request; the last one goes on for ever."""


class Server:
    """Answers as its script says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.script: Script = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                status, headers, content = server.script.pop(0) if len(server.script) > 1 else server.script[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/live"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    with Api(server.url, "key-1", attempts=4) as client:
        yield client


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the client would have waited for."""
    pauses: list[float] = []
    monkeypatch.setattr(connection.time, "sleep", pauses.append)
    return pauses


def ok(body: Any, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return 200, headers, json.dumps(body).encode()


def refused(status: int, **headers: str) -> tuple[int, dict[str, str], bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": "application/problem+json", **named}, json.dumps(PROBLEM).encode()


def test_an_answer_is_typed_and_its_prices_are_exact(server, api):
    about = {"symbol": "BTC-USD", "venue": "kraken", "as_of": None, "staleness_s": None, "interval": "1m"}
    text = json.dumps({**about, "complete": True, "bars": [BAR]}).replace('"high": 105433', '"high": 105433.60000001')
    server.script = [(200, {"Content-Encoding": "gzip"}, gzip.compress(text.encode()))]
    answer = api.bars("BTC-USD", interval="5m", start="2026-11-22T20:28:00+00:00")

    assert answer.bars[0].high == Decimal("105433.60000001")
    [(path, headers)] = server.asked
    assert path == "/live/v1/bars/BTC-USD?interval=5m&start=2026-11-22T20%3A28%3A00%2B00%3A00"
    assert (headers["x-api-key"], headers["accept-encoding"]) == ("key-1", "gzip")


@pytest.mark.parametrize("symbol", ["../models/current", "BTC/USD", "a?b=c#d", "BTC USD", "é%2f"])
def test_whatever_a_symbol_holds_it_is_one_step_of_the_path(server, api, symbol):
    server.script = [refused(404)]
    for ask in (api.forecasts, api.live, api.bars, api.scores, lambda symbol: api.history(symbol, 5)):
        with pytest.raises(ApiError):
            ask(symbol)

    paths = [path.removeprefix("/live/v1/").partition("?")[0] for path, _ in server.asked]
    steps = [path.split("/") for path in paths]
    assert [step[0] for step in steps] == ["forecasts", "forecasts", "bars", "scores", "forecasts"]
    assert {unquote(step[1]) for step in steps} == {symbol}
    assert [step[2:] for step in steps] == [[], ["live"], [], [], ["history"]]


def test_it_waits_as_long_as_it_is_told_and_a_little_more_and_asks_again(server, api, slept):
    server.script = [refused(429, Retry_After="3"), refused(429), ok(HEALTH)]

    assert api.health().status == "stale"
    assert 3 <= slept[0] <= 4.5
    assert 0.5 <= slept[1] <= 1.0
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failing_server_is_asked_again_ever_more_slowly_and_then_no_more(server, api, slept, status):
    server.script = [refused(status)]
    with pytest.raises(ApiError, match="request r-1"):
        api.health()

    assert len(server.asked) == 4
    for attempt, pause in enumerate(slept):
        assert 0.25 * 2**attempt <= pause <= 0.5 * 2**attempt


@pytest.mark.parametrize("status", [400, 403, 404, 413])
def test_a_refusal_is_told_at_once(server, api, slept, status):
    server.script = [refused(status)]
    with pytest.raises(ApiError) as told:
        api.forecasts("BTC-USD")

    assert (told.value.status, told.value.problem.title, len(server.asked), slept) == (status, "Forbidden", 1, [])


def test_who_asks_for_an_hour_of_patience_is_not_waited_for(server, api, slept):
    server.script = [refused(429, Retry_After="3600")]
    with pytest.raises(ApiError):
        api.health()

    assert slept == []


@pytest.mark.parametrize("wish", ["soon", "-1", "", "٣", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_wish_that_is_none_or_past_does_no_harm(wish):
    assert 0 <= connection.pause(1, wish, now=time.time()) <= 0.75


def test_a_connection_that_was_closed_meanwhile_is_opened_again(server, api, slept):
    server.script = [ok(HEALTH, Connection="close"), ok(HEALTH)]

    assert [api.health().status, api.health().status] == ["stale", "stale"]
    assert slept == []


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[1]", b""])
def test_what_is_no_answer_is_told_as_such(server, api, body):
    server.script = [(200, {}, body)]
    with pytest.raises(UnreachableError, match="no Health"):
        api.health()


def test_nobody_there_is_told_after_the_last_attempt(slept):
    with pytest.raises(UnreachableError, match="refused"):
        Api("http://127.0.0.1:9", attempts=3).health()

    assert len(slept) == 2


@pytest.mark.parametrize("cut", [1, 12, -4])
def test_an_answer_that_is_cut_short_is_none(server, api, slept, cut):
    server.script = [(200, {"Content-Encoding": "gzip"}, gzip.compress(json.dumps(HEALTH).encode())[:cut])]
    with pytest.raises(UnreachableError):
        api.health()

    assert len(server.asked) == 4


def test_an_answer_that_is_garbled_is_none(server, api, slept):
    garbled = gzip.compress(b"")[:10] + b"\xff" * 20
    server.script = [(200, {"Content-Encoding": "gzip"}, garbled), ok(HEALTH)]

    assert api.health().status == "stale"


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x", "http://", "http://[bad", "http://x:99999", "http://x:no", f"http://{'a' * 70}.com", "http://é.x"],
)
def test_what_is_no_address_is_told_as_such(url):
    with pytest.raises(UnreachableError, match="is no address: give"):
        Api(url)


def test_what_lies_around_a_key_is_no_part_of_it(server):
    server.script = [ok(HEALTH)]
    with Api(server.url, " key-1\r\n") as api:
        api.health()

    assert server.asked[0][1]["x-api-key"] == "key-1"


def test_history_is_walked_a_page_at_a_time(server, api):
    page = {"symbol": "BTC-USD", "venue": "kraken", "as_of": None, "staleness_s": None, "horizon": 5, "forecasts": []}
    server.script = [ok({**page, "next_cursor": "a b"}), ok({**page, "next_cursor": None})]

    assert list(api.past("BTC-USD", 5)) == []
    assert server.asked[1][0].endswith("history?horizon=5&limit=200&cursor=a%20b")


def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def command(*arguments: str, **environment: str) -> tuple[int, str, str]:
        status = main(arguments, environment)
        told = capsys.readouterr()
        return status, told.out, told.err

    return command


def test_the_command_takes_address_and_key_from_the_environment_and_prints_a_table_or_json(server, capsys):
    server.script = [ok(HEALTH)]
    environment = {"BTC_API_URL": server.url, "BTC_API_KEY": "key-2"}

    assert run(capsys)("health", **environment)[:2] == (0, "stale\nkraken:BTC-USD  never\n")
    status, told, _ = run(capsys)("health", "--json", **environment)
    assert (status, json.loads(told)) == (0, HEALTH)
    assert server.asked[0][1]["x-api-key"] == "key-2"


def test_the_command_tells_a_refusal_and_never_the_key(server, capsys):
    server.script = [refused(403)]
    status, out, err = run(capsys)("--url", server.url, "--key", "secret-key", "forecast", "BTC-USD")

    assert (status, out) == (1, "")
    assert "403 Forbidden: no (request r-1)" in err
    assert "secret-key" not in err


@pytest.mark.parametrize("between", ["\r\n", "\n", "\0", "é", "☃"])
def test_a_key_that_can_be_none_is_refused_and_not_quoted(server, capsys, between):
    status, out, err = run(capsys)("--url", server.url, "--key", f"secret{between}key", "forecast", "BTC-USD")

    assert (status, out, server.asked) == (1, "", [])
    assert err.startswith("✗ the API key holds")
    assert "secret" not in err


@pytest.mark.parametrize("timeout", ["-1", "0", "nan", "inf", "1e10"])
def test_a_timeout_that_is_none_is_refused_in_words(server, capsys, timeout):
    status, _, err = run(capsys)("--url", server.url, "--timeout", timeout, "health")

    assert (status, server.asked) == (1, [])
    assert "give more than 0" in err


def test_without_an_address_the_command_says_what_to_set(capsys):
    with pytest.raises(SystemExit):
        run(capsys)("health")
    assert "BTC_API_URL" in capsys.readouterr().err
