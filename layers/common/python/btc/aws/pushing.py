"""One message to many connections of a WebSocket API, none of which holds up another."""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import TYPE_CHECKING

from btc.aws.clients import FAILURES, POSTS_AT_ONCE

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient


class Fate(StrEnum):
    """What became of a message to one connection."""

    SENT = "sent"
    GONE = "gone"
    """Nobody is there any more."""
    MISSED = "missed"
    """Refused or unanswered to the last retry, as where a client reads too slowly: the next message tells it all."""


def push(client: "ApiGatewayManagementApiClient", connections: Iterable[str], message: bytes) -> dict[str, Fate]:
    """What became of the message, by connection. The client retries what is throttled; nothing is raised."""

    def post(connection: str) -> Fate:
        try:
            client.post_to_connection(ConnectionId=connection, Data=message)
        except client.exceptions.GoneException:
            return Fate.GONE
        except FAILURES:
            return Fate.MISSED
        return Fate.SENT

    each = list(connections)
    with ThreadPoolExecutor(POSTS_AT_ONCE) as pool:
        return dict(zip(each, pool.map(post, each), strict=True))


def told(fates: Iterable[Fate]) -> dict[str, int]:
    """How many had which fate."""
    counted = Counter(fates)
    return {fate: counted[fate] for fate in Fate}
