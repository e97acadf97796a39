"""Rows a second of CPU from a dump of trades to packed records, beside pandas reading the same file into floats.

Both read the same zip; what ours does beside: exact integers, every row checked, holes watched, records packed.
"""

import json
import random
import zipfile
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, cast
from unittest import mock

import pandas as pd
from aws_lambda_powertools import Logger

from btc.aws.state import StateTable
from btc.aws.streams import TradeStream
from btc.aws.tables import BarTable
from btc.feeds.binance_dumps import Dump, Dumps, Kind
from btc.history import Cursor
from btc.times import DAY, parse_iso
from btc.trades import Market
from functions.fill_history.filling import Filling
from functions.fill_history.progress import Progress
from functions.fill_history.sources import DumpSource
from tests.bench.bench_ingest import Sink
from tests.bench.measure import Row, best_seconds

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

ROWS: Final = 400_000
MARKET: Final = Market("binance", "BTC-USDT")
START: Final = parse_iso("2024-03-01T00:00:00Z")
COLUMNS: Final = ["id", "price", "qty", "quote_qty", "time", "is_buyer_maker", "is_best_match"]


def write_dump(path: Path, rows: int = ROWS, seed: int = 7) -> None:
    """A dump as Binance packs it, of a busy day."""
    chance = random.Random(seed)
    price, time = 6_183_763, START // 1000
    lines = []
    for row in range(rows):
        price += chance.choice((-1, 0, 0, 1)) * chance.randrange(30)
        time += chance.randrange(2 * DAY // 1000 // rows)
        size = chance.choice((chance.randrange(1, 100), chance.randrange(1, 10**4), chance.randrange(1, 10**6)))
        lines.append(
            f"{3_735_683_259 + row},{price / 100:.8f},{size / 10**5:.8f},{price * size / 10**7:.8f},{time},"
            f"{chance.random() < 0.5},True\n"
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.with_suffix(".csv").name, "".join(lines))


class Shelf(Dumps):
    """One dump that is on this machine already: nothing is measured of the network."""

    def checksum(self, dump: Dump) -> str | None:  # noqa: ARG002
        return "known"

    def fetch(self, dump: Dump, digest: str, target: Path) -> None:  # noqa: ARG002
        target.symlink_to(self.url)


def fill(path: Path) -> Sink:
    """The command's own way from the zip to the stream, with tables that take everything."""
    sink = Sink()
    client: Any = mock.Mock()
    progress = Progress("bench", Logger(service="bench", level="ERROR"), terminal=None)
    filling = Filling(
        name="bench",
        market=MARKET,
        table=BarTable("bars", client),
        state=StateTable("state", client),
        stream=TradeStream(cast("KinesisClient", sink), "trades", batch_s=0.0),
        progress=progress,
        tell=lambda _, **__: None,
        expires=0,
    )
    source = DumpSource(Shelf(str(path), cast("Any", None)), MARKET, Kind.TRADES, START, filling.tell)
    filling.run(source, Cursor(until=START + DAY, since=START))
    assert filling.tally["trades"] == ROWS, filling.tally
    return sink


def exact_pandas(path: Path) -> pd.DataFrame:
    """The file's amounts as exact integers, by pandas and decimal."""
    frame = pd.read_csv(path, header=None, names=COLUMNS, dtype={"price": str, "qty": str})
    for name in ("price", "qty"):
        frame[name] = [int(Decimal(text).scaleb(8)) for text in frame[name]]
    return frame


def rows() -> list[Row]:
    """The figures, all from this one run on one core."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "BTCUSDT-trades-2024-03-01.zip")
        write_dump(path)
        ours, theirs, exact = best_seconds(
            lambda: fill(path), lambda: pd.read_csv(path, header=None, names=COLUMNS), lambda: exact_pandas(path)
        )
        sent = fill(path).bytes / ROWS
        packed = path.stat().st_size / ROWS
    return [
        Row(
            "history_trades_per_s",
            ROWS / ours,
            "rows/s of CPU",
            "pandas.read_csv of the same zip, floats, nothing checked, nothing packed",
            theirs / ours,
        ),
        Row(
            "history_vs_exact_pandas",
            ROWS / ours,
            "rows/s of CPU",
            "pandas.read_csv and decimal, exact, nothing checked, nothing packed",
            exact / ours,
        ),
        Row("history_bytes_per_trade", sent, "bytes", "a row of the zip", packed / sent),
    ]


if __name__ == "__main__":
    for row in rows():
        print(json.dumps(row._asdict()))
