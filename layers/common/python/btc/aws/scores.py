"""Live scores in DynamoDB: outcomes beside their forecasts, and the sums they come to by hour.

Whatever is written here is computed anew from what the tables hold of a whole hour, so that scoring twice, late, or
after a correction leaves what scoring once would have. Of an hour that is over, a mark tells by which prices it was
scored: while these are the same, it costs no more than to read its bars.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from btc import drifts, scores, times
from btc.aws.forecasts import ForecastTable
from btc.aws.tables import BarTable, Item
from btc.bars import Bar
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
    """One item a market, horizon and UTC day, with an attribute for each hour: the sums by model version.

    The item of a market and day without a horizon holds the hours' marks.
    """

    name: str
    client: "DynamoDBClient"

    def put(self, market: Market, horizon: int, hour: int, sums: dict[str, Sums], retention_days: int) -> None:
        """Write the sums of the hour that starts at `hour` (µs) over what was there."""
        told = {hour: msgspec.json.encode(sums).decode()}
        self._write(_series(market, horizon), told, retention_days)

    def marks(self, market: Market, day: int) -> dict[int, str]:
        """By hour (µs of its start), by which prices the hours of this UTC day were scored."""
        key = {"series": {"S": str(market)}, "day": {"S": date(day)}}
        item = self.client.get_item(TableName=self.name, Key=key, ConsistentRead=True).get("Item", {})
        return {day + row * HOUR: item[name]["S"] for row, name in enumerate(_HOURS) if name in item}

    def mark(self, market: Market, marks: Mapping[int, str], retention_days: int) -> None:
        """Keep the marks of these hours of one day beside those of its others."""
        self._write(str(market), marks, retention_days)

    def forget_marks(self, market: Market, day: int) -> None:
        """Have the hours of this UTC day scored again when they come round: their forecasts are others than then."""
        self.client.delete_item(TableName=self.name, Key={"series": {"S": str(market)}, "day": {"S": date(day)}})

    def _write(self, series: str, hours: Mapping[int, str], retention_days: int) -> None:
        day = day_of(min(hours))
        rows = {_HOURS[(hour - day) // HOUR]: {"S": text} for hour, text in hours.items()}
        expires = {"N": str((day + retention_days * DAY) // times.SECOND)}
        self.client.update_item(
            TableName=self.name,
            Key={"series": {"S": series}, "day": {"S": date(day)}},
            UpdateExpression=f"SET {', '.join(f'{name} = :{name}' for name in rows)}, expires = :expires",
            ExpressionAttributeValues={**{f":{name}": text for name, text in rows.items()}, ":expires": expires},
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
        return _hours(item for page in pages for item in page["Items"])

    def recent(self, market: Market, now: int) -> dict[int, Hours]:
        """Those of today and yesterday by horizon, in one request."""
        days = [date(day_of(now) - back * DAY) for back in (1, 0)]
        keys = [{"series": {"S": _series(market, horizon)}, "day": {"S": day}} for horizon in HORIZONS for day in days]
        told = self.client.batch_get_item(RequestItems={self.name: {"Keys": keys}})
        if told["UnprocessedKeys"]:  # throttled: queries are tried again, with time between
            return {horizon: self.between(market, horizon, now - DAY, now) for horizon in HORIZONS}
        items = told["Responses"][self.name]
        return {
            horizon: _hours(item for item in items if item["series"]["S"] == _series(market, horizon))
            for horizon in HORIZONS
        }


class Tables(NamedTuple):
    """Where what happened lies, what was said of it, and what that was worth."""

    bars: BarTable
    forecasts: ForecastTable
    scores: ScoreTable


def score_hours(tables: Tables, market: Market, hours: Sequence[int], now: int, retention_days: int) -> list[int]:
    """Score those of these hours (µs of their start, in order) whose minutes tell other prices than the last time.

    Returns the target time of each outcome that changed. An hour keeps its mark once nothing more can be forecast for
    it. One may run at a time: the last to write must have read the newest bars.
    """
    changed: list[int] = []
    for day, part in groupby(hours, key=day_of):
        rows = list(part)
        bars = tables.bars.between(market, rows[0] - MINUTE, rows[-1] + HOUR - MINUTE)
        minutes = {hour: list(each) for hour, each in groupby(bars, key=lambda bar: bar.end - bar.end % HOUR)}
        kept, new = tables.scores.marks(market, day), {}
        for hour in rows:
            mark = scores.mark(minutes.get(hour, ()))
            if mark != kept.get(hour):
                changed += score(tables, market, hour, minutes.get(hour, ()), retention_days)
                if now >= hour + HOUR + scores.SETTLED:
                    new[hour] = mark
        if new:
            tables.scores.mark(market, new, retention_days)
    return changed


def score(tables: Tables, market: Market, hour: int, minutes: Iterable[Bar], retention_days: int) -> list[int]:
    """Settle every forecast for the hour that starts at `hour` (µs) by the minutes that end in it, and sum it anew.

    Returns the target time of each outcome that changed.
    """
    known, changed = list(minutes), []
    for horizon in HORIZONS:
        before = tables.forecasts.between(market, horizon, hour, hour + HOUR)
        after = scores.settled(before, known)
        for then, now in zip(before, after, strict=True):
            # One that has expired meanwhile is not brought back.
            if now.outcome and now.outcome != then.outcome and tables.forecasts.settle(now.forecast, now.outcome):
                changed.append(now.forecast.target_time)
        if sums := scores.sums(after):
            tables.scores.put(market, horizon, hour, sums, retention_days)
    return changed


def week(table: ScoreTable, market: Market, now: int, version: str | None) -> dict[int, Live]:
    """How one model does, or all without a version, by horizon; a horizon without a scored forecast has none."""
    start = scores.since(now, drifts.DAYS)
    parts = {horizon: scores.of_version(table.between(market, horizon, start, now), version) for horizon in HORIZONS}
    return {horizon: live for horizon, hours in parts.items() if (live := drifts.live(hours))}


def _hours(items: Iterable[Item]) -> dict[int, dict[str, Sums]]:
    """What is in the items of one series."""
    found: dict[int, dict[str, Sums]] = {}
    for item in items:
        day = parse_iso(f"{item['day']['S']}T00:00:00Z")
        found |= {day + row * HOUR: _SUMS.decode(item[name]["S"]) for row, name in enumerate(_HOURS) if name in item}
    return found


def _series(market: Market, horizon: int) -> str:
    return f"{market}:{horizon}"
