"""DynamoDB `bars` stream → DynamoDB `forecasts`: a forecast a horizon each time the newest minute closes."""

import os
import time
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc import correlation, models, serving
from btc.aws import clients
from btc.aws.calibrations import CalibrationTable, gather
from btc.aws.forecasts import ForecastTable
from btc.aws.lookbacks import LookBacks
from btc.aws.metrics import add_details
from btc.aws.models import NoArtefactError, download
from btc.aws.state import StateTable
from btc.aws.tables import BarTable, changed_bars
from btc.bars import Bar
from btc.baselines import TooFewMinutesError
from btc.champions import Champion, unusable
from btc.features import LOOK_BACK
from btc.forecasts import Reason
from btc.minutes import Minutes
from btc.settings import Forecast
from btc.times import MINUTE, SECOND

logger = Logger()
metrics = Metrics()


@cache
def settings() -> Forecast:
    return Forecast.from_env(os.environ)


@cache
def look_backs() -> LookBacks:
    return LookBacks(BarTable(settings().bars_table, clients.dynamodb()))


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    now = time.time_ns() // 1000
    newest = {bar.market: bar for bar in sorted(changed_bars(event["Records"]), key=lambda bar: bar.start)}
    fresh = [bar for bar in newest.values() if now - bar.end <= settings().max_bar_age_s * SECOND]
    made = [made for bar in fresh for made in forecast(bar, now)]
    add_details(metrics, {"Forecasts": len(made), "BaselineForecasts": sum(made)})
    minutes = correlation.minutes((bar.market, bar.start) for bar in fresh)
    logger.info("forecast", extra={"records": len(event["Records"]), "forecasts": len(made), "minutes": minutes})


def forecast(bar: Bar, now: int) -> list[bool]:
    """For each new forecast of a time still to come, as of the bar's close: whether it is the baseline's."""
    champion = StateTable(settings().state_table, clients.dynamodb()).champion()
    model, reason = serving_model(champion, now)
    bars = look_backs()
    kept = CalibrationTable(settings().state_table, clients.dynamodb())
    calibration = None
    if model:
        calibration, minutes = gather(kept, bars, model, bar)
    else:
        minutes = Minutes.of_bars(bars.between(bar.market, bar.start - LOOK_BACK * MINUTE, bar.end))
    try:
        made = serving.forecast(bar.market, minutes, model, calibration, reason)
    except TooFewMinutesError as error:  # more come by themselves; others of the batch need not wait for them
        logger.warning("too little history", extra={"market": str(bar.market), "cause": str(error)})
        return []
    if calibration:
        kept.keep(bar.market, calibration)
    table = ForecastTable(settings().forecasts_table, clients.dynamodb())
    current = [each for each in made if each.target_time > now]
    added = [each.baseline for each in current if table.add(each, settings().retention_days)]
    tell(bar, now)
    return added


def serving_model(champion: Champion | None, now: int) -> tuple[models.Model | None, Reason | None]:
    """The model that may be asked, or why none may: one that an older version left gives way to the baseline."""
    reason = unusable(champion, now, settings().max_model_age_days)
    if champion is None or reason:
        return None, reason
    try:
        return load(champion.artefact), None
    except (models.ModelError, NoArtefactError) as error:
        metrics.add_metric("ModelUnreadable", MetricUnit.Count, 1)
        logger.error("champion unreadable", extra={"model_version": champion.model_version, "cause": str(error)})  # noqa: TRY400
        return None, Reason.UNREADABLE


def tell(bar: Bar, now: int) -> None:
    """How old the bar is that was forecast from."""
    with single_metric("ForecastAge", MetricUnit.Seconds, (now - bar.end) / SECOND) as metric:
        metric.add_dimension("market", str(bar.market))


@lru_cache(maxsize=2)
def load(artefact: str) -> models.Model:
    """The champion's model; a new champion has a new address, so that it is loaded without a deployment."""
    with TemporaryDirectory() as folder:
        return models.Model.open(download(clients.s3(), artefact, Path(folder)))
