"""HTTPS → forecasts, how they have done, bars, the model that serves and the feed's health, as JSON."""

import os
import time
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc import cursors, intervals, views
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.aws.scores import ScoreTable
from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.forecasts import HORIZONS
from btc.problems import Problem, problem_of
from btc.requests import bars_request, history_request, market_of, series
from btc.scores import WINDOWS, since
from btc.settings import Api
from btc.trades import Market

logger = Logger()
metrics = Metrics()
app = APIGatewayRestResolver(serializer=views.to_json)


@cache
def settings() -> Api:
    return Api.from_env(os.environ)


@cache
def markets() -> tuple[Market, ...]:
    return tuple(Market.parse(text) for text in settings().markets)


@cache
def state() -> StateTable:
    return StateTable(settings().state_table, clients.dynamodb())


def now() -> int:
    return time.time_ns() // 1000


@app.get("/v1/forecasts/<symbol>")
def get_forecasts(symbol: str) -> dict[str, Any]:
    market = market_of(symbol, app.current_event.query_string_parameters, markets())
    table = ForecastTable(settings().forecasts_table, clients.dynamodb())
    return views.forecasts(market, [table.latest(market, horizon) for horizon in HORIZONS], now())


@app.get("/v1/forecasts/<symbol>/history")
def get_history(symbol: str) -> dict[str, Any]:
    query = app.current_event.query_string_parameters
    market = market_of(symbol, query, markets())
    asked = history_request(market, query)
    table = ForecastTable(settings().forecasts_table, clients.dynamodb())
    found = table.before(market, asked.horizon, asked.before, asked.limit + 1)
    page = found[: asked.limit]
    more = page and len(found) > len(page)
    next_cursor = cursors.encode(series(market, asked.horizon), page[-1].forecast.target_time) if more else None
    return views.history(market, asked.horizon, page, next_cursor, now())


@app.get("/v1/scores/<symbol>")
def get_scores(symbol: str) -> dict[str, Any]:
    market = market_of(symbol, app.current_event.query_string_parameters, markets())
    table = ForecastTable(settings().forecasts_table, clients.dynamodb())
    sums = ScoreTable(settings().scores_table, clients.dynamodb())
    start = since(now(), max(WINDOWS))
    latest = {horizon: table.latest(market, horizon) for horizon in HORIZONS}
    found = {horizon: sums.between(market, horizon, start, now()) for horizon in HORIZONS}
    return views.scores(market, latest, found, now())


@app.get("/v1/bars/<symbol>")
def get_bars(symbol: str) -> dict[str, Any]:
    query = app.current_event.query_string_parameters
    market = market_of(symbol, query, markets())
    request = bars_request(query, now())
    bars = BarTable(settings().bars_table, clients.dynamodb()).between(market, request.start, request.end)
    return views.bars(
        market, request.interval, intervals.resample(bars, request.minutes), state().watermark(market), now()
    )


@app.get("/v1/models/current")
def get_model() -> dict[str, Any]:
    return views.model(state().champion(), now())


@app.get("/health")
def get_health() -> dict[str, Any]:
    return views.health({market: state().watermark(market) for market in markets()}, now())


@app.not_found
def not_found(error: Exception) -> Response[str]:
    return answer(Problem(404, "Not Found", f"there is nothing at {app.current_event.path}"))


@app.exception_handler(Exception)  # type: ignore[untyped-decorator] # Powertools declares no types here
def failed(error: Exception) -> Response[str]:
    problem = problem_of(error)
    if problem.status >= 500:
        logger.exception("request failed")
        metrics.add_metric("ApiFailures", MetricUnit.Count, 1)
    return answer(problem)


def answer(problem: Problem) -> Response[str]:
    request_id = app.current_event.request_context.request_id
    return Response(problem.status, "application/problem+json", problem.to_json(app.current_event.path, request_id))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
