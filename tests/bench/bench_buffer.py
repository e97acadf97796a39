"""What the ingest task holds while Kinesis refuses for ten minutes, and how long it takes to be rid of it."""

import tracemalloc
from typing import TYPE_CHECKING, cast

from btc.aws.streams import TradeStream
from btc.trades import Market
from tests.bench.measure import Row
from tests.unit.ingesting import Clock, Shard, a_thousand_a_second

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

OUTAGE_S = 600


def rows() -> list[Row]:
    """On a clock that only the waiting moves, with one shard's rate at the end."""
    clock = Clock()
    shard = Shard(clock, opens=clock.now + OUTAGE_S)
    stream = TradeStream(cast("KinesisClient", shard), "trades", batch_s=0.2, clock=clock, sleep=clock.sleep)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    count = max(a_thousand_a_second(stream, Market("kraken", "BTC-USD"), clock, until=shard.opens))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    waiting, opened = stream.buffered_bytes, clock.now
    stream.flush(OUTAGE_S)
    assert sum(len(trades) for trades in shard.trades()) == count
    return [
        Row("ingest_buffer_mb_10min", waiting / 1e6, "MB", f"{count:,} trades at 1,000/s that wait", None),
        Row("ingest_memory_mb_10min", (most - before) / 1e6, "MB", "the process's growth meanwhile, at most", None),
        Row("ingest_drain_s_10min", clock.now - opened, "s", "until all of them are in one shard", None),
    ]
