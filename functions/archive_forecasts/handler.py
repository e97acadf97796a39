"""DynamoDB `forecasts` stream → S3 lake: joins the hours that changed into their days' objects."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc import correlation
from btc.aws import archiving, clients
from btc.aws.forecasts import ForecastTable, changed_hours, minutes_of
from btc.aws.lake import Lake
from btc.aws.metrics import add_details
from btc.settings import ArchiveForecasts

logger = Logger()
metrics = Metrics()


@cache
def settings() -> ArchiveForecasts:
    return ArchiveForecasts.from_env(os.environ)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    table = ForecastTable(settings().forecasts_table, clients.dynamodb())
    lake = Lake(settings().lake_bucket, clients.s3())
    days = changed_hours(event["Records"])
    written = sum(archiving.archive_forecasts(lake, table, *day, hours) for day, hours in sorted(days.items()))
    add_details(metrics, {"DaysWritten": written})
    minutes = correlation.minutes(minutes_of(event["Records"]))
    logger.info("archived", extra={"records": len(event["Records"]), "written": written, "minutes": minutes})
