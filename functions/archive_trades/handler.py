"""Kinesis `trades` → S3 tape: one object a market, day and delivered batch, from which every bar can be made again."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc import correlation, tape
from btc.aws.metrics import add_details
from btc.aws.tape import Tape
from btc.settings import ArchiveTrades
from btc.times import minute_of
from btc.trades import Trades

logger = Logger()
metrics = Metrics()


@cache
def settings() -> ArchiveTrades:
    return ArchiveTrades.from_env(os.environ)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    batch = tape.read(event["Records"])
    archive = Tape(settings().lake_bucket)
    markets = [Trades.chain(parts) for parts in batch.trades.values()]
    keys = [key for trades in markets for key in archive.add(trades)]
    add_details(metrics, {"TradesArchived": sum(map(len, markets))})
    told = {"records": batch.records, "trades": sum(map(len, markets)), "objects": len(keys)}
    minutes = ((trades.market, minute_of(time)) for trades in markets for time in trades.times)
    logger.info("archived", extra={**told, "minutes": correlation.minutes(minutes)})
    if batch.unread:
        metrics.add_metric("UnreadableRecords", MetricUnit.Count, 1)
        logger.error("unreadable record", extra={"sequence_number": batch.unread, "cause": batch.cause})
    return batch.failures()
