"""DynamoDB `forecasts` stream → WebSocket API: a market's newest forecasts, as the API tells them, to who listens."""

import os
import time
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc import correlation, views
from btc.aws import clients, pushing
from btc.aws.forecasts import ForecastTable, changed_markets, minutes_of
from btc.aws.listeners import ListenerTable
from btc.aws.metrics import add_details
from btc.aws.newest import NewestForecasts
from btc.aws.pushing import Fate
from btc.aws.tables import BarTable
from btc.settings import PushForecasts
from btc.trades import Market

logger = Logger()
metrics = Metrics()


@cache
def settings() -> PushForecasts:
    return PushForecasts.from_env(os.environ)


@cache
def newest() -> NewestForecasts:
    client = clients.dynamodb()
    forecasts = ForecastTable(settings().forecasts_table, client)
    return NewestForecasts(forecasts, BarTable(settings().bars_table, client), consistent=True)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    now = time.time_ns() // 1000
    markets = changed_markets(event["Records"])
    fates = pushing.told(fate for market in markets for fate in push(market, now))
    add_details(metrics, {name.title(): count for name, count in fates.items()})
    minutes = correlation.minutes(minutes_of(event["Records"]))
    told = {"records": len(event["Records"]), "markets": len(markets), "minutes": minutes}
    logger.info("pushed", extra={**told, **fates})


def push(market: Market, now: int) -> list[Fate]:
    """What became of the market's newest forecasts, by listener; those who are gone are forgotten."""
    table = ListenerTable(settings().listeners_table, clients.dynamodb())
    listeners = table.of(market)
    if not listeners:
        return []
    found = newest().of(market, now)
    message = views.to_json(views.forecasts(market, found.forecasts, found.last, now))
    fates = pushing.push(clients.connections(managed_at()), listeners, message)
    for listener, fate in fates.items():
        if fate is Fate.GONE:
            table.forget(market, listener, now)
    return list(fates.values())


def managed_at() -> str:
    """https for wss, and http for ws."""
    return settings().channel_url.replace("ws", "http", 1)
