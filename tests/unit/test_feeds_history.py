"""The venue's history over real HTTP, from a server that refuses, stalls and cuts its pages short."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from btc.feeds.feed import HistoryError
from btc.feeds.kraken_rest import ROWS, KrakenRest
from btc.trades import Market
from tests.unit.rest_server import serving

BTC = Market("kraken", "BTC-USD")
START = 1_762_776_000


class Venue(ThreadingHTTPServer):
    """Trades 1 to `count`, `crowd` of them at each moment; answers by its script before it answers well."""

    daemon_threads = True

    def __init__(self, count: int, crowd: int = 1) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.rows: list[list[Any]] = [
            ["65000.00000", "0.00100000", START + (row // crowd) / 4, "b", "l", "", row + 1] for row in range(count)
        ]
        self.script: list[tuple[int, Any]] = []
        self.asked = 0
        self.most = ROWS

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Venue

    def do_GET(self) -> None:
        self.server.asked += 1
        status, document = self.server.script.pop(0) if self.server.script else (200, self.page())
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def page(self) -> dict[str, Any]:
        since = int(parse_qs(urlsplit(self.path).query)["since"][0])
        rows = [row for row in self.server.rows if int(row[2] * 10**9) > since][: self.server.most]
        last = int(rows[-1][2] * 10**9) if rows else since
        return {"error": [], "result": {"XXBTZUSD": rows, "last": str(last)}}

    def log_message(self, *_: object) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def venue() -> Iterator[Venue]:
    yield from serve(Venue(2500))


@pytest.fixture
def crowded() -> Iterator[Venue]:
    yield from serve(Venue(2500, crowd=7))


def serve(venue: Venue) -> Iterator[Venue]:
    thread = threading.Thread(target=venue.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield venue
    venue.shutdown()
    thread.join()
    venue.server_close()


def rest_of(venue: Venue, clock: Clock, **options: Any) -> KrakenRest:
    return KrakenRest(url=venue.url, clock=clock, sleep=clock.sleep, jitter=lambda: 1.0, **options)


def ids(rest: KrakenRest, last_id: int | None = None) -> list[int]:
    backfill = rest.after(BTC, last_id, START * 1_000_000)
    found: list[int] = []
    while (page := backfill.step()) is not None:
        found += page.ids
    return found


def test_pages_join_into_one_run_at_the_rate_allowed(venue: Venue) -> None:
    clock = Clock()

    assert ids(rest_of(venue, clock)) == list(range(1, 2501))
    assert clock.now >= venue.asked - 1


def test_trades_of_one_moment_may_straddle_a_page(crowded: Venue) -> None:
    assert ids(rest_of(crowded, Clock())) == list(range(1, 2501))


def test_short_pages_are_not_the_end(venue: Venue) -> None:
    venue.most = 400

    assert ids(rest_of(venue, Clock())) == list(range(1, 2501))


def test_only_what_lies_behind_the_last_known_trade_is_told(venue: Venue) -> None:
    assert ids(rest_of(venue, Clock()), last_id=1234) == list(range(1235, 2501))


@pytest.mark.parametrize(
    "refusal",
    [
        (429, b""),
        (503, b"busy"),
        (200, {"error": ["EGeneral:Too many requests"]}),
        (200, {"error": ["EService: Throttled: 1762776000"]}),
        (200, b'{"error":[],"resu'),
    ],
)
def test_a_venue_that_is_busy_is_asked_again_ever_more_rarely(venue: Venue, refusal: tuple[int, Any]) -> None:
    clock = Clock()
    venue.script = [refusal] * 4
    rest = rest_of(venue, clock)

    assert ids(rest) == list(range(1, 2501))
    assert rest.retries == 4
    assert clock.now >= 2 + 4 + 8 + 16


def test_patience_has_an_end_that_says_what_the_venue_said(venue: Venue) -> None:
    venue.script = [(503, b"")] * 1000

    with pytest.raises(HistoryError, match=r"no history from .* tries, last: HTTP 503"):
        ids(rest_of(venue, Clock(), patience=60))


def test_what_the_venue_refuses_for_good_is_told_at_once_in_its_words(venue: Venue) -> None:
    venue.script = [(200, {"error": ["EQuery:Unknown asset pair"]})]

    with pytest.raises(HistoryError, match="EQuery:Unknown asset pair"):
        ids(rest_of(venue, Clock()))
    assert venue.asked == 1


def test_the_venues_clock_is_asked_of_the_venue(venue: Venue) -> None:
    venue.script = [(429, b""), (200, {"error": [], "result": {"unixtime": START}})]

    assert rest_of(venue, Clock()).now() == START * 1_000_000


def test_two_refusals_with_an_hour_between_them_do_not_try_patience(venue: Venue) -> None:
    clock = Clock()
    rest = rest_of(venue, clock, patience=60)
    for _ in range(3):
        venue.script = [(503, b"")]
        assert rest.page(BTC, START) is None
        clock.now += 3600


def test_the_time_for_which_a_venue_wants_to_be_left_alone_does_not_try_patience() -> None:
    clock = Clock()
    with serving(lambda *_: {}) as server:
        server.script = [(429, {"Retry-After": "400"}, b""), (503, {}, b"")]
        rest = KrakenRest(url=server.url, clock=clock, sleep=clock.sleep, patience=60)

        assert rest.page(BTC, START) is None
        assert rest.page(BTC, START) is None
    assert clock.now >= 400
