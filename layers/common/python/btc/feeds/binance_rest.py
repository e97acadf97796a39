"""Binance spot's REST history: pages upwards from an id, within the weight a minute grants."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlencode

import msgspec

from btc.feeds.binance import micros, pair_of
from btc.feeds.decimals import trade_of
from btc.feeds.feed import Newest
from btc.feeds.rest import NotTradesError, Rest, require_json
from btc.trades import Market, Trade, Trades

URL: Final = "https://api.binance.com"
ROWS: Final = 1000
"""A page's most rows."""

_WEIGHT: Final = 5_400
"""Of the 6,000 a minute that an address has: other programs may share it."""
_EASE: Final = 10.0

_Identity = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Row(msgspec.Struct, frozen=True, gc=False):
    id: _Identity
    price: str
    qty: str
    time: int
    isBuyerMaker: bool  # noqa: N815 - the venue's own word


class _Aggregate(msgspec.Struct, frozen=True):
    f: _Identity


class _Time(msgspec.Struct, frozen=True):
    serverTime: int  # noqa: N815 - the venue's own word


class _Problem(msgspec.Struct, frozen=True):
    code: int
    msg: str


_ROWS: Final = msgspec.json.Decoder(list[_Row])
_AGGREGATES: Final = msgspec.json.Decoder(list[_Aggregate])
_TIME: Final = msgspec.json.Decoder(_Time)
_PROBLEM: Final = msgspec.json.Decoder(_Problem)


def read_page(document: bytes, market: Market) -> Trades:
    """The trades of a `trades` or `historicalTrades` answer by id; raises NotTradesError on anything else."""
    try:
        trades = Trades.of(market, [_trade(market, row) for row in _ROWS.decode(document)])
    except (msgspec.MsgspecError, ValueError) as error:
        raise NotTradesError(f"no page of trades: {error}") from error
    return trades.in_order()


def _trade(market: Market, row: _Row) -> Trade:
    return trade_of(market, row.id, micros(row.time), row.price, row.qty, taker_buys=not row.isBuyerMaker)


@dataclass(slots=True)
class BinanceRest(Rest):
    """The venue's history; a page weighs 25 of the 6,000 that a minute grants to an address."""

    url: str = URL
    interval: float = 0.25

    def after(self, market: Market, last_id: int | None, since: int) -> "BinanceBackfill":
        return BinanceBackfill(self, market, last_id, since)

    def now(self) -> int:
        """The venue's clock (µs). Raises HistoryError."""
        return self.insist("/api/v3/time", _read_time)

    def newest(self, market: Market, since: int) -> Newest | None:  # noqa: ARG002 - the newest is told alone
        """The market's newest trade at a moment of the venue's clock; None where the venue asks for patience.

        The clock is read first: what is made between the two answers lies behind it. Raises HistoryError.
        """

        def read(document: bytes) -> Newest:
            time = _read_time(document)
            page = read_page(self._get(f"/api/v3/trades?{_query(market, limit=1)}"), market)
            return Newest(market, page.ids[-1] if page.ids else 0, time)

        return self.ask("/api/v3/time", read)

    def page(self, market: Market, first_id: int) -> Trades | None:
        """The trades from `first_id` on; None where the venue asked to come back later.

        Waits for the rate limit first. Raises HistoryError.
        """
        path = f"/api/v3/historicalTrades?{_query(market, fromId=first_id, limit=ROWS)}"
        return self.ask(path, lambda document: read_page(document, market))

    def first_since(self, market: Market, since: int) -> list[int] | None:
        """The id of the first trade from `since` (µs) on, if any; None where the venue asked to come back later."""
        path = f"/api/v3/aggTrades?{_query(market, startTime=since // 1000, limit=1)}"
        return self.ask(path, _read_first_id)

    def judge(self, status: int, document: bytes) -> None:
        if status == 200:
            require_json(document)
            return
        try:
            problem = _PROBLEM.decode(document)
        except msgspec.MsgspecError:
            raise NotTradesError(f"HTTP {status}: no reason given") from None
        raise NotTradesError(f"HTTP {status}: {problem.msg} (code {problem.code})")

    def pause_after(self, headers: Mapping[str, str]) -> float:
        used = headers.get("X-MBX-USED-WEIGHT-1M", "")
        return _EASE if used.isdecimal() and int(used) >= _WEIGHT else 0.0

    def headers(self) -> Mapping[str, str]:
        # As on the stream: a trade has one time, whichever way it comes.
        return {"X-MBX-TIME-UNIT": "MICROSECOND"}


@dataclass(slots=True)
class BinanceBackfill:
    """Trades above `last_id`, or from `since` (µs) on, page by page."""

    rest: BinanceRest
    market: Market
    last_id: int | None
    since: int

    def step(self) -> Trades | None:
        nothing = Trades(self.market, [], [], [], [], b"")
        if self.last_id is None:
            first = self.rest.first_since(self.market, self.since)
            if first is None:
                return nothing
            if not first:
                return None
            self.last_id = first[0] - 1
            return nothing
        page = self.rest.page(self.market, self.last_id + 1)
        if page is None:
            return nothing
        if not page.ids:
            return None
        self.last_id = page.ids[-1]
        return page


def _query(market: Market, **parameters: int) -> str:
    return urlencode({"symbol": pair_of(market.symbol)} | {name: str(value) for name, value in parameters.items()})


def _read_first_id(document: bytes) -> list[int]:
    try:
        return [row.f for row in _AGGREGATES.decode(document)]
    except msgspec.MsgspecError as error:
        raise NotTradesError(f"no aggregate trades: {error}") from error


def _read_time(document: bytes) -> int:
    try:
        return micros(_TIME.decode(document).serverTime)
    except msgspec.MsgspecError as error:
        raise NotTradesError(f"no time: {error}") from error
