"""The offline store: what lies where in its bucket, in which columns, and how what it holds joins what comes to it.

Partitions are venue, symbol and UTC date. Bars and forecasts are one object a day, rewritten whole; the tape is one
object a market, day and delivered batch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from struct import pack
from typing import Final

from btc import bars
from btc.bars import Bar
from btc.forecasts import Scored
from btc.times import date
from btc.trades import Market

Columns = Mapping[str, str]
"""Athena's types by name, in their order."""

BARS: Final[Columns] = {
    "start": "timestamp",
    **dict.fromkeys(("open", "high", "low", "close"), "decimal(18,8)"),
    **dict.fromkeys(("volume", "buy_volume"), "decimal(28,8)"),
    "turnover": "decimal(38,16)",
    "trade_count": "bigint",
    **dict.fromkeys(("first_id", "last_id", "prior_id", "next_id"), "bigint"),
    "ranges": "string",
    "closed": "boolean",
    "complete": "boolean",
    "source": "string",
}
TAPE: Final[Columns] = {
    "trade_id": "bigint",
    "time": "timestamp",
    "price": "decimal(18,8)",
    "size": "decimal(28,8)",
    "taker_buys": "boolean",
}
"""A trade may lie in several objects: whoever reads counts each id once."""
FORECASTS: Final[Columns] = {
    "as_of": "timestamp",
    "horizon": "bigint",
    "target_time": "timestamp",
    "reference_price": "double",
    "predicted_price": "double",
    "quantiles": "array<double>",
    "probability_up": "double",
    "model_version": "string",
    "baseline": "boolean",
    "baseline_reason": "string",
    "baselines": "map<string,array<double>>",
    "realised_price": "double",
    "pinball_loss": "double",
    "below": "bigint",
    "covered": "boolean",
    "covered_50": "boolean",
    "direction": "boolean",
    "baseline_losses": "map<string,double>",
}
"""From `realised_price` on null until the future has come; `quantiles` and `baselines` are at 0.05, 0.10 … 0.95."""
TABLES: Final[Mapping[str, Columns]] = {"bars": BARS, "tape": TAPE, "forecasts": FORECASTS}
PARTITIONS: Final = ("venue", "symbol", "date")


def folder(table: str, market: Market, day: int) -> str:
    """Where the objects of a day lie; `day` in µs."""
    return f"{table}/venue={market.venue}/symbol={market.symbol}/date={date(day)}/"


def bars_key(market: Market, day: int) -> str:
    return folder("bars", market, day) + "bars.parquet"


def forecasts_key(market: Market, day: int) -> str:
    """The object of the forecasts whose target lies in that day."""
    return folder("forecasts", market, day) + "forecasts.parquet"


def tape_key(market: Market, day: int, ids: Sequence[int]) -> str:
    """Told by what it holds, ascending ids: the same trades have the same key, and no others have it."""
    digest = sha256(pack(f"<{len(ids)}q", *ids)).hexdigest()[:32]
    return folder("tape", market, day) + f"{ids[0]}-{ids[-1]}-{digest}.parquet"


def join_bars(newer: Iterable[Bar], older: Iterable[Bar]) -> list[Bar]:
    """The bars of one market's day out of two stores, by start: what only one holds stays, the rest is joined."""
    joined = {bar.start: bar for bar in older}
    for bar in newer:
        held = joined.get(bar.start)
        joined[bar.start] = bars.join(bar, held) if held else bar
    return [joined[start] for start in sorted(joined)]


def join_forecasts(newer: Iterable[Scored], older: Iterable[Scored]) -> list[Scored]:
    """The forecasts of one market's day, by target and horizon: what was said stays, and an outcome once known."""
    joined = {_identity(scored): scored for scored in older}
    for scored in newer:
        held = joined.get(_identity(scored))
        joined[_identity(scored)] = replace(held, outcome=scored.outcome or held.outcome) if held else scored
    return [joined[identity] for identity in sorted(joined)]


def _identity(scored: Scored) -> tuple[int, int]:
    return scored.forecast.target_time, scored.forecast.horizon
