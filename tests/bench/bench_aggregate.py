"""aggregate_bars on recorded trades: the handler as deployed, against one that cuts its bars with pandas."""

import gzip
import io
import json
import os
import random
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from btc import bars, tape
from btc.bars import Bar
from btc.settings import AggregateBars
from btc.times import MINUTE
from btc.trades import Market, Trade, Trades
from btc.units import to_units
from tests.bench.measure import Row, best_seconds
from tests.unit.aws import CONTEXT, kinesis_event, load

CAPTURE = Path(__file__).parents[3] / "shared/data/wire/binance_spot_btcusdt_20240808.gz"
MARKET = Market("binance", "BTC-USDT")


class Shelf:
    """DynamoDB's answers from memory: what both handlers pay alike, and cheaply."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}

    def get_item(self, **_: Any) -> dict[str, Any]:
        return {}

    def query(self, **query: Any) -> dict[str, Any]:
        edge = query["ExpressionAttributeValues"][":edge0"]["S"]
        backward = not query["ScanIndexForward"]
        starts = sorted((start for start in self.items if (start < edge) == backward), reverse=backward)
        return {"Items": [self.items[start] for start in starts[: query.get("Limit", 1000)]]}

    def put_item(self, **put: Any) -> dict[str, Any]:
        self.items[put["Item"]["start"]["S"]] = put["Item"]
        return {}


def recorded(count: int) -> list[Trade]:
    """Trades of a recorded session; without the recording, trades drawn to look alike."""
    if not CAPTURE.exists():
        return drawn(count)
    trades = []
    with gzip.open(CAPTURE, "rt") as lines:
        for line in lines:
            said = json.loads(line.partition(" ")[2])["data"] if line.strip() else {}
            if said.get("e") == "trade":
                price, size = to_units(said["p"]), to_units(said["q"])
                trades.append(Trade(MARKET, said["t"], said["T"] * 1000, price, size, not said["m"]))
    while len(trades) < count:
        span = trades[-1].time - trades[0].time + 1
        trades += [trade._replace(trade_id=trade.trade_id + len(trades), time=trade.time + span) for trade in trades]
    return trades[:count]


def drawn(count: int) -> list[Trade]:
    source = random.Random(7)
    time = 1_723_161_254_000_000
    trades = []
    for row in range(count):
        time += round(source.expovariate(1 / 35_000))
        price = 6_183_763_000_000 + 10**6 * source.randrange(-500, 500)
        trades.append(Trade(MARKET, row, time, price, source.randrange(1, 10**8), source.random() < 0.5))
    return trades


def event(trades: Sequence[Trade]) -> dict[str, Any]:
    """A delivery as Kinesis makes it: records as full as the producer fills them."""
    return kinesis_event(list(tape.cut(Trades.of(MARKET, trades))))


def with_pandas(batch: tape.Batch, market: Market, shelf: Shelf) -> int:
    """The usual way to aggregate a market: a data frame of the batch, resampled by minute, written over the table."""
    frame = pd.concat(
        pd.DataFrame(
            {
                "id": part.ids,
                "time": part.times,
                "price": part.prices,
                "size": part.sizes,
                "buys": list(part.taker_buys),
            }
        )
        for part in batch.trades[market]
    )
    frame = frame.drop_duplicates("id").sort_values("id")
    frame["turnover"] = frame["price"] / 1e8 * frame["size"]
    frame["bought"] = frame["size"].where(frame["buys"] == 1, 0)
    frame.index = pd.to_datetime(frame["time"], unit="us", utc=True)
    groups = frame.resample("1min")
    minutes = groups["price"].ohlc().join(groups[["size", "turnover", "bought"]].sum())
    minutes = minutes.join(groups["id"].agg(["count", "min", "max"]))
    for start, row in minutes.iterrows():
        shelf.put_item(Item={"start": {"S": start.isoformat()}, "values": row.to_dict()})
    return len(minutes)


def handled(module: Any, events: list[dict[str, Any]]) -> Callable[[], None]:
    def run() -> None:
        shelf = Shelf()
        module.clients = SimpleNamespace(dynamodb=lambda: shelf)
        with redirect_stdout(io.StringIO()):
            for batch in events:
                module.handler(batch, CONTEXT)

    return run


def rows() -> list[Row]:
    os.environ |= {"POWERTOOLS_METRICS_NAMESPACE": "Bench", "POWERTOOLS_SERVICE_NAME": "bench"}
    os.environ["POWERTOOLS_LOG_LEVEL"] = "ERROR"
    settings = AggregateBars(bars_table="bars", state_table="state", retention_days=30)
    module, usual = load("aggregate_bars", settings), load("aggregate_bars", settings)
    usual.aggregate = lambda batch, market: with_pandas(batch, market, usual.clients.dynamodb())  # type: ignore[attr-defined]
    trades = recorded(10_000)
    whole = [event(trades)]
    thousands = [event(trades[first : first + 1000]) for first in range(0, len(trades), 1000)]
    alone, ours, pandas = best_seconds(
        handled(module, whole), handled(module, thousands), handled(usual, thousands), rounds=15
    )
    agree(trades)
    return [
        Row(
            "aggregate_trades_per_s",
            len(trades) / alone,
            "trades/s of CPU",
            "a delivery of 10,000, table in memory",
            None,
        ),
        Row(
            "aggregate_vs_pandas",
            len(trades) / ours,
            "trades/s of CPU",
            "the same handler with pandas resample, batches of 1,000",
            pandas / ours,
        ),
    ]


def agree(trades: Sequence[Trade]) -> None:
    """Both ways must come to the same bars, or their speeds say nothing."""
    exact: dict[int, Bar] = bars.merge({}, Trades.of(MARKET, trades))
    frame = pd.DataFrame({"price": [trade.price for trade in trades]}, index=[trade.time // MINUTE for trade in trades])
    for start, bar in exact.items():
        prices = frame.loc[[start // MINUTE], "price"]
        assert (bar.open, bar.high, bar.low, bar.close) == (
            prices.iloc[0],
            prices.max(),
            prices.min(),
            prices.iloc[-1],
        )
