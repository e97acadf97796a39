"""Kraken's REST history: trade pages one at a time, at the pace the venue grants, patient with its refusals."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal
from urllib.parse import urlencode

import msgspec

from btc.feeds.feed import Newest
from btc.feeds.kraken import VENUE, rest_pair, symbol_of
from btc.feeds.rest import BusyError, NotTradesError, Rest
from btc.times import SECOND
from btc.trades import Market, Trade, Trades
from btc.units import to_units

URL: Final = "https://api.kraken.com"
ROWS: Final = 1000
"""A page's most rows."""

_TRANSIENT: Final = (
    "EGeneral:Too many requests",
    "EAPI:Rate limit exceeded",
    "EService:",
    "EGeneral:Internal error",
    "EGeneral:Temporary lockout",
)
_NANOSECONDS: Final = 1000


class _Row(msgspec.Struct, array_like=True, frozen=True):
    price: str
    size: str
    # Seconds with up to seven decimals: as a float the last of them would be lost.
    time: Decimal
    side: Literal["b", "s"]
    order: str
    miscellaneous: str
    trade_id: int


class _Errors(msgspec.Struct, frozen=True):
    error: list[str] = []


class _Envelope(_Errors, frozen=True):
    result: dict[str, msgspec.Raw] | None = None


_ERRORS: Final = msgspec.json.Decoder(_Errors)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_ROWS: Final = msgspec.json.Decoder(list[_Row])


@dataclass(frozen=True, slots=True)
class Page:
    """Trades in the order of their ids, and the time (ns) from which the next page follows."""

    trades: Trades
    last: int


def read_page(document: bytes, market: Market | None = None) -> Page:
    """The page in a `Trades` answer, of `market` or else of the pair it names.

    Raises NotTradesError on anything else (errors the venue reports included), TooFineError on finer numbers.
    """
    try:
        envelope = _ENVELOPE.decode(document)
        if envelope.error or envelope.result is None:
            raise NotTradesError("; ".join(envelope.error) or "an answer without a result")
        [name] = envelope.result.keys() - {"last"}
        rows = _ROWS.decode(envelope.result[name])
        last = int(msgspec.json.decode(envelope.result["last"]))
        market = market or Market(VENUE, symbol_of(name))
    except (msgspec.MsgspecError, KeyError, ValueError) as error:
        if isinstance(error, NotTradesError):
            raise
        raise NotTradesError(f"no page of trades: {error}") from error
    trades = Trades.of(market, (_trade(market, row) for row in rows))
    return Page(trades.in_order() if rows else trades, last)


def _trade(market: Market, row: _Row) -> Trade:
    # Cut, not rounded: a trade must not slip into the minute after its own.
    moment = int(row.time * SECOND)
    return Trade(market, row.trade_id, moment, to_units(row.price), to_units(row.size), row.side == "b")


@dataclass(slots=True)
class KrakenRest(Rest):
    """The venue's history; rate limits and service errors in the envelope are refusals for a while."""

    url: str = URL
    interval: float = 1.0

    def after(self, market: Market, last_id: int | None, since: int) -> "KrakenBackfill":
        return KrakenBackfill(self, market, last_id, max(since * _NANOSECONDS - 1, 0))

    def now(self) -> int:
        """The venue's clock (µs, whole seconds). Raises HistoryError."""
        return self.insist("/0/public/Time", _read_time)

    def newest(self, market: Market, since: int) -> Newest | None:
        """The newest trade of the page that begins with the newest one known, 0 where nothing was made since.

        Its clock the connection tells.
        """
        page = self.page(market, max(since * _NANOSECONDS - 1, 0))
        return Newest(market, max(page.trades.ids, default=0), 0) if page else None

    def page(self, market: Market, since: int) -> Page | None:
        """The trades after `since` (ns, exclusive), or None where the venue asked to come back later.

        Waits for the rate limit first. Raises HistoryError.
        """
        query = urlencode({"pair": rest_pair(market.symbol), "since": str(since), "count": str(ROWS)})
        return self.ask(f"/0/public/Trades?{query}", lambda document: read_page(document, market))

    def judge(self, status: int, document: bytes) -> None:
        if status != 200:
            raise NotTradesError(f"HTTP {status}")
        try:
            errors = _ERRORS.decode(document).error
        except msgspec.MsgspecError as error:
            raise BusyError(f"an answer that does not read: {error}") from error
        if any(error.startswith(_TRANSIENT) for error in errors):
            raise BusyError("; ".join(errors))


@dataclass(slots=True)
class KrakenBackfill:
    """Trades above `last_id` page by page; `since` (ns, exclusive) lies before the first of them."""

    rest: KrakenRest
    market: Market
    last_id: int | None
    since: int
    _stepped_back: int | None = None

    def step(self) -> Trades | None:
        page = self.rest.page(self.market, self.since)
        nothing = Trades(self.market, [], [], [], [], b"")
        if page is None:
            return nothing
        known = self.last_id or 0
        new = page.trades.take([row for row, identity in enumerate(page.trades.ids) if identity > known])
        if not new.ids:
            # Short pages happen: only one that brings nothing new is the end, or one full of a single moment's trades.
            if len(page.trades) < ROWS or page.last <= self.since:
                return None
            self.since = page.last
            return nothing
        if self.last_id is not None and new.ids[0] != self.last_id + 1 and self._stepped_back != self.last_id:
            # Trades of one moment may straddle a page's edge: look again from a second earlier, once.
            self._stepped_back = self.last_id
            self.since = max(self.since - SECOND * _NANOSECONDS, 0)
            return nothing
        self.last_id = new.ids[-1]
        # `since` is exclusive: one step back brings the last moment's trades again, told apart by their ids.
        self.since = page.last - 1
        return new


def _read_time(document: bytes) -> int:
    try:
        return int(msgspec.json.decode(document)["result"]["unixtime"]) * SECOND
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise NotTradesError(f"no time: {error!r}") from error
