"""DynamoDB `bars` stream → S3 lake: rewrites the day of every closed bar that changed from the online store."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc.aws import clients, lake
from btc.aws.tables import BarTable, changed_bars
from btc.settings import ArchiveBars
from btc.times import DAY, day_of

logger = Logger()
metrics = Metrics()


@cache
def settings() -> ArchiveBars:
    return ArchiveBars.from_env(os.environ)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    table = BarTable(settings().bars_table, clients.dynamodb())
    days = sorted({(bar.market, day_of(bar.start)) for bar in changed_bars(event["Records"])})
    for market, day in days:
        bars = [bar for bar in table.between(market, day, day + DAY) if bar.closed]
        path = lake.write_bars(settings().lake_bucket, market, day, bars)
        logger.info("day written", extra={"path": path, "bars": len(bars)})
    metrics.add_metric("DaysWritten", MetricUnit.Count, len(days))
