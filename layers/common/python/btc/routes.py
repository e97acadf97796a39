"""The API's routes: what the gateway lets through, the handler answers and the OpenAPI document tells of."""

import re
from typing import Final, NamedTuple

from msgspec import structs

from btc import answers, requests
from btc.answers import Answer
from btc.requests import Query

READABLE: Final = "Date, ETag, Retry-After, x-amzn-RequestId"
"""Headers that a page of another origin may see, if it may see anything."""


class Route(NamedTuple):
    """A path as the gateway writes it, answered to GET alone."""

    path: str
    name: str
    """Of the operation in the OpenAPI document."""
    summary: str
    answer: type[Answer] | None
    """None: the OpenAPI document itself."""
    query: type[Query] = Query
    keyed: bool = True
    cached: bool = True
    """A client may keep the answer, and ask whether it has changed."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Of the path."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def required(self) -> tuple[str, ...]:
        """Parameters of the query without which there is no answer."""
        return tuple(field.name for field in structs.fields(self.query) if field.required)


FORECASTS: Final = Route(
    "/v1/forecasts/{symbol}",
    "get_forecasts",
    "The newest forecast of each horizon",
    answers.Forecasts,
    requests.MarketQuery,
)
LIVE: Final = Route(
    "/v1/forecasts/{symbol}/live",
    "get_live",
    "Where its forecasts are pushed as they are made; 404 where a deployment pushes none",
    answers.Live,
    requests.MarketQuery,
    cached=False,
)
HISTORY: Final = Route(
    "/v1/forecasts/{symbol}/history",
    "get_history",
    "Forecasts of one horizon, newest first, with what came of them",
    answers.History,
    requests.HistoryQuery,
)
SCORES: Final = Route(
    "/v1/scores/{symbol}",
    "get_scores",
    "Live skill against each baseline, coverage and direction",
    answers.LiveScores,
    requests.MarketQuery,
)
BARS: Final = Route("/v1/bars/{symbol}", "get_bars", "Bars, oldest first", answers.Bars, requests.BarsQuery)
MODEL: Final = Route("/v1/models/current", "get_model", "The model that serves, with its card", answers.Model)
HEALTH: Final = Route("/health", "get_health", "The age of each feed", answers.Health, keyed=False, cached=False)
OPENAPI: Final = Route("/openapi.json", "get_openapi", "This document", None, keyed=False)

ROUTES: Final = (FORECASTS, LIVE, HISTORY, SCORES, BARS, MODEL, HEALTH, OPENAPI)
