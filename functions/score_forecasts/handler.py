"""DynamoDB `bars` stream → outcomes of the forecasts for those minutes, live scores, and retraining on drift."""

import os
import time
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc import correlation, drifts, scores
from btc.aws import clients, retraining
from btc.aws.forecasts import ForecastTable
from btc.aws.metrics import add_details, detailed
from btc.aws.scores import ScoreTable, Tables, score, week
from btc.aws.state import StateTable
from btc.aws.tables import BarTable, changed_bars
from btc.drifts import Bounds
from btc.settings import ScoreForecasts
from btc.trades import Market

logger = Logger()
metrics = Metrics()


@cache
def settings() -> ScoreForecasts:
    return ScoreForecasts.from_env(os.environ)


@cache
def bounds() -> Bounds:
    told = settings()
    return Bounds(told.least_forecasts, told.coverage_low, told.coverage_high, told.skill_low)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    now = time.time_ns() // 1000
    tables = Tables(
        BarTable(settings().bars_table, clients.dynamodb()),
        ForecastTable(settings().forecasts_table, clients.dynamodb()),
        ScoreTable(settings().scores_table, clients.dynamodb()),
    )
    changed = changed_bars(event["Records"])
    hours = scores.due(changed, now, settings().catch_up_hours)
    scored = [(market, score(tables, market, hour, settings().retention_days)) for market, hour in hours]
    for market in sorted({market for market, new in scored if new}):
        watch(tables.scores, market, now)
    total = sum(new for _, new in scored)
    add_details(metrics, {"ForecastsScored": total})
    minutes = correlation.minutes((bar.market, bar.start) for bar in changed)
    logger.info(
        "scored", extra={"records": len(event["Records"]), "hours": len(hours), "scored": total, "minutes": minutes}
    )


def watch(table: ScoreTable, market: Market, now: int) -> None:
    """Tell how the champion does, and train anew where it is out of bounds; the baseline has nothing to lose."""
    state = StateTable(settings().state_table, clients.dynamodb())
    champion = state.champion()
    live = week(table, market, now, champion.model_version if champion else None)
    for horizon, each in live.items():
        figures = {"LiveCoverage": each.coverage, "LiveSkill": each.skill}
        logger.info("live", extra={"market": str(market), "horizon": horizon, **figures})
        for name, value in figures.items():
            if value is not None and detailed():
                tell(name, value, market=str(market), horizon=str(horizon))
    drifted = drifts.drifted(live, bounds()) if champion else {}
    for cause, horizons in drifted.items():
        tell("DriftDetected", len(horizons), cause=cause)
    if drifted:
        pause = settings().retrain_pause_hours
        execution = retraining.start(clients.sagemaker(), state, settings().pipeline, now, pause)
        logger.warning("drifted", extra={"market": str(market), "horizons": drifted, "retraining": execution})


def tell(name: str, value: float, **dimensions: str) -> None:
    """A metric of its own dimensions, which the function's others do not have."""
    with single_metric(name, MetricUnit.NoUnit, value) as metric:
        for dimension, where in dimensions.items():
            metric.add_dimension(dimension, where)
