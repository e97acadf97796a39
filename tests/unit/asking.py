"""The API's handler, asked as API Gateway asks it, at a moment of the test's choosing."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from btc import forecasts, scores
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.forecasts import HORIZONS, LEVELS
from btc.settings import Api
from btc.tape import Watermark
from btc.times import MINUTE
from btc.trades import Trade
from tests.unit.aws import CONTEXT, fold, load
from tests.unit.market import BTC, NOON

NOW = NOON + 10 * MINUTE + 1_500_000
SETTINGS = Api(
    bars_table="bars",
    forecasts_table="forecasts",
    scores_table="scores",
    state_table="state",
    markets=("kraken:BTC-USD",),
    cors_origin="",
    signed=False,
    channel_url="wss://channel.example/live",
    listeners_table="listeners",
)


class Reply(NamedTuple):
    """What came back; `headers` by lower-case name, the first value of each."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


Ask = Callable[..., Reply]


def event(path: str, headers: dict[str, str], query: dict[str, Any]) -> dict[str, Any]:
    """Proxy integration's event; a parameter whose value is a list is given so many times."""
    given = {name: value if isinstance(value, list) else [value] for name, value in query.items()}
    return {
        "resource": path,
        "path": path,
        "httpMethod": "GET",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in given.items()} or None,
        "multiValueQueryStringParameters": given or None,
        "pathParameters": None,
        "requestContext": {"requestId": "request-1", "stage": "live", "path": f"/live{path}", "identity": {}},
        "body": None,
        "isBase64Encoded": False,
    }


class Clock:
    """What the handler takes for the time."""

    def __init__(self) -> None:
        self.now = NOW


def asking(settings: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Ask:
    module = load("api", settings)
    monkeypatch.setattr(module, "now", lambda: clock.now)

    def ask(
        path: str, headers: dict[str, str] | None = None, context: dict[str, Any] | None = None, **query: Any
    ) -> Reply:
        asked = event(path, {"Accept": "application/json", **(headers or {})}, query)
        asked["requestContext"] |= context or {}
        answer = module.handler(asked, CONTEXT)
        told = {name.lower(): values[0] for name, values in answer["multiValueHeaders"].items()}
        return Reply(answer["statusCode"], told, answer["body"])

    return ask


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ask(aws: None, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Ask:
    return asking(SETTINGS, clock, monkeypatch)


def store_bars(minutes: int, since: int = NOON) -> None:
    """A trade each minute from `since` on, the last of them closed by a watermark."""
    tape = [Trade(BTC, row, since + row * MINUTE, 10_543_360_000_000 + row, 150, True) for row in range(minutes)]
    fold(tape, Watermark(BTC, since + minutes * MINUTE, minutes - 1))


def forecast_minutes(count: int, horizons: tuple[int, ...] = HORIZONS) -> None:
    """A forecast of every horizon each minute from NOON on, the first of each with its outcome."""
    table = ForecastTable("forecasts", clients.dynamodb())
    quantiles = {horizon: [0.001 * (level - 0.5) for level in LEVELS] for horizon in horizons}
    for row in range(count):
        for made in forecasts.of(BTC, NOON + row * MINUTE, 100_000.0, quantiles, model_version="m", baseline=False):
            assert table.add(made, 30)
            if row == 0:
                assert table.settle(made, scores.outcome(made, 100_010.0))
