"""Kraken's public REST as the simulated exchange answers it, and the switchboard of its faults.

The envelope is `{"error":[…],"result":{…}}` with HTTP 200 even on errors. `POST /control` is this exchange's own.
"""

import json
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from btc.times import SECOND, iso
from local.exchange import candles
from local.exchange.floor import Floor
from local.exchange.market import FIRST_ID, Market, Tape
from local.exchange.pairs import Pair, fixed

MOST_TRADES: Final = 1000
PRICE_DECIMALS: Final = 5
SECONDS_BELOW: Final = 10**12
"""`since` below this is in seconds, from here on in nanoseconds."""

Query = Mapping[str, str]
Result = dict[str, Any]


class QueryError(ValueError):
    """A query Kraken answers in the envelope's `error`, in its own words."""


def trades(floor: Floor, query: Query) -> Result:
    """A page of trades, oldest first, `since` exclusive (without it the newest); it may end amid one moment's."""
    pair, market = _market(floor, query)
    tape = market.until(floor.clock.now())
    count = _number(query, "count", MOST_TRADES)
    if not 1 <= count <= MOST_TRADES:
        raise QueryError("EGeneral:Invalid arguments:count")
    if "since" in query:
        since = _since(query)
        first = tape.count_until(since // 1000)
    else:
        first = max(len(tape) - count, 0)
        since = 0
    page = tape[first : first + count]
    last = int(page.times[-1]) * 1000 if len(page) else since
    return {_name(pair, query): _trade_rows(page, first, pair), "last": str(last)}


def ohlc(floor: Floor, query: Query) -> Result:
    """The latest bars after `since` (s); `last` names the newest committed one."""
    pair, market = _market(floor, query)
    interval = _number(query, "interval", 1)
    if interval not in candles.INTERVALS:
        raise QueryError("EGeneral:Invalid arguments:interval")
    since = _since(query) // (SECOND * 1000) if "since" in query else -1
    now = floor.clock.now()
    rows = candles.rows(market.until(now), pair, now=now, interval=interval)
    last = int(rows[-1][0]) - interval * 60 if rows else since
    return {_name(pair, query): [row for row in rows if int(row[0]) > since], "last": last}


def server_time(floor: Floor, _: Query) -> Result:
    seconds = floor.clock.now() // SECOND
    return {"unixtime": seconds, "rfc1123": formatdate(seconds, usegmt=True)}


def system_status(floor: Floor, _: Query) -> Result:
    now = floor.clock.now()
    return {"status": floor.faults.system, "timestamp": iso(now - now % SECOND)}


ROUTES: Final[Mapping[str, Callable[[Floor, Query], Result]]] = {
    "/0/public/Trades": trades,
    "/0/public/OHLC": ohlc,
    "/0/public/Time": server_time,
    "/0/public/SystemStatus": system_status,
}


def answer(floor: Floor, target: str) -> dict[str, Any]:
    """The envelope for a GET of `target` (path and query)."""
    parts = urlsplit(target)
    try:
        if parts.path not in ROUTES:
            raise QueryError("EGeneral:Unknown method")  # noqa: TRY301 - answered like every other bad query
        if floor.faults.throttled:
            floor.faults.throttled -= 1
            raise QueryError("EGeneral:Too many requests")  # noqa: TRY301
        return {"error": [], "result": ROUTES[parts.path](floor, dict(parse_qsl(parts.query)))}
    except QueryError as error:
        return {"error": [str(error)]}


def _market(floor: Floor, query: Query) -> tuple[Pair, Market]:
    name = query.get("pair")
    if name is None:
        raise QueryError("EGeneral:Invalid arguments")
    for pair, market in floor.markets.items():
        if name in pair.aliases:
            return pair, market
    raise QueryError("EQuery:Unknown asset pair")


def _name(pair: Pair, query: Query) -> str:
    return pair.websocket if query.get("assetVersion") == "1" else pair.rest


def _number(query: Query, key: str, default: int) -> int:
    try:
        return int(query.get(key, default))
    except ValueError:
        raise QueryError(f"EGeneral:Invalid arguments:{key}") from None


def _since(query: Query) -> int:
    since = _number(query, "since", 0)
    return since * SECOND * 1000 if since < SECONDS_BELOW else since


def _trade_rows(page: Tape, first: int, pair: Pair) -> list[list[object]]:
    columns = (page.times, page.prices, page.sizes, page.taker_buys, page.market_orders, np.arange(len(page)))
    return [
        [
            pair.price(price, PRICE_DECIMALS),
            fixed(size),
            time / SECOND,
            "b" if buys else "s",
            "m" if market else "l",
            "",
            FIRST_ID + first + place,
        ]
        for time, price, size, buys, market, place in zip(*(column.tolist() for column in columns), strict=True)
    ]


class RestServer(ThreadingHTTPServer):
    """Serves the floor over HTTP; `control` obeys the JSON object of a `POST /control` or raises ValueError."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], floor: Floor, control: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(address, RestHandler)
        self.floor = floor
        self.control = control


class RestHandler(BaseHTTPRequestHandler):
    """One connection, kept alive between requests."""

    server: RestServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._reply(HTTPStatus.OK, answer(self.server.floor, self.path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/control":
            return self._reply(HTTPStatus.OK, {"error": ["EGeneral:Unknown method"]})
        try:
            order = json.loads(body)
            if not isinstance(order, dict):
                raise ValueError("send a JSON object")  # noqa: TRY004, TRY301 - a bad request, not a bad type
            self.server.control(order)
        except ValueError as error:
            return self._reply(HTTPStatus.BAD_REQUEST, {"error": [str(error)]})
        return self._reply(HTTPStatus.OK, {"error": [], "result": {}})

    def _reply(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        body = json.dumps(document, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Says nothing: a page of history is not worth a line."""
