"""The function that lets listeners in: as an authorizer, and as it is told who comes and who goes."""

from types import ModuleType
from typing import Any

import pytest

from btc.aws import clients
from btc.aws.listeners import ListenerTable
from btc.settings import ConnectListeners
from tests.unit.aws import CONTEXT, aws, load
from tests.unit.market import BTC, NOON

__all__ = ["aws"]
ARN = "arn:aws:execute-api:us-east-1:123456789012:api1/live/$connect"


@pytest.fixture
def handler(aws: None, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load("connect_listeners", ConnectListeners(listeners_table="listeners"))
    monkeypatch.setattr(module, "now", lambda: NOON)
    return module


def table() -> ListenerTable:
    return ListenerTable("listeners", clients.dynamodb())


def asking(ticket: str) -> dict[str, Any]:
    return {
        "type": "REQUEST",
        "methodArn": ARN,
        "queryStringParameters": {"ticket": ticket},
        "requestContext": {"eventType": "CONNECT", "connectionId": "c"},
    }


def told(kind: str) -> dict[str, Any]:
    return {"requestContext": {"eventType": kind, "connectionId": "c", "authorizer": {"market": str(BTC)}}}


def test_a_ticket_lets_in_once_and_tells_the_connection_its_market(handler):
    ticket = table().issue(BTC, NOON)
    first, second = (handler.handler(asking(ticket), CONTEXT) for _ in range(2))

    assert first["policyDocument"]["Statement"] == [
        {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": ARN}
    ]
    assert first["context"] == {"market": "kraken:BTC-USD"}
    assert second["policyDocument"]["Statement"][0]["Effect"] == "Deny"
    assert second["context"] == {}


def test_who_comes_is_kept_and_who_goes_is_not(handler):
    assert handler.handler(told("CONNECT"), CONTEXT) == {"statusCode": 200}
    assert table().of(BTC) == ["c"]
    for _ in range(2):
        assert handler.handler(told("DISCONNECT"), CONTEXT) == {"statusCode": 200}
        assert table().of(BTC) == []
