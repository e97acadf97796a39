"""WebSocket API → table of listeners: lets in who brings a ticket, and keeps who is there for which market."""

import os
import time
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc import requests
from btc.aws import clients
from btc.aws.listeners import ListenerTable
from btc.settings import ConnectListeners
from btc.trades import Market

logger = Logger()


@cache
def settings() -> ConnectListeners:
    return ConnectListeners.from_env(os.environ)


def now() -> int:
    return time.time_ns() // 1000


def admit(event: dict[str, Any]) -> dict[str, Any]:
    """The authorizer's answer: the market that the ticket is for goes on with the connection."""
    market = table().redeem(event["queryStringParameters"][requests.TICKET], now())
    logger.info("let in" if market else "turned away", extra={"market": str(market)})
    statement = {
        "Action": "execute-api:Invoke",
        "Effect": "Allow" if market else "Deny",
        "Resource": event["methodArn"],
    }
    return {
        "principalId": "listener",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"market": str(market)} if market else {},
    }


def connect(event: dict[str, Any]) -> dict[str, Any]:
    table().add(*listener(event), now())
    return {"statusCode": 200}


def disconnect(event: dict[str, Any]) -> dict[str, Any]:
    table().remove(*listener(event))
    return {"statusCode": 200}


def listener(event: dict[str, Any]) -> tuple[Market, str]:
    context = event["requestContext"]
    return Market.parse(context["authorizer"]["market"]), context["connectionId"]


def table() -> ListenerTable:
    return ListenerTable(settings().listeners_table, clients.dynamodb())


ANSWERS = {"REQUEST": admit, "CONNECT": connect, "DISCONNECT": disconnect}


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    # An authorizer's event says so; it too tells of the connection that is to come.
    return ANSWERS[event.get("type") or event["requestContext"]["eventType"]](event)
