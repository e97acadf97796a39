"""`python -m local replay`: recorded captures through the real path, and the bars that came out of it.

Feed parser → Kinesis producer → Kinesis → aggregate_bars in its own process → DynamoDB → Parquet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from btc.aws.streams import TradeStream
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.feeds import replay as captures
from btc.feeds.replay import CaptureError
from btc.feeds.venues import UnknownVenueError, venue_of
from btc.ranges import spell
from btc.settings import AggregateBars
from btc.tape import Watermark
from btc.times import FOREVER, to_datetime
from btc.trades import Market, Trades
from btc.units import UNIT
from local.stack import Stack, StackError, Tell, silent
from local.template import synthesised

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kinesis import KinesisClient

FUNCTION = "aggregate_bars"
PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Replayed:
    """What went in, by kind (trades, repeats, foreign, ignored, malformed, …), and the bars that came out."""

    market: Market
    tally: Counter[str]
    bars: list[Bar]

    @property
    def summary(self) -> dict[str, int]:
        """In the order in which it is told."""
        counts = {kind: self.tally.get(kind, 0) for kind in ("trades", "repeats", "foreign", "ignored", "malformed")}
        rest = {kind: count for kind, count in sorted(self.tally.items()) if kind not in counts}
        return {
            **counts,
            **rest,
            "bars": len(self.bars),
            "complete": sum(bar.complete for bar in self.bars),
            "proven empty": sum(bar.complete and not bar.ranges for bar in self.bars),
        }


def replay(venue: str, symbol: str, paths: Sequence[Path], tell: Tell = silent) -> Replayed:
    """Send the captures through the path and read the bars back.

    Raises UnknownVenueError, CaptureError on a symbol the venue cannot have or a file that is no capture of it, and
    StackError where a record was given up on the way.
    """
    feed = venue_of(venue).feed()
    try:
        market = Market(venue, feed.symbol(symbol))
    except ValueError as error:
        raise CaptureError(f"{symbol!r} is no symbol of {venue}: {error}") from error
    tally: Counter[str] = Counter()
    entries = captures.entries(feed, market, paths, tally)
    first = next(entries)  # what holds no trades is told before anything starts
    with Stack() as stack:
        tell("starting the emulator")
        emulator = stack.start_emulator()
        tell("creating what the template declares")
        deployed = stack.deploy(synthesised())
        stack.start_functions(only=[FUNCTION])
        stack.start_deliveries()
        tell("replaying")
        [stream] = deployed.of_type("AWS::Kinesis::Stream")
        _send(emulator.client("kinesis"), stream.created.ref, chain([first], entries))
        tell("waiting for the last bar")
        stack.deliveries[FUNCTION].wait_idle(PATIENCE_S)
        stack.check()
        settings = AggregateBars.from_env(stack.functions[FUNCTION].spec.environment)
        table: DynamoDBClient = emulator.client("dynamodb")
        return Replayed(market, tally, BarTable(settings.bars_table, table).between(market, 0, FOREVER))


def _send(client: KinesisClient, name: str, entries: Iterable[Trades | Watermark]) -> None:
    """By the ingest task's own producer, as fast as the stream takes it."""
    producer = TradeStream(client, name, batch_s=0.1)
    for entry in entries:
        producer.put(entry)
        producer.pump()
        if producer.full:
            producer.flush(PATIENCE_S)
    producer.flush(PATIENCE_S)


def write(bars: Sequence[Bar], path: Path) -> None:
    """The bars as one Parquet file; prices and volumes as float64, `start` a UTC timestamp."""
    floats = ("open", "high", "low", "close", "volume", "buy_volume")
    columns = {
        "venue": pa.array([bar.market.venue for bar in bars], pa.string()),
        "symbol": pa.array([bar.market.symbol for bar in bars], pa.string()),
        "start": pa.array([to_datetime(bar.start) for bar in bars], pa.timestamp("us", tz="UTC")),
        **{name: pa.array([getattr(bar, name) / UNIT for bar in bars], pa.float64()) for name in floats},
        "turnover": pa.array([None if bar.turnover is None else bar.turnover / UNIT**2 for bar in bars], pa.float64()),
        "trade_count": pa.array([bar.trade_count for bar in bars], pa.int64()),
        "first_id": pa.array([bar.first_id for bar in bars], pa.int64()),
        "last_id": pa.array([bar.last_id for bar in bars], pa.int64()),
        "ranges": pa.array([spell(bar.ranges) for bar in bars], pa.string()),
        "closed": pa.array([bar.closed for bar in bars], pa.bool_()),
        "complete": pa.array([bar.complete for bar in bars], pa.bool_()),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


__all__ = ["Replayed", "StackError", "UnknownVenueError", "replay", "write"]
