"""Who listens to which market's forecasts, and the tickets that let them in, in DynamoDB.

A browser cannot send a header with a WebSocket's handshake, and a key in an address would lie in logs. So a key buys a
ticket over HTTPS, where its usage plan counts it, and the ticket opens one connection within seconds: by the time that
anyone could read it in an address, it is spent.
"""

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from btc.aws.tables import Item, where_met
from btc.requests import TICKET
from btc.times import HOUR, SECOND
from btc.trades import Market

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TICKET_S: Final = 30
"""How long a ticket may wait to be used."""
_BYTES: Final = 24
_TICKET: Final = re.compile(r"[\w-]{32}", re.ASCII)
LONGEST: Final = 2 * HOUR
"""After so long (µs) API Gateway ends a connection, whatever it is used for."""
HANDSHAKE: Final = 30 * SECOND
"""The longest (µs) that API Gateway waits for what answers it."""


@dataclass(frozen=True, slots=True)
class ListenerTable:
    """One item a connection, by market, and one a ticket; they expire by themselves if nobody takes them away."""

    name: str
    client: "DynamoDBClient"

    def issue(self, market: Market, now: int) -> str:
        """A ticket that opens one connection."""
        ticket = secrets.token_urlsafe(_BYTES)
        item = _item(TICKET, ticket, now + TICKET_S * SECOND)
        self.client.put_item(TableName=self.name, Item={**item, "market": {"S": str(market)}})
        return ticket

    def redeem(self, ticket: str, now: int) -> Market | None:
        """The market that the ticket is for, which then is spent; None for one that is unknown, spent or too old."""
        if not _TICKET.fullmatch(ticket):
            return None  # what no key can be: the table would refuse it as an error
        taken = self._take(_key(TICKET, ticket), "expires > :time", now)
        return Market.parse(taken["market"]["S"]) if taken else None

    def add(self, market: Market, connection: str, now: int) -> None:
        self.client.put_item(TableName=self.name, Item=_item(str(market), connection, now + LONGEST))

    def remove(self, market: Market, connection: str) -> None:
        self.client.delete_item(TableName=self.name, Key=_key(str(market), connection))

    def forget(self, market: Market, connection: str, now: int) -> None:
        """Remove one that is said to be gone, unless it may be yet to come: its handshake ends after `add`."""
        self._take(_key(str(market), connection), "expires < :time", now + LONGEST - HANDSHAKE)

    def of(self, market: Market) -> list[str]:
        """The connections of those who listen to the market."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="audience = :market",
            ExpressionAttributeValues={":market": {"S": str(market)}},
            ProjectionExpression="id",
        )
        return [item["id"]["S"] for page in pages for item in page["Items"]]

    def _take(self, key: Item, condition: str, time: int) -> Item | None:
        """The item, deleted, where the condition on its expiry holds."""
        taken = where_met(
            lambda: self.client.delete_item(
                TableName=self.name,
                Key=key,
                ConditionExpression=condition,
                ExpressionAttributeValues={":time": {"N": str(time // SECOND)}},
                ReturnValues="ALL_OLD",
            )
        )
        return taken["Attributes"] if taken else None


def _key(audience: str, identity: str) -> Item:
    return {"audience": {"S": audience}, "id": {"S": identity}}


def _item(audience: str, identity: str, expires: int) -> dict[str, Any]:
    return {**_key(audience, identity), "expires": {"N": str(expires // SECOND)}}
