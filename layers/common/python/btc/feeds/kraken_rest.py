"""Kraken's REST history: trade pages one at a time, at the pace the venue grants, patient with its refusals."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, TypeVar
from urllib.parse import urlencode

import msgspec
import urllib3

from btc.feeds.feed import HistoryError
from btc.feeds.kraken import VENUE, rest_pair, symbol_of
from btc.times import SECOND
from btc.trades import Market, Trade, Trades
from btc.units import to_units

URL: Final = "https://api.kraken.com"
ROWS: Final = 1000
"""A page's most rows."""

_TRANSIENT: Final = ("EGeneral:Too many requests", "EAPI:Rate limit exceeded", "EService:", "EGeneral:Internal error")
_BUSY: Final = {408, 425, 429, *range(500, 600)}
_NANOSECONDS: Final = 1000

Answer = TypeVar("Answer")


class NotTradesError(ValueError):
    """A document that is no page of trades."""


class _BusyError(Exception):
    """The venue could not answer now; it may later."""


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
class KrakenRest:
    """The venue's history behind one rate limit; `interval` seconds lie between requests.

    Refusals for a while (HTTP 429 and 5xx, rate limits and service errors in the envelope, broken connections) are
    asked again with growing, jittered pauses, for `patience` seconds in all. What is refused for good, or too long,
    raises HistoryError.
    """

    url: str = URL
    interval: float = 1.0
    patience: float = 300.0
    longest_pause: float = 30.0
    http: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=3, read=4), retries=False, headers={"User-Agent": "predict-bitcoin-price"}
        )
    )
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    retries: int = 0
    """How often an answer had to be asked for again, in all."""
    _ready_at: float = 0.0
    _failures: int = 0
    _failing_since: float = 0.0

    def after(self, market: Market, last_id: int | None, since: int) -> "KrakenBackfill":
        return KrakenBackfill(self, market, last_id, max(since * _NANOSECONDS - 1, 0))

    def wait(self) -> float:
        return max(self._ready_at - self.clock(), 0.0)

    def now(self) -> int:
        """The venue's clock (µs, whole seconds). Raises HistoryError."""
        while (time := self._once(lambda: _read_time(self._get("Time", {})))) is None:
            pass
        return time

    def page(self, market: Market, since: int) -> Page | None:
        """The trades after `since` (ns, exclusive), or None where the venue asked to come back later.

        Waits for the rate limit first. Raises HistoryError.
        """
        query = {"pair": rest_pair(market.symbol), "since": str(since), "count": str(ROWS)}
        return self._once(lambda: read_page(self._get("Trades", query), market))

    def _once(self, ask: Callable[[], Answer]) -> Answer | None:
        """The answer to one question at the rate allowed, or None where the venue may give one later."""
        if pause := self.wait():
            self.sleep(pause)
        self._ready_at = self.clock() + self.interval
        try:
            answer = ask()
        except _BusyError as error:
            self._postpone(error)
            return None
        except NotTradesError as error:
            raise HistoryError(f"{self.url} refuses its history: {error}") from error
        self._failures = 0
        return answer

    def _get(self, method: str, query: Mapping[str, str]) -> bytes:
        try:
            answer = self.http.request("GET", f"{self.url}/0/public/{method}?{urlencode(query)}")
        except urllib3.exceptions.HTTPError as error:
            raise _BusyError(f"{type(error).__name__}: {error}") from error
        if answer.status in _BUSY:
            raise _BusyError(f"HTTP {answer.status}", _seconds(answer.headers.get("Retry-After")))
        if answer.status != 200:
            raise NotTradesError(f"HTTP {answer.status}")
        try:
            errors = _ERRORS.decode(answer.data).error
        except msgspec.MsgspecError as error:
            raise _BusyError(f"an answer that does not read: {error}") from error
        if any(error.startswith(_TRANSIENT) for error in errors):
            raise _BusyError("; ".join(errors))
        return answer.data

    def _postpone(self, error: _BusyError) -> None:
        now = self.clock()
        if not self._failures:
            self._failing_since = now
        self._failures += 1
        self.retries += 1
        if now - self._failing_since > self.patience:
            raise HistoryError(
                f"no history from {self.url} for {now - self._failing_since:.0f} s "
                f"and {self._failures} tries, last: {error.args[0]}"
            ) from error
        asked = error.args[1] if len(error.args) > 1 else 0.0
        pause = min(max(self.interval, 0.1) * 2**self._failures, self.longest_pause)
        self._ready_at = now + max(asked, pause * (0.5 + self.jitter() / 2))


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


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
