"""Each venue over real sockets and real HTTP: whatever a connection loses comes from the history, each trade once."""

import gzip
import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.sync.server import ServerConnection, serve

from btc import ranges
from btc.aws.streams import TradeStream
from btc.feeds.connection import Connection
from btc.feeds.feed import Feed
from btc.feeds.venues import VENUES, UnknownVenueError, venue_of
from btc.times import SECOND
from btc.trades import Market, Trade, Trades
from functions.ingest_trades.ingestion import Ingestion
from tests.unit.ingesting import Sink
from tests.unit.rest_server import serving

CAPTURES = {"binance": "binance_live_20260707.ndjson.gz", "coinbase": "coinbase_live_20260707.ndjson.gz"}
MARKETS = {"binance": Market("binance", "BTC-USDT"), "coinbase": Market("coinbase", "BTC-USD")}


@dataclass(slots=True)
class Exchange:
    """Tells a market's recorded trades in two connections, and loses some of them between and within."""

    venue: str
    frames: Sequence[bytes]
    rows: Sequence[dict[str, Any]]
    told: int = 0
    paths: list[str] = field(default_factory=list)
    ponged: threading.Event = field(default_factory=threading.Event)
    """Set once the second connection has answered the protocol's ping."""

    def talk(self, socket: ServerConnection) -> None:
        self.paths.append(socket.request.path if socket.request else "")
        socket.recv()
        socket.send(
            '{"result":["btcusdt@trade"],"id":1}'
            if self.venue == "binance"
            else '{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD"]}]}'
        )
        if len(self.paths) == 1:
            self.tell(socket, 0, 100)
            return
        self.tell(socket, 150, 250)
        self.ponged = socket.ping()
        self.tell(socket, 300, len(self.frames))
        for question in socket:
            assert json.loads(question)["method"] == "GET_PROPERTY"
            socket.send('{"result":true,"id":2}')

    def tell(self, socket: ServerConnection, first: int, last: int) -> None:
        for frame in self.frames[first:last]:
            socket.send(frame.decode())
        self.told = last

    def answer(self, path: str, query: dict[str, str]) -> Any:
        """Binance's and Coinbase's pages of the trades told so far."""
        rows = self.rows[: self.told]
        if path == "/api/v3/time":
            return {"serverTime": rows[-1]["time"] if rows else 0}
        limit = int(query["limit"])
        if "fromId" in query:
            return [row for row in rows if row["id"] >= int(query["fromId"])][:limit]
        if self.venue == "binance":
            return rows[-limit:]
        below = int(query.get("after", 10**12))
        return [row for row in reversed(rows) if row["trade_id"] < below][:limit]


def exchange_of(venue: str, market_data: Path) -> Exchange:
    """The exchange of the capture's bitcoin trades, as its history tells them too."""
    lines = gzip.decompress((market_data / "wire" / CAPTURES[venue]).read_bytes()).splitlines()
    if venue == "coinbase":
        frames = [line for line in lines if b'match"' in line[:24] and b'"BTC-USD"' in line]
        return Exchange(venue, frames, [json.loads(frame) for frame in frames])
    frames = [line for line in lines if line.startswith(b'{"stream":"btcusdt@trade"')]
    told = [json.loads(frame)["data"] for frame in frames]
    rows = [{"id": t["t"], "price": t["p"], "qty": t["q"], "time": t["T"], "isBuyerMaker": t["m"]} for t in told]
    return Exchange(venue, frames, rows)


@contextmanager
def listening(exchange: Exchange) -> Iterator[str]:
    with serve(exchange.talk, "127.0.0.1", 0, ping_interval=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def ingest(feed: Feed, exchange: Exchange, market: Market, trades: Sequence[Trade]) -> tuple[Ingestion, Sink]:
    """Follow the exchange from its first trade until all have come and its ping is answered, or for half a minute."""
    sink, end = Sink(), time.monotonic() + 30
    with listening(exchange) as socket, serving(exchange.answer) as rest:
        address = feed.address(socket, [market.symbol])
        ingestion = Ingestion(
            feed=feed,
            history=venue_of(market.venue).history(rest.url),
            stream=TradeStream(cast("Any", sink), "trades", batch_s=0.01),
            connect=lambda: Connection.open(address),
            log=logging.getLogger("test"),
            # As deployed: a trade may carry the same moment as the one that moved the clock.
            lag=SECOND,
            stopped=lambda: (exchange.ponged.is_set() and held(sink) >= len(trades)) or time.monotonic() > end,
        )
        ingestion.catch_up(market, trades[0].trade_id - 1, trades[0].time)
        ingestion.run()
        ingestion.stream.flush(1)
    return ingestion, sink


def held(sink: Sink) -> int:
    return sum(map(len, sink.trades()))


@pytest.mark.parametrize("venue", sorted(CAPTURES))
def test_what_connections_lose_comes_from_the_history_and_each_trade_once(market_data: Path, venue: str) -> None:
    exchange, market, feed = exchange_of(venue, market_data), MARKETS[venue], VENUES[venue].feed()
    said = [event for frame in exchange.frames for event in feed.parse(frame)]
    trades = [trade for event in said if isinstance(event, Trades) for trade in event]

    ingestion, sink = ingest(feed, exchange, market, trades)

    assert sorted(trade for part in sink.trades() for trade in part) == trades
    assert ingestion.tally.connections == 2
    assert ingestion.tally.gaps >= 1
    assert ingestion.tally.unrepaired == ingestion.tally.malformed == 0
    assert exchange.ponged.is_set()
    run: ranges.Ranges = ((0, trades[0].trade_id - 1),)
    for entry in sink.entries:
        if isinstance(entry, Trades):
            run = ranges.union(run, ranges.runs(entry.in_order().ids))
        else:
            assert entry.last_id <= run[0][1]
            assert all(trade.trade_id <= run[0][1] for trade in trades if trade.time <= entry.time)


def test_a_venue_is_known_by_its_name_or_refused_with_those_that_are() -> None:
    for name, venue in VENUES.items():
        assert venue.feed().venue == name
    with pytest.raises(UnknownVenueError, match="'mtgox': choose one of binance, coinbase, kraken"):
        venue_of("mtgox")
