"""The same trades through cryptofeed's parser and quixstreams' windows, as both are on PyPI.

Each runs as a process in a virtual environment of its own; what cannot be installed, for want of a compiler say, tells
so in its row.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Any, Final

from btc import bars
from btc.feeds.binance import Binance
from btc.feeds.connection import READ_AHEAD
from btc.feeds.feed import Feed
from btc.feeds.kraken import Kraken
from btc.trades import Trades
from btc.units import from_units
from tests.bench.bench_aggregate import handled, handler, thousands
from tests.bench.bench_ingest import frames
from tests.bench.measure import Row, best_seconds
from tests.bench.recordings import MARKET, recorded
from tests.virtualenvs import NotInstalledError, interpreter

PROGRAMS: Final = Path(__file__).parent / "rivals"


def rows() -> list[Row]:
    kraken, binance = frames(), binance_frames()
    return [
        against_cryptofeed("ingest_vs_cryptofeed", Kraken(), kraken, map(first_version, kraken)),
        against_cryptofeed("ingest_vs_cryptofeed_binance", Binance(), binance, map(aggregated, binance)),
        against_quixstreams(),
    ]


def against_cryptofeed(name: str, feed: Feed, texts: Sequence[bytes], theirs: Iterable[bytes]) -> Row:
    """Frames into typed trades: as many at once as the connection reads ahead, and there one by one, as it wants them.

    `theirs` are the same trades in the frames that it understands.
    """
    chunks = list(batched(texts, READ_AHEAD // (sum(map(len, texts)) // len(texts))))
    parsed = [event for chunk in chunks for event in feed.read(chunk) if isinstance(event, Trades)]
    count, volume = sum(map(len, parsed)), sum(sum(trades.sizes) for trades in parsed)
    [seconds] = best_seconds(lambda: [list(feed.read(chunk)) for chunk in chunks])
    unit, against = "trades/s of CPU, parsed alone", f"cryptofeed's parser for {feed.venue}"
    try:
        told = answer("cryptofeed", b"\n".join([feed.venue.encode(), *theirs]))
    except NotInstalledError as error:
        return Row(name, count / seconds, unit, str(error), None)
    assert (told["trades"], Decimal(told["volume"])) == (count, from_units(volume))
    return Row(name, count / seconds, unit, against, told["seconds"] / seconds)


def against_quixstreams() -> Row:
    """Trades into minute bars: the whole handler here, and there the windows alone."""
    trades = recorded(10_000)
    [seconds] = best_seconds(handled(handler(), thousands(trades)))
    name, unit, against = "aggregate_vs_quixstreams", "trades/s of CPU", "quixstreams' tumbling window alone"
    try:
        told = answer(
            "quixstreams", json.dumps([(trade.time // 1000, trade.price, trade.size) for trade in trades]).encode()
        )
    except NotInstalledError as error:
        return Row(name, len(trades) / seconds, unit, str(error), None)
    exact = reduce(bars.merge, [Trades.of(MARKET, trades)], {})
    names = ("open", "high", "low", "close", "volume", "trade_count")
    assert told["bars"] == [
        {"start": bar.start // 1000, **{name: getattr(bar, name) for name in names}} for bar in exact.values()
    ]
    return Row(name, len(trades) / seconds, unit, against, told["seconds"] / seconds)


def first_version(text: bytes) -> bytes:
    """A frame of Kraken's WebSocket v2 as v1 would have said it, which is all that cryptofeed speaks: half as long."""
    rows = [
        [f"{trade['price']:.5f}", f"{trade['qty']:.8f}", "1783382400.000007", trade["side"][0], "l", ""]
        for trade in json.loads(text)["data"]
    ]
    return json.dumps([337, rows, "trade", "XBT/USD"], separators=(",", ":")).encode()


def binance_frames() -> list[bytes]:
    """Recorded trades as Binance's combined stream says them."""
    return [
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"%s","q":"%s","T":%d,"m":%s,"M":true}}'
        % (
            trade.time // 1000,
            trade.trade_id,
            f"{from_units(trade.price):.8f}".encode(),
            f"{from_units(trade.size):.8f}".encode(),
            trade.time // 1000,
            b"false" if trade.taker_buys else b"true",
        )
        for trade in recorded(40_000)
    ]


def aggregated(text: bytes) -> bytes:
    """The same frame as one of the stream of aggregated trades, the only one that cryptofeed hears."""
    return text.replace(b"@trade", b"@aggTrade").replace(b'"e":"trade"', b'"e":"aggTrade"').replace(b'"t":', b'"a":')


def batched(texts: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (texts[first : first + size] for first in range(0, len(texts), size))


def answer(rival: str, question: bytes) -> Any:
    """What the rival's program prints. Raises NotInstalledError."""
    command = [interpreter(PROGRAMS / f"{rival}.lock"), PROGRAMS / f"with_{rival}.py"]
    done = subprocess.run(command, input=question, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{rival}: {done.stderr.decode()}")
    return json.loads(done.stdout)
