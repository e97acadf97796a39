"""The online store of bars in DynamoDB."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from botocore.exceptions import ClientError

from btc import ranges, times
from btc.bars import Bar, Source
from btc.formats import UnknownFormatError
from btc.times import MINUTE, iso, parse_iso
from btc.trades import Market

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = Mapping[str, Any]

WRITERS: Final = 4
"""Writes under way at once: a batch of history is thousands of bars, and each write is mostly waiting."""

_PAGE: Final = 1000
_NEAR: Final = 3
"""Minutes within which a market that is alive has traded."""
_NUMBERS: Final = ("open", "high", "low", "close", "volume")
_TOLD: Final = ("turnover", "buy_volume", "trade_count", "prior_id", "next_id")
"""What a bar may not know: then its item has no such attribute."""


class Stored(NamedTuple):
    """A bar as the table holds it; version 0 stands for one it does not hold."""

    bar: Bar
    version: int


def bar_item(bar: Bar) -> dict[str, Any]:
    """The bar's attributes, all but the version and the expiry."""
    item: dict[str, Any] = {"market": {"S": str(bar.market)}, "start": {"S": iso(bar.start)}}
    item |= {name: {"N": str(getattr(bar, name))} for name in _NUMBERS}
    item |= {"closed": {"BOOL": bar.closed}, "complete": {"BOOL": bar.complete}}
    item |= {"ranges": {"S": ranges.spell(bar.ranges)}, "source": {"S": bar.source}}
    return item | {name: {"N": str(value)} for name in _TOLD if (value := getattr(bar, name)) is not None}


def bar_of(item: Item) -> Bar:
    """The bar an item holds: what `bar_item` was given, or an earlier one. Raises UnknownFormatError."""
    try:
        told: dict[str, Any] = {name: int(item[name]["N"]) if name in item else None for name in _TOLD}
        return Bar(
            market=Market.parse(item["market"]["S"]),
            start=parse_iso(item["start"]["S"]),
            **{name: int(item[name]["N"]) for name in _NUMBERS},
            **told,
            ranges=ranges.read(item["ranges"]["S"]),
            closed=item["closed"]["BOOL"],
            source=Source(item["source"]["S"]) if "source" in item else Source.TRADES,
        )
    except (KeyError, ValueError) as error:
        raise UnknownFormatError(f"the bar {item.get('market')} {item.get('start')}", error) from error


Answer = TypeVar("Answer")


def where_met(write: Callable[[], Answer]) -> Answer | None:
    """What a conditional write answers; None where its condition does not hold, and nothing was written."""
    try:
        return write()
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return None
        raise


def put_if(  # noqa: PLR0913, PLR0917 - a conditional write has that many sides
    client: "DynamoDBClient",
    table: str,
    item: Item,
    condition: str,
    values: Item | None = None,
    names: Mapping[str, str] | None = None,
) -> bool:
    """Put the item where the condition holds; False where it does not, and nothing was written."""
    bound: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
    bound |= {"ExpressionAttributeNames": names} if names else {}
    put = where_met(lambda: client.put_item(TableName=table, Item=item, ConditionExpression=condition, **bound))
    return put is not None


def update_if(client: "DynamoDBClient", table: str, key: Item, values: Item, condition: str) -> bool:
    """Set these attributes of the item where the condition holds; False where it does not, and nothing was written."""
    updated = where_met(
        lambda: client.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
            ExpressionAttributeNames={f"#{name}": name for name in values},
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
            ConditionExpression=condition,
        )
    )
    return updated is not None


def changed_bars(records: Iterable[Mapping[str, Any]]) -> list[Bar]:
    """The bars that the records of the table's stream left behind, in their order; expired ones left none."""
    return [bar_of(record["dynamodb"]["NewImage"]) for record in records if "NewImage" in record["dynamodb"]]


@dataclass(frozen=True, slots=True)
class BarTable:
    """The table `bars`: one item a minute, written only over the version that was read."""

    name: str
    client: "DynamoDBClient"

    def between(self, market: Market, start: int, end: int) -> list[Bar]:
        """The stored bars whose start lies in [start, end), oldest first."""
        return [stored.bar for stored in self._walk(market, "BETWEEN", start, end - MINUTE)]

    def onwards(self, market: Market, start: int) -> list[Bar]:
        """The bars from `start` on, oldest first, behind the nearest before it with trades, if their ids are known."""
        before = next((stored.bar for stored in self._walk(market, "<", start) if stored.bar.traded), None)
        return [*([before] if before and before.ranges else []), *self.between(market, start, times.FOREVER)]

    def earliest(self, market: Market, since: int) -> Bar | None:
        """The oldest bar from `since` (µs) on that holds trades."""
        return next((stored.bar for stored in self._walk(market, ">=", since, limit=2) if stored.bar.ranges), None)

    def around(self, market: Market, first: int, last: int) -> dict[int, Stored]:
        """The bars by start from the nearest with trades before minute `first` to the nearest after minute `last`.

        A kline with trades ends the search too: nothing joins across trades that nobody has.
        """
        # A live market traded a minute or two ago: one query tells both sides, and that is half of what looking costs.
        near = first - _NEAR * MINUTE
        found: dict[int, Stored] = {}
        for stored in self._walk(market, ">=", near, limit=min((last - near) // MINUTE + 3, _PAGE)):
            if stored.bar.traded and stored.bar.start < first:
                found.clear()
            found[stored.bar.start] = stored
            if stored.bar.traded and stored.bar.start > last:
                break
        if not any(entry.bar.traded for start, entry in found.items() if start < first):
            for stored in self._walk(market, "<", near):
                found[stored.bar.start] = stored
                if stored.bar.traded:
                    break
        return found

    def replace(self, changed: Sequence[Bar], over: Mapping[int, Stored], expires: int) -> list[Bar]:
        """Write each bar over what was read of its minute, if anything; those for which the table held just that.

        Items go at `expires` (µs). The live market's one or two bars wait for each other.
        """

        def put(bar: Bar) -> bool:
            return self._put(bar, over.get(bar.start), expires)

        if len(changed) <= WRITERS:
            written = [put(bar) for bar in changed]
        else:
            with ThreadPoolExecutor(WRITERS) as pool:
                written = list(pool.map(put, changed))
        return [bar for bar, done in zip(changed, written, strict=True) if done]

    def add_klines(self, klines: Sequence[Bar], expires: int) -> list[Bar]:
        """Put each of a market's klines where its minute has no bar, or another kline; returns those that were put.

        Never over trades: what comes in after the look is another version than the one that was seen.
        """
        stored: dict[int, Stored] = {}
        for day, part in groupby(sorted(klines, key=lambda bar: bar.start), key=lambda bar: times.day_of(bar.start)):
            market = next(part).market
            stored |= {entry.bar.start: entry for entry in self._walk(market, "BETWEEN", day, day + times.DAY - MINUTE)}
        seen = {start: entry.bar for start, entry in stored.items()}
        new = [bar for bar in klines if (old := seen.get(bar.start)) != bar and (not old or old.source is bar.source)]
        return self.replace(new, stored, expires)

    def _put(self, bar: Bar, over: Stored | None, expires: int) -> bool:
        """Whether the bar was written; False where the table no longer holds the version it was made from."""
        version = over.version if over else 0
        item = bar_item(bar) | {"version": {"N": str(version + 1)}, "expires": {"N": str(expires // times.SECOND)}}
        if over:
            return put_if(self.client, self.name, item, "version = :version", {":version": {"N": str(version)}})
        return put_if(self.client, self.name, item, "attribute_not_exists(version)")

    def _walk(self, market: Market, operator: str, *edges: int, limit: int | None = None) -> Iterator[Stored]:
        """Stored bars by start, strongly consistent; `<` walks back in time, all else forward."""
        low_high = {f":edge{row}": {"S": iso(edge)} for row, edge in enumerate(edges)}
        query: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": f"market = :market AND #start {operator} {' AND '.join(low_high)}",
            "ExpressionAttributeNames": {"#start": "start"},
            "ExpressionAttributeValues": {":market": {"S": str(market)}, **low_high},
            "ConsistentRead": True,
            "ScanIndexForward": operator != "<",
        }
        if operator == "<":
            query["Limit"] = 2
        elif limit:
            query["Limit"] = limit
        while True:
            page = self.client.query(**query)
            for item in page["Items"]:
                yield Stored(bar_of(item), int(item["version"]["N"]))
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
            # A long quiet stretch is walked in ever larger steps instead of two minutes at a time.
            if "Limit" in query:
                query["Limit"] = min(_PAGE, query["Limit"] * 4)
