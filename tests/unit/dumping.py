"""Binance's public dumps as its server publishes them, made of a test's own trades, and a server of any files."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from urllib.parse import urlsplit

from btc import bars
from btc.bars import Bar
from btc.times import MINUTE, date, day_of, parse_iso
from btc.trades import Market, Trade, Trades
from btc.units import from_units

BINANCE = Market("binance", "BTC-USDT")
MARCH = parse_iso("2024-03-01T00:00:00Z")


class FileServer(ThreadingHTTPServer):
    """Files by path; `failing` holds statuses to answer first, or "cut" for a connection that breaks amid the file."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files = files
        self.failing: list[int | str] = []
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.lstrip("/")
        self.server.asked.append(path)
        body = self.server.files.get(path)
        failure = self.server.failing.pop(0) if self.server.failing else None
        self.send_response(failure if isinstance(failure, int) else 200 if body is not None else 404)
        content = b"" if body is None or isinstance(failure, int) else body
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if failure == "cut" else content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving_files(files: dict[str, bytes]) -> Iterator[FileServer]:
    server = FileServer(files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tape(count: int, span: int, *, start: int = MARCH, seed: int = 7, first: int = 1000) -> list[Trade]:
    """So many trades in `span` µs, with quiet minutes between them, their times in whole ms as before 2025."""
    chance = Random(seed)
    times = sorted(start + chance.randrange(span // 1000) * 1000 for _ in range(count))
    return [
        Trade(
            BINANCE,
            first + row,
            time,
            chance.randrange(6_000_000, 6_100_000) * 10**6,
            chance.randrange(1, 10**6) * 10**3,
            chance.random() < 0.5,
        )
        for row, time in enumerate(times)
    ]


def trade_rows(trades: Iterable[Trade], *, micros: bool = False) -> list[str]:
    """id, price, qty, quoteQty, time, isBuyerMaker, isBestMatch."""
    return [
        f"{trade.trade_id},{fixed(trade.price)},{fixed(trade.size)},{fixed(trade.price * trade.size // 10**8)},"
        f"{trade.time if micros else trade.time // 1000},{not trade.taker_buys},True"
        for trade in trades
    ]


def kline_rows(made: Iterable[Bar], *, micros: bool = False) -> list[str]:
    """Open time, open, high, low, close, volume, close time, quote volume, count, the taker's buys, ignore."""
    unit = 1 if micros else 1000
    return [
        ",".join(
            [
                str(bar.start // unit),
                *(fixed(number) for number in (bar.open, bar.high, bar.low, bar.close, bar.volume)),
                str((bar.end - 1) // unit),
                fixed((bar.turnover or 0) // 10**8),
                str(bar.trade_count),
                fixed(bar.buy_volume or 0),
                fixed((bar.buy_volume or 0) * 6),
                "0",
            ]
        )
        for bar in made
    ]


def fixed(units: int) -> str:
    return f"{from_units(units):.8f}"


def zipped(name: str, rows: Sequence[str]) -> bytes:
    """One CSV without a header in a zip, as the dumps are."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, "".join(f"{row}\n" for row in rows))
    return body.getvalue()


def published(path: str, rows: Sequence[str]) -> dict[str, bytes]:
    """The zip at `path` and its checksum beside it."""
    name = path.rpartition("/")[2]
    body = zipped(name.replace(".zip", ".csv"), rows)
    return {path: body, f"{path}.CHECKSUM": f"{hashlib.sha256(body).hexdigest()}  {name}\n".encode()}


def daily_trades(trades: Sequence[Trade], *, micros: bool = False) -> dict[str, bytes]:
    """The trades as one published file a day."""
    files: dict[str, bytes] = {}
    for day in sorted({day_of(trade.time) for trade in trades}):
        path = f"data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-{date(day)}.zip"
        files |= published(path, trade_rows((t for t in trades if day_of(t.time) == day), micros=micros))
    return files


def minutes(trades: Sequence[Trade]) -> list[Bar]:
    """The bars of the trades' minutes, in order."""
    made = bars.merge({}, Trades.of(trades[0].market, trades))
    assert all(start % MINUTE == 0 for start in made)
    return [made[start] for start in sorted(made)]
