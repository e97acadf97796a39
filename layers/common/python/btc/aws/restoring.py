"""What a table has lost, put back: bars out of the lake, and any item out of a copy of its table.

Both may run while the live market writes, may be killed, and may be repeated: what is there already is left as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from btc import lake, parquet, ranges
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
    """The table held something older, or of the same trades another bar."""
    left: int
    """Equal, expired, still open when the copy was made, older than what is there, or not to be replaced."""
    undecided: tuple[str, ...] = ()
    """The keys of those of which nothing tells whether they or what is there is newer: these are left, too."""


def put_back(  # noqa: PLR0913 - what, where to, when, how, and who hears of it
    client: "DynamoDBClient",
    copy: str,
    table: str,
    *,
    now: float,
    replace: bool,
    told: Callable[[Item], object] = lambda _: None,
) -> PutBack:
    """Put a copy's items back into the table they are of, but for those that have expired by `now` (s since 1970).

    With `replace` over those that differ and are older by what they say of themselves (see `newer`), and a bar over the
    version that is there, so that whoever is changing it reads it again. A bar that was open then has grown since: the
    tape makes it again. `told` is given each item that was written. Raises ClientError.
    """
    keys = [each["AttributeName"] for each in client.describe_table(TableName=table)["Table"]["KeySchema"]]
    added = replaced = count = 0
    undecided: list[str] = []
    for page in client.get_paginator("scan").paginate(TableName=copy, ConsistentRead=True):
        count += len(page["Items"])
        wanted = [item for item in page["Items"] if not _past(item, now)]
        for first in range(0, len(wanted), _AT_ONCE):
            part = wanted[first : first + _AT_ONCE]
            there = _there(client, table, keys, part)
            for item in part:
                held = there.get(_key(item, keys))
                written = False
                if held is None:
                    written = put_if(client, table, item, "attribute_not_exists(#key)", names={"#key": keys[0]})
                    added += written
                elif replace and _content(held) != _content(item):
                    is_newer = newer(item, held)
                    if is_newer is None:
                        undecided.append(" ".join(_key(item, keys)))
                    written = is_newer is True and _put_over(client, table, item, held)
                    replaced += written
                if written:
                    told(item)
    return PutBack(added, replaced, count - added - replaced - len(undecided), tuple(undecided))


def newer(item: Item, held: Item) -> bool | None:
    """Whether `item` says more, or of a later time, than `held`, which differs; None where neither tells.

    A bar that holds more trades is newer, and one that is proven; of the same trades there is one bar, so that what
    differs is wrong and gives way. A forecast is never rewritten, and has its outcome later. Scores are sums of ever
    more forecasts. Of a table's state each item has its time.
    """
    if "ranges" in item:
        return _newer_bar(item, held)
    if "target_time" in item:
        said = {name: value for name, value in _content(item).items() if name in _content(held)}
        both = all(held[name] == value for name, value in said.items())
        return ("realised_price" in item) if both and ("realised_price" in item) != ("realised_price" in held) else None
    if "day" in item:
        return _by({name: _scored(value) for name, value in _hours(item)}, {n: _scored(v) for n, v in _hours(held)})
    return next((_later(item[name], held[name]) for name in _TIMES if name in item and name in held), None)


_TIMES: Final = ("alive_until", "promoted_at", "settled_until", "started_at", "done_at")
"""Attributes of the state's items that tell when they were written; a fill's cursor has none."""


def _newer_bar(item: Item, held: Item) -> bool | None:
    mine, theirs = (ranges.read(each["ranges"]["S"]) for each in (item, held))
    if mine != theirs:
        both = ranges.union(mine, theirs)
        return True if both == mine else False if both == theirs else None
    if item["complete"] != held["complete"]:
        return bool(item["complete"]["BOOL"])
    # Of the same trades, none among them where ids prove it; a kline proves nothing, and a later one may be righter.
    return True if mine or item["complete"]["BOOL"] else None


def _later(mine: Any, theirs: Any) -> bool | None:
    kind = "N" if "N" in mine else "S"
    one, other = (int(each["N"]) if kind == "N" else each["S"] for each in (mine, theirs))
    return None if one == other else bool(one > other)


def _hours(item: Item) -> list[tuple[str, str]]:
    return [(name, value["S"]) for name, value in item.items() if name.startswith("h") and "S" in value]


def _scored(text: str) -> int:
    """How many forecasts an hour's sums are of."""
    try:
        by_version = msgspec.json.decode(text)
    except msgspec.DecodeError:  # a mark, which tells no order
        return 0
    return sum(sums["forecasts"] for sums in by_version.values()) if isinstance(by_version, dict) else 0


def _by(mine: Mapping[str, int], theirs: Mapping[str, int]) -> bool | None:
    """Whether mine has all that theirs has and more; False the other way round; None for anything else."""
    more = any(count > theirs.get(name, 0) for name, count in mine.items())
    less = any(count > mine.get(name, 0) for name, count in theirs.items())
    return None if more == less else more


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
