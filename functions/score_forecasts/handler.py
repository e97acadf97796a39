"""On a schedule: outcomes of the forecasts whose minutes are proven, live scores, and retraining on drift.

It reads no stream: a shard of a table's stream bears two readers, and what a late bar changes is found by the marks of
what was scored (btc.aws.scores).
"""

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
from btc.aws.scores import ScoreTable, Tables, score_hours, week
from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.drifts import Bounds
from btc.forecasts import HORIZONS
from btc.settings import ScoreForecasts
from btc.times import DAY, MINUTE, day_of, parse_iso
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
    state = StateTable(settings().state_table, clients.dynamodb())
    # Lambda ends this invocation by then, so that nobody else begins before.
    last = state.begin_scoring(now, now + context.get_remaining_time_in_millis() * 1000)
    if last is None:
        logger.info("scored by another invocation meanwhile")
        return
    done_at = last
    try:
        score_markets(now, last)
        if day_of(last) < day_of(now):  # a metric is paid for by the hours in which it is told
            metrics.add_metric("ModelAge", MetricUnit.Count, model_age(state, now))
        done_at = now
    finally:
        state.end_scoring(done_at)


def score_markets(now: int, last: int) -> None:
    tables = Tables(
        BarTable(settings().bars_table, clients.dynamodb()),
        ForecastTable(settings().forecasts_table, clients.dynamodb()),
        ScoreTable(settings().scores_table, clients.dynamodb()),
    )
    hours = scores.due(now, last, settings().catch_up_hours, settings().retention_days)
    scored: list[tuple[Market, int]] = []
    for market in map(Market.parse, settings().markets):
        targets = score_hours(tables, market, hours, now, settings().retention_days)
        scored += [(market, target - MINUTE) for target in targets]
        if targets:
            watch(tables.scores, market, now)
    add_details(metrics, {"ForecastsScored": len(scored)})
    told = {"hours": len(hours), "scored": len(scored), "minutes": correlation.minutes(scored)}
    logger.info("scored", extra=told)


def model_age(state: StateTable, now: int) -> float:
    """For how many days nothing was learnt: since the champion's data ended, or, where no model ever came, since the
    first forecast that is kept.
    """
    table = ForecastTable(settings().forecasts_table, clients.dynamodb())
    if champion := state.champion():
        return (now - parse_iso(champion.trained_until)) / DAY
    markets = map(Market.parse, settings().markets)
    begun = [as_of for market in markets if (as_of := table.earliest(market, HORIZONS[-1])) is not None]
    return (now - min(begun, default=now)) / DAY


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
        execution = None
        if str(market) == settings().markets[0]:  # from which the pipeline learns: of another's drift it learns nothing
            pause = settings().retrain_pause_hours
            execution = retraining.start(clients.sagemaker(), state, settings().pipeline, now, pause)
        logger.warning("drifted", extra={"market": str(market), "horizons": drifted, "retraining": execution})


def tell(name: str, value: float, **dimensions: str) -> None:
    """A metric of its own dimensions, which the function's others do not have."""
    with single_metric(name, MetricUnit.NoUnit, value) as metric:
        for dimension, where in dimensions.items():
            metric.add_dimension(dimension, where)
