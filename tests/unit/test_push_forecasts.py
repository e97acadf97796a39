"""The function that pushes: what the API would answer, to those who listen, and nothing is read where nobody does."""

from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from btc.aws import clients
from btc.aws.forecasts import changed_markets
from btc.aws.listeners import ListenerTable
from btc.aws.pushing import Fate, push, told
from btc.settings import PushForecasts
from btc.times import HOUR, MINUTE, iso
from btc.trades import Market
from tests.unit.asking import NOW, ask, clock, forecast_minutes, store_bars
from tests.unit.aws import CONTEXT, aws, called, load
from tests.unit.market import BTC, NOON

__all__ = ["ask", "aws", "clock"]
SETTINGS = PushForecasts(
    bars_table="bars",
    forecasts_table="forecasts",
    listeners_table="listeners",
    channel_url="wss://c1.execute-api.us-east-1.amazonaws.com/live",
)


@pytest.fixture
def handler(aws: None, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    clients.connections.cache_clear()
    module = load("push_forecasts", SETTINGS)
    monkeypatch.setattr(module.time, "time_ns", lambda: NOW * 1000)
    return module


def event(*series: str) -> dict[str, Any]:
    keys = [{"series": {"S": each}, "target_time": {"S": iso(NOON + HOUR)}} for each in series]
    return {"Records": [{"dynamodb": {"Keys": key, "NewImage": key}} for key in keys]}


def test_it_posts_what_the_api_answers(handler, ask):
    store_bars(3)
    forecast_minutes(3)
    ListenerTable("listeners", clients.dynamodb()).add(BTC, "connection", NOON)
    posted = []
    with mock.patch.object(handler.pushing, "push", lambda *told: posted.append(told[-1]) or {}):
        handler.handler(event(f"{BTC}:60", f"{BTC}:60"), CONTEXT)

    [message] = posted
    assert message.decode() == ask("/v1/forecasts/BTC-USD").text


def test_its_log_names_the_minute_that_was_forecast_from(handler, caplog):
    handler.handler(event(f"{BTC}:60"), CONTEXT)

    [line] = [each for each in caplog.records if each.message == "pushed"]
    assert line.minutes == [f"{BTC} {iso(NOON - MINUTE)}"]


def test_where_nobody_listens_nothing_more_is_asked(handler):
    forecast_minutes(3)
    with called() as operations:
        handler.handler(event(f"{BTC}:60"), CONTEXT)

    assert operations == {"Query"}


def test_the_newest_is_read_for_sure(handler, monkeypatch):
    forecast_minutes(3)
    asked = []
    query = clients.dynamodb().query
    monkeypatch.setattr(clients.dynamodb(), "query", lambda **told: asked.append(told) or query(**told))
    found = handler.newest().of(BTC, NOON + 3 * MINUTE)

    assert found.as_of == NOON + 2 * MINUTE
    assert [each["ConsistentRead"] for each in asked if each["TableName"] == "forecasts"] == [True]


def test_connections_are_managed_where_clients_connect(handler):
    assert handler.managed_at() == "https://c1.execute-api.us-east-1.amazonaws.com/live"
    handler.settings.cache_clear()
    with mock.patch.dict("os.environ", CHANNEL_URL="ws://127.0.0.1:8000/live"):
        assert handler.managed_at() == "http://127.0.0.1:8000/live"
    handler.settings.cache_clear()


def test_records_tell_their_markets(aws):
    records = event(f"{BTC}:60", "kraken:ETH-USD:60", f"{BTC}:60")["Records"]

    assert changed_markets(records) == {BTC, Market("kraken", "ETH-USD")}


class Refusing:
    """A client of the management API that fails in every way it may, by connection."""

    class exceptions:  # noqa: N801 - botocore's name
        GoneException = type("GoneException", (ClientError,), {})

    def post_to_connection(self, **told: Any) -> None:
        failures = {
            "gone": self.exceptions.GoneException({"Error": {"Code": "GoneException"}}, "PostToConnection"),
            "full": ClientError({"Error": {"Code": "LimitExceededException"}}, "PostToConnection"),
            "late": ReadTimeoutError(endpoint_url="https://c1"),
        }
        if failure := failures.get(told["ConnectionId"]):
            raise failure


def test_no_failure_of_one_keeps_the_message_from_another():
    fates = push(Refusing(), ["gone", "full", "first", "late", "last"], b"message")

    assert fates == {
        "gone": Fate.GONE,
        "full": Fate.MISSED,
        "first": Fate.SENT,
        "late": Fate.MISSED,
        "last": Fate.SENT,
    }
    assert told(fates.values()) == {"sent": 2, "gone": 1, "missed": 2}
