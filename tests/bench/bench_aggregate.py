"""aggregate_bars on recorded trades: the handler as deployed, against one that cuts its bars with pandas."""

import io
import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from types import SimpleNamespace
from typing import Any

from btc import tape
from btc.aws.tables import bar_of
from btc.bars import Bar
from btc.settings import AggregateBars
from btc.trades import Market, Trade, Trades
from tests.bench import with_pandas
from tests.bench.measure import Row, best_seconds
from tests.bench.recordings import MARKET, recorded
from tests.unit.aws import CONTEXT, kinesis_event, load


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
        self.items[put["Item"]["start"]["S"]] = {"version": {"N": "1"}} | put["Item"]
        return {}


def event(trades: Sequence[Trade]) -> dict[str, Any]:
    """A delivery as Kinesis makes it: records as full as the producer fills them."""
    return kinesis_event(list(tape.cut(Trades.of(MARKET, trades))))


def thousands(trades: Sequence[Trade]) -> list[dict[str, Any]]:
    return [event(trades[first : first + 1000]) for first in range(0, len(trades), 1000)]


def handled(module: Any, events: list[dict[str, Any]]) -> Callable[[], Shelf]:
    """The work on these events, with an empty table before them; it gives the table after them."""

    def run() -> Shelf:
        shelf = Shelf()
        module.clients = SimpleNamespace(dynamodb=lambda: shelf)
        with redirect_stdout(io.StringIO()):
            for batch in events:
                module.handler(batch, CONTEXT)
        return shelf

    return run


def handler() -> Any:
    """The function's module as deployed, quiet."""
    os.environ |= {"POWERTOOLS_METRICS_NAMESPACE": "Bench", "POWERTOOLS_SERVICE_NAME": "bench"}
    os.environ["POWERTOOLS_LOG_LEVEL"] = "ERROR"
    return load("aggregate_bars", AggregateBars(bars_table="bars", state_table="state", retention_days=30))


def handler_with_pandas() -> Any:
    module = handler()

    def aggregate(batch: tape.Batch, market: Market, expires: int) -> list[Bar]:
        return with_pandas.aggregate(batch, market, expires, module.clients.dynamodb())

    module.aggregate = aggregate
    return module


def rows() -> list[Row]:
    trades = recorded(10_000)
    rivals = (
        handled(handler(), [event(trades)]),
        handled(handler(), thousands(trades)),
        handled(handler_with_pandas(), thousands(trades)),
    )
    agree(*(run() for run in rivals))
    alone, ours, pandas = best_seconds(*rivals, rounds=15)
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


def agree(*shelves: Shelf) -> None:
    """All ways must leave the same items, or their speeds say nothing."""
    assert shelves[0].items
    assert all(bars_of(shelf) == bars_of(shelves[0]) for shelf in shelves)


def bars_of(shelf: Shelf) -> list[Bar]:
    return [bar_of(item) for item in shelf.items.values()]
