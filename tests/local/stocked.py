"""The API of the template as the local stack serves it, over tables that hold three hours of everything it tells of."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from btc import forecasts, scores
from btc.aws import folding
from btc.aws.forecasts import ForecastTable
from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.champions import Champion
from btc.forecasts import HORIZONS, LEVELS, Scored
from btc.settings import Api
from btc.tape import Watermark
from btc.times import DAY, FOREVER, HOUR, MINUTE, date, iso, minute_of
from btc.trades import Market, Trade, by_market
from local.stack import Served, Stack
from local.template import synthesised

MARKET = Market("kraken", "BTC-USD")
MINUTES = 180
QUANTILES = {horizon: [0.001 * (level - 0.5) for level in LEVELS] for horizon in HORIZONS}
RIVALS = {"naive": QUANTILES, "ewma": QUANTILES, "har": QUANTILES}


@contextmanager
def stocked(only: Sequence[str] = ("api",)) -> Iterator[tuple[Stack, Served]]:
    """The stack with these functions running, the API among them, and where that answers."""
    with Stack() as stack:
        stack.start_emulator()
        stack.deploy(synthesised())
        stack.start_functions(only=only)
        stock(stack.emulator.client("dynamodb"), Api.from_env(stack.functions["api"].spec.environment))
        yield stack, stack.start_api()


def stock(client: Any, tables: Api) -> int:
    """Bars of the last three hours, an hour of forecasts with outcomes, a month of scores, and a champion.

    Returns the end of the last bar (µs).
    """
    until = minute_of(time.time_ns() // 1000)
    trades = [
        Trade(MARKET, row, until - (MINUTES - row) * MINUTE, 10_543_360_000_000 + row * 10**8, 150, row % 2 == 0)
        for row in range(MINUTES)
    ]
    bars, state = BarTable(tables.bars_table, client), StateTable(tables.state_table, client)
    mark = Watermark(MARKET, until, MINUTES - 1)
    folding.fold(bars, state, list(by_market(trades)), [mark], FOREVER)
    champion = Champion("2026-11-20-b77d64b6", "group/1", "s3://models/1", iso(until - DAY), iso(until - HOUR))
    state.promote(champion, {"metrics": {"5": {"rows": 1000, "skill": {"naive": 0.1}}}, "rows": {"fit": 3}})
    made_of = {"model_version": champion.model_version, "baseline": False, "baselines": RIVALS}
    table = ForecastTable(tables.forecasts_table, client)
    scored = []
    for back in range(60, -1, -1):
        for made in forecasts.of(MARKET, until - back * MINUTE, 105_433.6, QUANTILES, **made_of):
            table.add(made, 30)
            if made.target_time <= until:
                scored.append(Scored(made, scores.outcome(made, 105_440.0)))
                table.settle(made, scored[-1].outcome or scores.outcome(made, 0))
    for horizon in HORIZONS:
        sums = scores.sums(each for each in scored if each.forecast.horizon == horizon)
        hours = {f"h{hour:02}": {"S": msgspec.json.encode(sums).decode()} for hour in range(24)}
        for day in range(31):
            key = {"series": {"S": f"{MARKET}:{horizon}"}, "day": {"S": date(until - day * DAY)}}
            client.put_item(TableName=tables.scores_table, Item={**key, **hours})
    return until
