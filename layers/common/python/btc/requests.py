"""What a request asks for, read from its parameters or refused by name."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from btc import cursors
from btc.forecasts import HORIZONS
from btc.intervals import INTERVALS, floor
from btc.problems import BadRequestError, UnknownMarketError
from btc.times import FOREVER, MINUTE, parse_iso
from btc.trades import Market

MAX_BARS: Final = 1500
"""Bars one answer may hold."""
MAX_MINUTES: Final = 10 * 1440
"""Minutes one answer may be cut from."""
DEFAULT_BARS: Final = 60
MAX_FORECASTS: Final = 200
"""Forecasts one page may hold."""
DEFAULT_FORECASTS: Final = 60

Query = Mapping[str, str]


class BarsRequest(NamedTuple):
    """Bars of `minutes` minutes whose start lies in [start, end), µs UTC on the interval's grid."""

    interval: str
    minutes: int
    start: int
    end: int


class HistoryRequest(NamedTuple):
    """The newest `limit` forecasts of one horizon whose target lies before `before` (µs)."""

    horizon: int
    limit: int
    before: int


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


def history_request(market: Market, query: Query) -> HistoryRequest:
    """`horizon`, `limit` and `cursor` of a request; the newest forecasts by default. Raises BadRequestError."""
    horizon = _whole(query, "horizon", None)
    if horizon not in HORIZONS:
        raise BadRequestError(f"horizon {horizon} is none of {', '.join(map(str, HORIZONS))}")
    limit = _whole(query, "limit", DEFAULT_FORECASTS)
    if not 1 <= limit <= MAX_FORECASTS:
        raise BadRequestError(f"ask for 1 to {MAX_FORECASTS} forecasts at once")
    before = cursors.decode(series(market, horizon), query["cursor"]) if "cursor" in query else FOREVER
    return HistoryRequest(horizon, limit, before)


def series(market: Market, horizon: int) -> str:
    """What a cursor of forecasts belongs to."""
    return f"{market}:{horizon}"


def _whole(query: Query, name: str, default: int | None) -> int:
    text = query.get(name, "" if default is None else str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadRequestError(f"{name} is needed, as a whole number")
    return int(text)


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
