"""Live scores in DynamoDB: outcomes beside their forecasts, and the sums they come to by hour.

Whatever is written here is computed anew from what the tables hold of a whole hour, so that scoring twice, late, or
after a correction leaves what scoring once would have.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from btc import drifts, scores, times
from btc.aws.forecasts import ForecastTable
from btc.aws.tables import BarTable
from btc.drifts import Live
from btc.forecasts import HORIZONS
from btc.scores import Hours, Sums
from btc.times import DAY, HOUR, MINUTE, date, day_of, parse_iso
from btc.trades import Market

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SUMS: Final = msgspec.json.Decoder(dict[str, Sums])
_HOURS: Final = tuple(f"h{hour:02}" for hour in range(24))


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """One item a market, horizon and UTC day, with an attribute for each hour: the sums by model version."""

    name: str
    client: "DynamoDBClient"

    def put(self, market: Market, horizon: int, hour: int, sums: dict[str, Sums], retention_days: int) -> None:
        """Write the sums of the hour that starts at `hour` (µs) over what was there."""
        day = day_of(hour)
        self.client.update_item(
            TableName=self.name,
            Key={"series": {"S": _series(market, horizon)}, "day": {"S": date(day)}},
            UpdateExpression="SET #hour = :sums, expires = :expires",
            ExpressionAttributeNames={"#hour": _HOURS[(hour - day) // HOUR]},
            ExpressionAttributeValues={
                ":sums": {"S": msgspec.json.encode(sums).decode()},
                ":expires": {"N": str((day + retention_days * DAY) // times.SECOND)},
            },
        )

    def between(self, market: Market, horizon: int, start: int, end: int) -> Hours:
        """The sums by hour (µs of its start) and model version, of the UTC days from `start`'s to `end`'s."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="series = :series AND #day BETWEEN :first AND :last",
            ExpressionAttributeNames={"#day": "day"},
            ExpressionAttributeValues={
                ":series": {"S": _series(market, horizon)},
                ":first": {"S": date(start)},
                ":last": {"S": date(end)},
            },
        )
        return {
            parse_iso(f"{item['day']['S']}T00:00:00Z") + row * HOUR: _SUMS.decode(item[name]["S"])
            for page in pages
            for item in page["Items"]
            for row, name in enumerate(_HOURS)
            if name in item
        }


class Tables(NamedTuple):
    """Where what happened lies, what was said of it, and what that was worth."""

    bars: BarTable
    forecasts: ForecastTable
    scores: ScoreTable


def score(tables: Tables, market: Market, hour: int, retention_days: int) -> int:
    """Settle every forecast for the hour that starts at `hour` (µs) and sum that hour anew; how many outcomes changed.

    Two at once would not count anything twice, but the last to write must have read the newest bars: the order of the
    bars' stream sees to that.
    """
    held = {horizon: tables.forecasts.between(market, horizon, hour, hour + HOUR) for horizon in HORIZONS}
    if not any(held.values()):
        return 0  # history: nothing was forecast then
    minutes = tables.bars.between(market, hour - MINUTE, hour + HOUR - MINUTE)
    changed = 0
    for horizon, before in held.items():
        after = scores.settled(before, minutes)
        for then, now in zip(before, after, strict=True):
            if now.outcome and now.outcome != then.outcome:
                changed += tables.forecasts.settle(now.forecast, now.outcome)
        if sums := scores.sums(after):
            tables.scores.put(market, horizon, hour, sums, retention_days)
    return changed


def week(table: ScoreTable, market: Market, now: int, version: str | None) -> dict[int, Live]:
    """How one model does, or all without a version, by horizon; a horizon without a scored forecast has none."""
    start = scores.since(now, drifts.DAYS)
    parts = {horizon: scores.of_version(table.between(market, horizon, start, now), version) for horizon in HORIZONS}
    return {horizon: live for horizon, hours in parts.items() if (live := drifts.live(hours))}


def _series(market: Market, horizon: int) -> str:
    return f"{market}:{horizon}"
