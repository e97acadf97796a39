"""Trades a second of CPU from Kraken's frames to packed records, beside the same job done the usual way.

Both read the same frames from a socket in this process, one after the other in turns; the best turn of each counts.
"""

import importlib.util
import json
import random
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast
from unittest import mock

from websocket import WebSocket

from btc.aws.streams import TradeStream
from btc.feeds import kraken
from btc.feeds.connection import Connection, ReadAhead
from btc.feeds.continuity import Continuity
from btc.feeds.kraken import Kraken
from btc.trades import Market, Trades
from cdk.settings import DEV
from tests.bench.measure import Row, best_seconds

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

TRADES: Final = 40_000
TURNS: Final = 4
FILLS: Final = (1, 1, 1, 1, 2, 2, 3, 5, 12)
"""Trades a frame: a taker's order fills at once against several makers, most often one."""


class Sink:
    """A stream that takes every record at once."""

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0

    def put_records(self, *, StreamName: str, Records: Sequence[Any]) -> dict[str, Any]:  # noqa: ARG002, N803 - boto3's names
        self.records += len(Records)
        self.bytes += sum(len(record["Data"]) for record in Records)
        return {"Records": [{} for _ in Records], "FailedRecordCount": 0}


def frames(trades: int = TRADES, seed: int = 7) -> list[bytes]:
    """Trade frames as Kraken writes them."""
    chance = random.Random(seed)
    price, identity, made = 63_501.9, 103_436_768, []
    while identity < 103_436_768 + trades:
        price = max(1.0, price + chance.choice((-0.1, 0.0, 0.1)) * chance.randrange(20))
        second = identity // 20 % 86_400
        clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{identity % 20 * 50_000 + 7:06d}"
        side = chance.choice(("buy", "sell"))
        items = [
            f'{{"symbol":"BTC/USD","side":"{side}","price":{price:.1f},"qty":{chance.random() ** 6:.8f},'
            f'"ord_type":"limit","trade_id":{identity + row},"timestamp":"2026-07-07T{clock}Z"}}'
            for row in range(chance.choice(FILLS))
        ]
        identity += len(items)
        made.append(
            f'{{"channel":"trade","type":"update","data":[{",".join(items)}]}}'.replace(
                '"qty":0.00000000', '"qty":0.00000001'
            ).encode()
        )
    return made


def on_the_wire(texts: Sequence[bytes]) -> bytes:
    """The frames as a server's socket sends them: unmasked text frames of RFC 6455."""
    heads = (
        struct.pack("!BB", 0x81, len(text)) if len(text) < 126 else struct.pack("!BBH", 0x81, 126, len(text))
        for text in texts
    )
    return b"".join(part for pair in zip(heads, texts, strict=True) for part in pair)


def received(wire: bytes, client: WebSocket, read: Callable[[], None]) -> float:
    """CPU seconds that `read` spends in this thread, with the wire's bytes coming in through a pair of sockets."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    client.sock, client.connected = ours, True
    sender = threading.Thread(target=theirs.sendall, args=(wire,), daemon=True)
    sender.start()
    start = time.thread_time()
    read()
    spent = time.thread_time() - start
    sender.join()
    ours.close()
    theirs.close()
    return spent


def ours(wire: bytes, trades: int) -> tuple[float, Sink]:
    """Receive, parse, check for holes, pack and hand over, as the task does."""
    sink, socket_, feed = Sink(), ReadAhead(skip_utf8_validation=True, enable_multithread=False), Kraken()
    stream = TradeStream(cast("KinesisClient", sink), "trades", batch_s=0.2)
    continuity = Continuity(Market("kraken", "BTC-USD"))
    connection = Connection(socket_)

    def read() -> None:
        count = 0
        while count < trades:
            for event in feed.read(connection.receive(1.0)):
                assert isinstance(event, Trades)
                new = continuity.add(event)
                stream.put(new)
                count += len(new)
            stream.pump()
            continuity.watermark(continuity.time - 1)
        stream.flush(1)

    return received(wire, socket_, read), sink


def usual(wire: bytes, trades: int) -> tuple[float, Sink]:
    """websocket-client as it comes, json with exact decimals, one JSON record a trade, 500 a request."""
    sink, socket_ = Sink(), WebSocket()

    def read() -> None:
        batch: list[dict[str, Any]] = []
        count = 0
        while count < trades:
            document = json.loads(socket_.recv(), parse_float=Decimal)
            for row in document["data"]:
                record = {**row, "price": str(row["price"]), "qty": str(row["qty"])}
                batch.append({"Data": json.dumps(record).encode(), "PartitionKey": row["symbol"]})
                count += 1
                if len(batch) == 500:
                    sink.put_records(StreamName="trades", Records=batch)
                    batch = []
        sink.put_records(StreamName="trades", Records=batch)

    return received(wire, socket_, read), sink


def rows() -> list[Row]:
    """The figures, all from this one run on one core."""
    texts = frames()
    wire = on_the_wire(texts)
    trades = sum(text.count(b'"trade_id"') for text in texts)
    mine, theirs, quicker = [], [], []
    for _ in range(TURNS):
        mine.append(ours(wire, trades))
        quicker.append(usual(wire, trades))
        with plain_websocket_client():
            theirs.append(usual(wire, trades))
    rate, usual_rate, quicker_rate = (trades / min(turn[0] for turn in turns) for turns in (mine, theirs, quicker))
    size, limits = sum(map(len, texts)), _limits(texts, wire)
    sizes = mine[0][1].bytes / trades, theirs[0][1].bytes / trades
    units = _units_per_trade(texts)
    usually = "websocket-client's defaults, json, one record a trade"
    return [
        Row("ingest_trades_per_s", rate, "trades/s of CPU", "frames of a socket into packed records", None),
        Row("ingest_vs_usual", rate, "trades/s of CPU", usually, rate / usual_rate),
        Row("ingest_vs_usual_with_wsaccel", rate, "trades/s of CPU", f"{usually}, wsaccel", rate / quicker_rate),
        Row("ingest_bytes_per_trade", sizes[0], "bytes", "one JSON record a trade", sizes[1] / sizes[0]),
        Row(
            "kinesis_cost_vs_one_record_each", units * 1e6, "units/M trades at 1,000/s", "one record a trade", 1 / units
        ),
        *(_share(name, size / min(turn[0] for turn in mine), what, size / seconds) for name, what, seconds in limits),
    ]


def _share(name: str, ours: float, what: str, limit: float) -> Row:
    return Row(name, ours / 1e6, "MB/s of CPU", f"{limit / 1e6:,.0f} MB/s: {what}", ours / limit)


def _limits(texts: Sequence[bytes], wire: bytes) -> list[tuple[str, str, float]]:
    """(row, what, CPU seconds for all frames) of the least that a way through these bytes must do, and of less."""
    socket_ = ReadAhead(skip_utf8_validation=True, enable_multithread=False)
    connection, decoder = Connection(socket_), kraken._QUICK

    def receive(handle: Callable[[bytes], object]) -> Callable[[], None]:
        def run() -> None:
            count = 0
            while count < len(texts):
                for text in connection.receive(1.0):
                    handle(text)
                    count += 1

        return run

    def each(handle: Callable[[bytes], object]) -> float:
        return min(best_seconds(lambda: deque(map(handle, texts), maxlen=0), rounds=TURNS))

    return [
        ("ingest_bytes_decoded_per_s", "their typed decode alone, msgspec", each(decoder.decode)),
        (
            "ingest_bytes_vs_receive_and_decode",
            "received and decoded, nothing else",
            min(received(wire, socket_, receive(decoder.decode)) for _ in range(TURNS)),
        ),
        ("ingest_bytes_vs_utf8", "checked to be UTF-8", each(bytes.decode)),
        ("ingest_bytes_vs_copy", "copied in memory", each(bytearray)),
    ]


@contextmanager
def plain_websocket_client() -> Iterator[None]:
    """websocket-client as its own installation brings it: without the unmaintained C extension wsaccel beside it."""
    spec = importlib.util.find_spec("websocket._utils")
    assert spec is not None
    assert spec.loader is not None
    plain = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, {"wsaccel": None, "wsaccel.utf8validator": None}):
        spec.loader.exec_module(plain)
    with mock.patch("websocket._abnf.validate_utf8", plain.validate_utf8):
        yield


def _units_per_trade(texts: Sequence[bytes]) -> float:
    """Records a trade at 1,000 trades a second with a watermark each minute; a record fits one unit of 25 KB."""
    sink, now, feed, sent = Sink(), 30.0, Kraken(), 0
    stream = TradeStream(cast("KinesisClient", sink), "trades", batch_s=DEV.batch_ms / 1000, clock=lambda: now)
    continuity, marked = Continuity(Market("kraken", "BTC-USD")), 0.0
    for trades in feed.read(texts):
        assert isinstance(trades, Trades)
        for first in range(0, len(trades), 10):
            stream.put(continuity.add(trades[first : first + 10]))
            now, sent = now + 0.01, sent + 10
            if now // 60 > marked and (mark := continuity.watermark(continuity.time - 1)):
                marked = now // 60
                stream.put(mark)
            stream.pump()
    stream.flush(1)
    return sink.records / sent
