"""One id from a trade to what was forecast of it and became of that: its market and minute.

Trades, bars and forecasts tell both already. So it costs no byte in a record or an item, comes out the same however
often and in whichever batch something is delivered, and whoever holds an answer of the API knows it: a forecast's
minute is the one that ends at its `as_of`. An id made up at the exchange's end would have to be carried by every record
and could not be told of a bar, which is made of many.
"""

from collections.abc import Iterable
from typing import Final

from btc.times import date, iso
from btc.trades import Market

MOST: Final = 10
"""Minutes that one line names; a batch of history names days."""


def minutes(found: Iterable[tuple[Market, int]]) -> list[str]:
    """`kraken:BTC-USD 2026-11-22T20:28:00Z` for each market and start of a minute (µs), in order, each once."""
    distinct = sorted(set(found))
    if len(distinct) > MOST:
        return sorted({f"{market} {date(start)}" for market, start in distinct})
    return [f"{market} {iso(start)}" for market, start in distinct]
