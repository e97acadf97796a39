"""What a request asks for, read from its parameters or refused by name: the one definition of what may be asked."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from btc import cursors
from btc.intervals import INTERVALS, floor
from btc.problems import BadRequestError, UnknownMarketError
from btc.times import FOREVER, MINUTE, parse_iso
from btc.trades import Market

MAX_BARS: Final = 1500
"""Bars one answer may hold."""
MAX_MINUTES: Final = 10 * 1440
"""Minutes one answer may be cut from."""
TICKET: Final = "ticket"
"""The parameter of the WebSocket's address that opens it."""
DEFAULT_BARS: Final = 60
MAX_FORECASTS: Final = 200
"""Forecasts one page may hold."""

Symbol = Annotated[str, Meta(pattern=r"^[A-Z0-9]{2,10}-[A-Z0-9]{2,10}$", description="BASE-QUOTE, as BTC-USD")]
_MOMENT: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})$"
_AS: Final = "ISO 8601 with a zone, as 2026-11-22T20:28:00Z"


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""


class MarketQuery(Query, frozen=True, kw_only=True):
    """Parameters of what is told of one market."""

    venue: Annotated[str, Meta(pattern="^[a-z]{1,20}$", description="a venue, as kraken")] | UnsetType = UNSET


class HistoryQuery(MarketQuery, frozen=True, kw_only=True):
    horizon: Annotated[Literal[1, 5, 15, 60], Meta(description="minutes ahead, 1, 5, 15 or 60")]
    limit: Annotated[int, Meta(ge=1, le=MAX_FORECASTS, description=f"forecasts a page, 1 to {MAX_FORECASTS}")] = 60
    cursor: Annotated[str, Meta(max_length=200, description="next_cursor of the page before")] | UnsetType = UNSET

    def before(self, market: Market) -> int:
        """The time (µs) before which the page's targets lie; raises BadRequestError on a cursor of another request."""
        if isinstance(self.cursor, UnsetType):
            return FOREVER
        return cursors.decode(self._series(market), self.cursor)

    def next_cursor(self, market: Market, time: int) -> str:
        """The cursor of the page whose targets lie before `time` (µs)."""
        return cursors.encode(self._series(market), time)

    def _series(self, market: Market) -> str:
        return f"{market}:{self.horizon}"


class BarsQuery(MarketQuery, frozen=True, kw_only=True):
    interval: Annotated[Literal["1m", "5m", "15m", "1h", "4h", "1d"], Meta(description="1m, 5m, 15m, 1h, 4h or 1d")] = (
        "1m"
    )
    start: Annotated[str, Meta(pattern=_MOMENT, description=f"start of the first bar, {_AS}")] | UnsetType = UNSET
    end: Annotated[str, Meta(pattern=_MOMENT, description=f"end of the last bar, {_AS}")] | UnsetType = UNSET


class Span(NamedTuple):
    """Bars of an interval of `minutes` minutes whose start lies in [start, end), µs UTC on the interval's grid."""

    interval: str
    minutes: int
    start: int
    end: int


Asked = TypeVar("Asked", bound=Query)


def asked(kind: type[Asked], given: Mapping[str, Sequence[str]]) -> Asked:
    """The parameters of a request, each given once; raises BadRequestError naming the one that is wrong."""
    for name, values in given.items():
        if len(values) > 1:
            raise BadRequestError(f"{name} is given {len(values)} times")
    try:
        return msgspec.convert({name: values[0] for name, values in given.items()}, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequestError(_refusal(kind, str(error))) from error


def market_of(symbol: str, query: MarketQuery, markets: Sequence[Market]) -> Market:
    """The market a symbol names: at `venue`, or at the first venue that has it; raises UnknownMarketError."""
    for market in markets:
        if market.symbol == symbol and query.venue in (UNSET, market.venue):
            return market
    known = ", ".join(sorted({market.symbol for market in markets}))
    where = "" if isinstance(query.venue, UnsetType) else f" at {query.venue}"
    raise UnknownMarketError(f"{symbol}{where} is not followed here; known: {known}")


def span(query: BarsQuery, now: int) -> Span:
    """The bars a request asks for; the newest by default. Raises BadRequestError."""
    minutes = INTERVALS[query.interval]
    length = minutes * MINUTE
    end = floor(_time("end", query.end, now) + length - 1, minutes)
    start = floor(_time("start", query.start, max(0, end - min(DEFAULT_BARS * length, MAX_MINUTES * MINUTE))), minutes)
    if start >= end:
        raise BadRequestError("start is not before end")
    if (end - start) > min(MAX_BARS * length, MAX_MINUTES * MINUTE):
        raise BadRequestError(
            f"ask for at most {min(MAX_BARS, MAX_MINUTES // minutes)} bars of {query.interval} at once"
        )
    return Span(query.interval, minutes, start, end)


def _time(name: str, text: str | UnsetType, default: int) -> int:
    if isinstance(text, UnsetType):
        return default
    try:
        time = parse_iso(text)
    except (ValueError, OverflowError) as error:
        raise BadRequestError(f"{name} names no moment of the calendar") from error
    if not 0 <= time < FOREVER:
        raise BadRequestError(f"{name} lies outside the years 1970 to 9999")
    return time


def _refusal(kind: type[Query], message: str) -> str:
    """msgspec's words with what the parameter should be: `Expected … - at `$.limit`` alone helps nobody."""
    schema = msgspec.json.schema_components([kind])[1][kind.__name__]
    known = schema["properties"]
    name = message.rstrip("`").rpartition("`")[2].removeprefix("$.")
    if name not in known:
        return f"{name[:50]} is no parameter of this route; known: {', '.join(known) or 'none'}"
    return f"{name} {'is missing' if 'missing' in message else 'cannot be read'}: expected {known[name]['description']}"
