"""DynamoDB `bars` stream → S3 lake: joins the day of every closed bar that changed, whole, into the lake's object."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc import correlation
from btc.aws import archiving, clients
from btc.aws.lake import Lake
from btc.aws.metrics import add_details
from btc.aws.tables import BarTable, changed_bars
from btc.settings import ArchiveBars
from btc.times import day_of

logger = Logger()
metrics = Metrics()


@cache
def settings() -> ArchiveBars:
    return ArchiveBars.from_env(os.environ)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    table = BarTable(settings().bars_table, clients.dynamodb())
    lake = Lake(settings().lake_bucket, clients.s3())
    changed = changed_bars(event["Records"])
    days = sorted({(bar.market, day_of(bar.start)) for bar in changed})
    written = sum(archiving.archive_bars(lake, table, market, day) for market, day in days)
    add_details(metrics, {"DaysWritten": written})
    minutes = correlation.minutes((bar.market, bar.start) for bar in changed)
    logger.info("archived", extra={"records": len(event["Records"]), "written": written, "minutes": minutes})
