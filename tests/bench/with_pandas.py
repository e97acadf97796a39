"""aggregate_bars written with pandas: a data frame of each batch, resampled by minute; all else is as it is.

It leaves the same items in the table, and is kind to pandas: the frame is made of columns, and resampled once however
often the table is read. Only a batch that repeats a part of another's trades would count them twice.
"""

from typing import Any

import pandas as pd

from btc import bars
from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.ranges import union
from btc.tape import Batch
from btc.trades import Market, Trades


def aggregate(batch: Batch, market: Market, expires: int, client: Any) -> list[Bar]:
    """The bars that changed."""
    table, state = BarTable("bars", client), StateTable("state", client)
    made = resampled(market, batch.trades[market])
    changed: dict[int, Bar] = {}
    while True:
        alive = state.watermark(market)
        stored = table.around(market, min(made), max(made))
        known = {start: entry.bar for start, entry in stored.items()}
        merged = known | {start: merge(known.get(start), bar) for start, bar in made.items()}
        proven = bars.prove(merged, [alive] if alive else [])
        new = [bar for start, bar in proven.items() if bar != known.get(start)]
        if not new:
            return list(changed.values())
        changed |= {bar.start: bar for bar in table.replace(new, stored, expires)}


def merge(known: Bar | None, bar: Bar) -> Bar:
    if known is None or known.ranges == union(known.ranges, bar.ranges):
        return known or bar
    return bars.add(known, bar)


def resampled(market: Market, parts: list[Trades]) -> dict[int, Bar]:
    """The bars of these trades alone, by start."""
    frame = pd.concat(
        pd.DataFrame(
            {
                "id": part.ids,
                "time": part.times,
                "price": part.prices,
                "volume": part.sizes,
                "buys": list(part.taker_buys),
            }
        )
        for part in parts
    )
    frame = frame.drop_duplicates("id").sort_values("id")
    frame["turnover"] = frame["price"].astype(object) * frame["volume"]  # exact: 64 bits do not hold it
    frame["buy_volume"] = frame["volume"].where(frame["buys"] == 1, 0)
    frame.index = pd.to_datetime(frame["time"], unit="us", utc=True)
    groups = frame.resample("1min")
    minutes = groups["price"].ohlc().join(groups[["volume", "turnover", "buy_volume"]].sum())
    minutes = minutes.join(groups["id"].agg(["count", "min", "max"]))
    return {
        int(row.Index.timestamp()) * 1_000_000: Bar(
            market,
            int(row.Index.timestamp()) * 1_000_000,
            *map(int, row[1:8]),
            trade_count=int(row.count),
            ranges=((int(row.min), int(row.max)),),
        )
        for row in minutes[minutes["count"] > 0].itertuples()
    }
