"""What a table has lost, put back: bars out of the lake, and any item out of a copy of its table.

Both may run while the live market writes, may be killed, and may be repeated: what is there already is left as it is.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from btc import lake, parquet
from btc.aws import folding
from btc.aws.lake import Lake
from btc.aws.state import StateTable
from btc.aws.tables import BarTable, put_if
from btc.times import DAY
from btc.trades import Market

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = Mapping[str, Any]

_AT_ONCE: Final = 100
"""Keys that one BatchGetItem takes."""


class Restored(NamedTuple):
    """What became of a day's bars."""

    kept: int
    """Bars of the lake whose minute the table had lost."""
    trades: int
    """On the day's tape."""
    merged: int
    """Bars that the tape changed or made."""


def restore_bars(  # noqa: PLR0913, PLR0917 - a day, where it is read, where it goes
    source: Lake, table: BarTable, state: StateTable, market: Market, day: int, expires: int, *, tape_alone: bool
) -> Restored:
    """Put the day's bars back into the table: days in their order, so that each joins the one before.

    First come the lake's bars where the table has none: klines and what a watermark proved, no trade can tell. Then the
    tape's trades are merged by the live path, which adds what the lake's bars did not hold yet. With `tape_alone` the
    lake's bars are not believed, and closing is left to the watermark that is kept, or to the feed's next one.
    """
    objects = () if tape_alone else source.objects(lake.folder("bars", market, day))
    bars = [bar for content in objects for bar in parquet.bars_of(content, market)]
    there = {bar.start for bar in table.between(market, day, day + DAY)}
    kept = table.replace([bar for bar in bars if bar.start not in there], {}, expires)
    trades = parquet.trades_of(source.objects(lake.folder("tape", market, day)), market)
    merged = folding.fold(table, state, [trades], [], expires) if len(trades) else []
    return Restored(len(kept), len(trades), len(merged))


class PutBack(NamedTuple):
    """What became of a copy's items."""

    added: int
    """The table had lost them."""
    replaced: int
    """The table held something else."""
    left: int
    """Equal, expired, still open when the copy was made, or, unless they are to be replaced, different."""


def put_back(client: "DynamoDBClient", copy: str, table: str, *, now: float, replace: bool) -> PutBack:
    """Put a copy's items back into the table they are of, but for those that have expired by `now` (s since 1970).

    With `replace` over those that differ too, and a bar over the version that is there, so that whoever is changing it
    reads it again. A bar that was open then has grown since: the tape makes it again. Raises ClientError.
    """
    keys = [each["AttributeName"] for each in client.describe_table(TableName=table)["Table"]["KeySchema"]]
    added = replaced = count = 0
    for page in client.get_paginator("scan").paginate(TableName=copy, ConsistentRead=True):
        count += len(page["Items"])
        wanted = [item for item in page["Items"] if not _past(item, now)]
        for first in range(0, len(wanted), _AT_ONCE):
            part = wanted[first : first + _AT_ONCE]
            there = _there(client, table, keys, part)
            for item in part:
                held = there.get(_key(item, keys))
                if held is None:
                    added += put_if(client, table, item, "attribute_not_exists(#key)", names={"#key": keys[0]})
                elif replace and _content(held) != _content(item):
                    replaced += _put_over(client, table, item, held)
    return PutBack(added, replaced, count - added - replaced)


def _past(item: Item, now: float) -> bool:
    """Whether its time is over, or its minute was not yet: neither is to come back."""
    expired = "expires" in item and float(item["expires"]["N"]) < now
    return expired or item.get("closed") == {"BOOL": False}


def _key(item: Item, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(item[name]["S"] for name in keys)


def _content(item: Item) -> dict[str, Any]:
    """What it says, whichever write it came by."""
    return {name: value for name, value in item.items() if name not in ("version", "expires")}


def _there(
    client: "DynamoDBClient", table: str, keys: Sequence[str], items: Sequence[Item]
) -> dict[tuple[str, ...], Item]:
    """What the table holds under the keys of these items."""
    asked: Any = {table: {"Keys": [{name: item[name] for name in keys} for item in items], "ConsistentRead": True}}
    found: dict[tuple[str, ...], Item] = {}
    while asked:
        answer = client.batch_get_item(RequestItems=asked)
        found |= {_key(item, keys): item for item in answer["Responses"].get(table, [])}
        asked = answer.get("UnprocessedKeys")
    return found


def _put_over(client: "DynamoDBClient", table: str, item: Item, held: Item) -> bool:
    if "version" not in held:
        client.put_item(TableName=table, Item=item)
        return True
    newer = {**item, "version": {"N": str(int(held["version"]["N"]) + 1)}}
    return put_if(client, table, newer, "version = :version", {":version": held["version"]})
