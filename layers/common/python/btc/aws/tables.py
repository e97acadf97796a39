"""The online store of bars in DynamoDB."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from botocore.exceptions import ClientError

from btc import bars, times
from btc.bars import Bar
from btc.tape import Watermark
from btc.times import MINUTE, iso, minute_of, parse_iso
from btc.trades import Market, Trades

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = Mapping[str, Any]

PATIENCE: Final = 10
"""How often a write may meet another writer's before the batch is left to be delivered again."""

WRITERS: Final = 4
"""Writes under way at once: a batch of history is thousands of bars, and each write is mostly waiting."""

_PAGE: Final = 1000
_NUMBERS: Final = ("open", "high", "low", "close", "volume", "turnover", "buy_volume", "trade_count")


class ContendedError(RuntimeError):
    """Other writers kept changing the same bars; the batch should be delivered again."""


class Stored(NamedTuple):
    """A bar as the table holds it; version 0 stands for one it does not hold."""

    bar: Bar
    version: int


def bar_item(bar: Bar) -> dict[str, Any]:
    """The bar's attributes, all but the version and the expiry."""
    item: dict[str, Any] = {"market": {"S": str(bar.market)}, "start": {"S": iso(bar.start)}}
    item |= {name: {"N": str(getattr(bar, name))} for name in _NUMBERS}
    item |= {"closed": {"BOOL": bar.closed}, "complete": {"BOOL": bar.complete}}
    item["ranges"] = {"S": bars.spell(bar.ranges)}
    joins = {"prior_id": bar.prior_id, "next_id": bar.next_id}
    return item | {name: {"N": str(value)} for name, value in joins.items() if value is not None}


def bar_of(item: Item) -> Bar:
    """The bar an item holds: what `bar_item` was given."""
    return Bar(
        market=Market.parse(item["market"]["S"]),
        start=parse_iso(item["start"]["S"]),
        **{name: int(item[name]["N"]) for name in _NUMBERS},
        ranges=bars.read_ranges(item["ranges"]["S"]),
        prior_id=int(item["prior_id"]["N"]) if "prior_id" in item else None,
        next_id=int(item["next_id"]["N"]) if "next_id" in item else None,
        closed=item["closed"]["BOOL"],
    )


def put_if(
    client: "DynamoDBClient", table: str, item: Mapping[str, Any], condition: str, values: Item | None = None
) -> bool:
    """Put the item where the condition holds; False where it does not, and nothing was written."""
    bound: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
    try:
        client.put_item(TableName=table, Item=item, ConditionExpression=condition, **bound)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return False
        raise
    return True


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

    def latest(self, market: Market) -> Bar | None:
        """The newest bar that holds trades: its last id is the last trade the table knows."""
        return next((stored.bar for stored in self._walk(market, "<", times.FOREVER) if stored.bar.ranges), None)

    def around(self, market: Market, first: int, last: int) -> dict[int, Stored]:
        """The bars by start from the nearest with trades before minute `first` to the nearest after minute `last`."""
        found: dict[int, Stored] = {}
        for stored in self._walk(market, "<", first):
            found[stored.bar.start] = stored
            if stored.bar.ranges:
                break
        for stored in self._walk(market, ">=", first, limit=min((last - first) // MINUTE + 3, _PAGE)):
            found[stored.bar.start] = stored
            if stored.bar.ranges and stored.bar.start > last:
                break
        return found

    def fold(
        self, trades: Sequence[Trades], watermarks: Sequence[Watermark], alive: Watermark | None, retention_days: int
    ) -> list[Bar]:
        """Merge trades of one market into its bars, join, prove and close them; returns the bars that changed.

        `watermarks` are new ones; `alive` is the one known before them, up to which all bars are closed already.
        Safe to repeat and to race: each bar is written over the version read, and a conflict starts again from what the
        other writer left. Raises ContendedError where that never ends.
        """
        market = trades[0].market if trades else watermarks[0].market
        touched = [edge for part in trades for edge in (min(part.times), max(part.times))]
        if watermarks:
            # Every bar since the last watermark may close now, however long ago its trades came.
            touched += [alive.time if alive else 0, *(mark.time for mark in watermarks)]
        first, last = minute_of(min(touched)), minute_of(max(touched))
        for _ in range(PATIENCE):
            stored = self.around(market, first, last)
            known = {start: entry.bar for start, entry in stored.items()}
            proven = bars.prove(reduce(bars.merge, trades, known), [*watermarks, *([alive] if alive else [])])
            changed = [bar for start, bar in proven.items() if bar != known.get(start)]
            if self._write(changed, stored, retention_days):
                return changed
        raise ContendedError(f"{market}: other writers changed the same bars {PATIENCE} times in a row")

    def _write(self, changed: Sequence[Bar], stored: Mapping[int, Stored], retention_days: int) -> bool:
        """Whether every bar was written over what was read; the live market's one or two wait for each other."""

        def put(bar: Bar) -> bool:
            return self._put(bar, stored.get(bar.start), retention_days)

        if len(changed) <= WRITERS:
            return all(put(bar) for bar in changed)
        with ThreadPoolExecutor(WRITERS) as pool:
            return all(list(pool.map(put, changed)))

    def _put(self, bar: Bar, over: Stored | None, retention_days: int) -> bool:
        """Whether the bar was written; False where the table no longer holds the version it was made from."""
        version = over.version if over else 0
        item = bar_item(bar) | {
            "version": {"N": str(version + 1)},
            "expires": {"N": str((bar.end + retention_days * times.DAY) // times.SECOND)},
        }
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
