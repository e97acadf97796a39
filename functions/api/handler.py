"""HTTPS → forecasts, how they have done, bars, the model that serves and the feed's health, as JSON."""

import os
import time
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc import caching, problems, requests, routes, views
from btc.answers import Answer
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.aws.listeners import TICKET_S, ListenerTable
from btc.aws.newest import LiveScores, NewestForecasts
from btc.aws.scores import ScoreTable
from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.problems import NothingPushedError, Problem, problem_of
from btc.requests import BarsQuery, HistoryQuery, MarketQuery, Query
from btc.routes import Route
from btc.settings import Api
from btc.times import MINUTE, minute_of
from btc.trades import Market

DUE: Final = 10 * MINUTE
"""For so long after its target a forecast's outcome may be a moment away."""
VARYING: Final = {"Vary": "Accept-Encoding"}
"""The gateway compresses for those who take it and leaves this unsaid: a cache would hand one's body to another."""

logger = Logger()
metrics = Metrics()
app = APIGatewayRestResolver()


class Told(NamedTuple):
    """An answer, and whether it stays as it is until the next minute."""

    answer: Answer
    settled: bool


@cache
def settings() -> Api:
    return Api.from_env(os.environ)


@cache
def markets() -> tuple[Market, ...]:
    return tuple(Market.parse(text) for text in settings().markets)


@cache
def state() -> StateTable:
    return StateTable(settings().state_table, clients.dynamodb())


@cache
def forecasts() -> ForecastTable:
    return ForecastTable(settings().forecasts_table, clients.dynamodb())


@cache
def bars() -> BarTable:
    return BarTable(settings().bars_table, clients.dynamodb())


@cache
def newest() -> NewestForecasts:
    return NewestForecasts(forecasts(), bars())


@cache
def live_scores() -> LiveScores:
    return LiveScores(ScoreTable(settings().scores_table, clients.dynamodb()))


def now() -> int:
    return time.time_ns() // 1000


def serves(route: Route) -> Callable[[Callable[..., Told]], Callable[..., Told]]:
    """Answer GET at a route: parameters in, an answer out, which is told once and as long as it holds."""

    def register(answer: Callable[..., Told]) -> Callable[..., Told]:
        def respond(**path: str) -> Response[str]:
            given = app.current_event.multi_value_query_string_parameters
            moment = now()  # once: an answer of one minute is not told as one of the next
            return told(route, answer(requests.asked(route.query, given), moment, **path), moment)

        app.get(route.path.replace("{", "<").replace("}", ">"))(respond)
        return answer

    return register


def told(route: Route, answered: Told, moment: int) -> Response[str]:
    body = views.to_json(answered.answer).decode()
    if not route.cached:
        return reply(200, body, {"Cache-Control": "no-store"})
    tag = caching.etag(views.to_json(answered.answer.ageless()))
    return unless_held(body, tag, caching.control(moment, settled=answered.settled))


def unless_held(body: str, tag: str, control: str) -> Response[str]:
    """The body, or that the client has it already."""
    held = caching.matches(app.current_event.headers.get("If-None-Match", ""), tag)
    return reply(304 if held else 200, "" if held else body, {"ETag": tag, "Cache-Control": control, **VARYING})


def reply(status: int, body: str, headers: dict[str, str], content_type: str = "application/json") -> Response[str]:
    if settings().cors_origin:
        origin, readable = settings().cors_origin, routes.READABLE
        headers |= {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": readable}
    return Response(status, content_type if body else None, body, headers=headers)


@serves(routes.FORECASTS)
def get_forecasts(query: MarketQuery, moment: int, symbol: str) -> Told:
    market = requests.market_of(symbol, query, markets())
    found = newest().of(market, moment)
    return Told(
        views.forecasts(market, found.forecasts, found.last, moment), found.whole and found.as_of >= minute_of(moment)
    )


@serves(routes.LIVE)
def get_live(query: MarketQuery, moment: int, symbol: str) -> Told:
    market = requests.market_of(symbol, query, markets())
    if not settings().channel_url:
        raise NothingPushedError("nothing is pushed here: ask for the forecasts as each minute closes")
    ticket = ListenerTable(settings().listeners_table, clients.dynamodb()).issue(market, moment)
    return Told(views.live(market, settings().channel_url, ticket, TICKET_S, moment), settled=False)


@serves(routes.HISTORY)
def get_history(query: HistoryQuery, moment: int, symbol: str) -> Told:
    market = requests.market_of(symbol, query, markets())
    found = forecasts().before(market, query.horizon, query.before(market), query.limit + 1)
    page = found[: query.limit]
    more = page and len(found) > len(page)
    cursor = query.next_cursor(market, page[-1].forecast.target_time) if more else None
    due = (scored for scored in page if moment - DUE < scored.forecast.target_time <= moment)
    fresh = bool(page) and page[0].forecast.as_of >= minute_of(moment) and all(scored.outcome for scored in due)
    return Told(views.history(market, query.horizon, page, cursor, moment), fresh)


@serves(routes.SCORES)
def get_scores(query: MarketQuery, moment: int, symbol: str) -> Told:
    market = requests.market_of(symbol, query, markets())
    latest = {made.horizon: made for made in newest().of(market, moment).forecasts}
    return Told(views.scores(market, latest, live_scores().of(market, moment), moment), settled=False)


@serves(routes.BARS)
def get_bars(query: BarsQuery, moment: int, symbol: str) -> Told:
    market = requests.market_of(symbol, query, markets())
    span = requests.span(query, moment)
    minutes = bars().between(market, span.start, span.end)
    answer = views.bars(market, span, minutes, state().watermark(market), moment)
    return Told(answer, answer.complete and span.end <= moment)


@serves(routes.MODEL)
def get_model(query: Query, moment: int) -> Told:
    return Told(views.model(state().promoted(), moment), settled=True)


@serves(routes.HEALTH)
def get_health(query: Query, moment: int) -> Told:
    return Told(views.health({market: state().watermark(market) for market in markets()}, moment), settled=False)


@app.get(routes.OPENAPI.path)
def get_openapi() -> Response[str]:
    requests.asked(routes.OPENAPI.query, app.current_event.multi_value_query_string_parameters)
    root = app.current_event.request_context.path.removesuffix(routes.OPENAPI.path)
    return unless_held(*document(root), "public, max-age=3600")


@lru_cache(maxsize=4)
def document(root: str) -> tuple[str, str]:
    """With its tag, for the stage's own path or a domain's. Made when it is first asked for: few ask, and its maker
    takes time to import."""
    from btc import openapi  # noqa: PLC0415

    content = views.to_json(openapi.document(signed=settings().signed, root=root))
    return content.decode(), caching.etag(content)


@app.not_found
def not_found(error: Exception) -> Response[str]:
    return refuse(Problem(404, "Not Found", f"there is nothing at {app.current_event.path}"))


@app.exception_handler(Exception)  # type: ignore[untyped-decorator] # Powertools declares no types here
def failed(error: Exception) -> Response[str]:
    problem = problem_of(error)
    if problem.status >= 500:
        logger.exception("request failed")
        metrics.add_metric("ApiFailures", MetricUnit.Count, 1)
    return refuse(problem)


def refuse(problem: Problem) -> Response[str]:
    context = app.current_event.request_context
    body = problem.to_json(context.path, context.request_id)
    return reply(problem.status, body, {"Cache-Control": "no-store"}, problems.CONTENT_TYPE)


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
