"""A live market's tables in moto, as they are at noon."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from btc import bars, baselines, forecasts, scores
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.aws.scores import ScoreTable
from btc.aws.state import StateTable
from btc.aws.tables import bar_item
from btc.bars import Bar
from btc.forecasts import HORIZONS, LEVELS
from btc.scores import Duel, Sums
from btc.tape import Watermark
from btc.times import HOUR, MINUTE, SECOND, iso
from btc.trades import Trade, Trades
from btc.units import UNIT
from tests.unit.market import BTC, NOON

FIRST: Final = 90_000_000
TRADES: Final = 6 * 60 * 28
"""Six a minute: of the longest look-back, and of what lies before it."""
HELD: Final = 120
"""Minutes of forecasts."""
VERSION: Final = "2025-11-01-b77d64b6"


def live_market() -> list[Bar]:
    """The tables as they are at noon: bars of the last 28 hours, forecasts of the last two hours, a week of scores."""
    tape = [
        Trade(BTC, FIRST + row, NOON + (row - TRADES) * 10 * SECOND, price(row // 6), 12_345_678, row % 2 == 0)
        for row in range(TRADES)
    ]
    mark = Watermark(BTC, NOON, tape[-1].trade_id)
    made = bars.prove(bars.merge({}, Trades.of(BTC, tape)), [mark])
    items = [{**bar_item(bar), "version": {"N": "12"}, "expires": {"N": "1767960000"}} for bar in made.values()]
    write("bars", items)
    state = StateTable("state", clients.dynamodb())
    state.advance(mark, 0)
    state.settle(mark)
    said_and_scored()
    return list(made.values())


def said_and_scored() -> None:
    held: dict[Any, dict[str, Any]] = {}
    table = ForecastTable("forecasts", Kept(held, "series", "target_time"))  # type: ignore[arg-type]
    for minute in range(-HELD, 0):
        for each in said(NOON + minute * MINUTE):
            table.add(each, 60)
            if each.target_time < NOON:
                table.settle(each, scores.outcome(each, price(minute) / UNIT))
    write("forecasts", held.values())
    summed: dict[Any, dict[str, Any]] = {}
    duels = {name: Duel(60, 123_456_789, 133_456_789) for name in RIVALS}
    sums = Sums(60, NOON, 123_456_789, duels, (3,) * 20, 54, 30, 58, 29)
    for horizon in HORIZONS:
        for hour in range(1, 7 * 24):
            target = ScoreTable("scores", Kept(summed, "series", "day"))  # type: ignore[arg-type]
            target.put(BTC, horizon, NOON - hour * HOUR, {VERSION: sums}, 60)
    write("scores", summed.values())


class Kept:
    """Takes what the stores write, so that it can be written many at a time."""

    def __init__(self, items: dict[Any, dict[str, Any]], *keys: str) -> None:
        self.items, self.keys = items, keys

    def put_item(self, *, Item: dict[str, Any], **_: Any) -> None:  # noqa: N803 - the client's
        self.items[tuple(Item[key]["S"] for key in self.keys)] = Item

    def update_item(self, **told: Any) -> None:
        values, names = told["ExpressionAttributeValues"], told.get("ExpressionAttributeNames", {})
        set_to = dict(part.split(" = ") for part in told["UpdateExpression"].removeprefix("SET ").split(", "))
        item = self.items.setdefault(tuple(told["Key"][key]["S"] for key in self.keys), dict(told["Key"]))
        item.update({names.get(name, name): values[value] for name, value in set_to.items()})


def write(table: str, items: Iterable[dict[str, Any]]) -> None:
    waiting = list(items)
    for first in range(0, len(waiting), 25):
        puts = [{"PutRequest": {"Item": item}} for item in waiting[first : first + 25]]
        clients.dynamodb().batch_write_item(RequestItems={table: puts})


RIVALS: Final = {
    name: {horizon: [0.0021234567 * (level - 0.5) for level in LEVELS] for horizon in HORIZONS}
    for name in baselines.VOLATILITIES
}


def price(row: int) -> int:
    return 10_543_360_000_000 + 1_230_000 * (row * 7919 % 1000)


def said(as_of: int) -> list[forecasts.Forecast]:
    quantiles = RIVALS[baselines.SERVED]
    return forecasts.of(
        BTC, as_of, price(as_of) / UNIT, quantiles, model_version=VERSION, baseline=False, baselines=RIVALS
    )


def store(bar: Bar) -> None:
    item = bar_item(bar) | {"version": {"N": "13"}, "expires": {"N": "1767960000"}}
    clients.dynamodb().put_item(TableName="bars", Item=item)


def key_of(forecast: forecasts.Forecast) -> dict[str, Any]:
    return {"series": {"S": f"{BTC}:{forecast.horizon}"}, "target_time": {"S": iso(forecast.target_time)}}


def forget(made: Sequence[forecasts.Forecast]) -> None:
    for each in made:
        clients.dynamodb().delete_item(TableName="forecasts", Key=key_of(each))


def unsettle(forecast: forecasts.Forecast) -> None:
    """As it was before its target came."""
    forget([forecast])
    ForecastTable("forecasts", clients.dynamodb()).add(forecast, 60)
