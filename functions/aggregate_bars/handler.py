"""Kinesis `trades` → DynamoDB `bars`: merges each batch into exact bars and closes minutes by watermark."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc import tape
from btc.aws import clients
from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.settings import AggregateBars
from btc.times import minute_of
from btc.trades import Market

logger = Logger()
metrics = Metrics()


@cache
def settings() -> AggregateBars:
    return AggregateBars.from_env(os.environ)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    batch = tape.read(event["Records"])
    changed = sum(aggregate(batch, market) for market in batch.markets)
    trades = sum(len(part) for parts in batch.trades.values() for part in parts)
    metrics.add_metric("Trades", MetricUnit.Count, trades)
    metrics.add_metric("BarsWritten", MetricUnit.Count, changed)
    logger.info("aggregated", extra={"records": batch.records, "trades": trades, "bars": changed})
    if batch.unread:
        metrics.add_metric("UnreadableRecords", MetricUnit.Count, 1)
        logger.error("unreadable record", extra={"sequence_number": batch.unread, "cause": batch.cause})
    return batch.failures()


def aggregate(batch: tape.Batch, market: Market) -> int:
    """How many bars of the market changed. A watermark within the minute already closed has nothing to tell."""
    table = BarTable(settings().bars_table, clients.dynamodb())
    state = StateTable(settings().state_table, clients.dynamodb())
    alive = state.watermark(market)
    trades = batch.trades.get(market, [])
    marks = [
        mark
        for mark in batch.watermarks.get(market, [])
        if alive is None or minute_of(mark.time) > minute_of(alive.time)
    ]
    if not trades and not marks:
        return 0
    changed = table.fold(trades, marks, alive, settings().retention_days)
    if marks:
        state.advance(max(marks, key=lambda mark: mark.time))
    return len(changed)
