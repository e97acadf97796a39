"""What a request asks for, read from its parameters or refused by name."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from btc.intervals import INTERVALS, floor
from btc.problems import BadRequestError, UnknownMarketError
from btc.times import FOREVER, MINUTE, parse_iso
from btc.trades import Market

MAX_BARS: Final = 1500
"""Bars one answer may hold."""
MAX_MINUTES: Final = 10 * 1440
"""Minutes one answer may be cut from."""
DEFAULT_BARS: Final = 60

Query = Mapping[str, str]


class BarsRequest(NamedTuple):
    """Bars of `minutes` minutes whose start lies in [start, end), µs UTC on the interval's grid."""

    interval: str
    minutes: int
    start: int
    end: int


def market_of(symbol: str, query: Query, markets: Sequence[Market]) -> Market:
    """The market a symbol names: at `venue`, or at the first venue that has it; raises UnknownMarketError."""
    venue = query.get("venue")
    for market in markets:
        if market.symbol == symbol and venue in (None, market.venue):
            return market
    known = ", ".join(sorted({market.symbol for market in markets}))
    raise UnknownMarketError(f"{symbol}{f' at {venue}' if venue else ''} is not followed here; known: {known}")


def bars_request(query: Query, now: int) -> BarsRequest:
    """`interval`, `start` and `end` (ISO 8601) of a request; the newest bars by default. Raises BadRequestError."""
    interval = query.get("interval", "1m")
    if interval not in INTERVALS:
        raise BadRequestError(f"interval {interval!r} is none of {', '.join(INTERVALS)}")
    minutes = INTERVALS[interval]
    span = minutes * MINUTE
    end = floor(_time(query, "end", now) + span - 1, minutes)
    start = floor(_time(query, "start", max(0, end - min(DEFAULT_BARS * span, MAX_MINUTES * MINUTE))), minutes)
    if start >= end:
        raise BadRequestError("start is not before end")
    if (end - start) > min(MAX_BARS * span, MAX_MINUTES * MINUTE):
        raise BadRequestError(f"ask for at most {min(MAX_BARS, MAX_MINUTES // minutes)} bars of {interval} at once")
    return BarsRequest(interval, minutes, start, end)


def _time(query: Query, name: str, default: int) -> int:
    if name not in query:
        return default
    try:
        time = parse_iso(query[name])
    except (ValueError, OverflowError) as error:
        raise BadRequestError(f"{name} is no ISO 8601 time with a zone, as in 2026-11-22T20:28:00Z") from error
    if not 0 <= time < FOREVER:
        raise BadRequestError(f"{name} lies outside the years 1970 to 9999")
    return time
