"""Kinesis `trades` → DynamoDB `bars`: merges each batch into exact bars and closes minutes by watermark."""

import os
import time
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc import correlation, tape
from btc.aws import clients, folding
from btc.aws.metrics import add_details
from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.settings import AggregateBars
from btc.times import DAY
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
    expires = time.time_ns() // 1000 + settings().retention_days * DAY
    bars = [bar for market in batch.markets for bar in aggregate(batch, market, expires)]
    trades = sum(len(part) for parts in batch.trades.values() for part in parts)
    add_details(metrics, {"Trades": trades, "BarsWritten": len(bars)})
    minutes = correlation.minutes((bar.market, bar.start) for bar in bars)
    logger.info("aggregated", extra={"records": batch.records, "trades": trades, "bars": len(bars), "minutes": minutes})
    if batch.unread:
        metrics.add_metric("UnreadableRecords", MetricUnit.Count, 1)
        logger.error("unreadable record", extra={"sequence_number": batch.unread, "cause": batch.cause})
    return batch.failures()


def aggregate(batch: tape.Batch, market: Market, expires: int) -> list[Bar]:
    """The bars of the market that changed."""
    table = BarTable(settings().bars_table, clients.dynamodb())
    state = StateTable(settings().state_table, clients.dynamodb())
    return folding.fold(table, state, batch.trades.get(market, []), batch.watermarks.get(market, []), expires)
