"""Coinbase Exchange's REST history: pages are cut from above, and ids without a hole let them be walked upwards."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

import msgspec

from btc.feeds.decimals import trade_of
from btc.feeds.feed import Newest
from btc.feeds.rest import NotTradesError, Rest, require_json
from btc.times import from_datetime
from btc.trades import Market, Trade, Trades

URL: Final = "https://api.exchange.coinbase.com"
ROWS: Final = 1000
"""A page's most rows."""

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _Row(msgspec.Struct, frozen=True, gc=False):
    time: _Moment
    trade_id: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    price: str
    size: str
    side: Literal["buy", "sell"]


class _Time(msgspec.Struct, frozen=True):
    iso: _Moment


class _Message(msgspec.Struct, frozen=True):
    message: str


_ROWS: Final = msgspec.json.Decoder(list[_Row])
_TIME: Final = msgspec.json.Decoder(_Time)
_MESSAGE: Final = msgspec.json.Decoder(_Message)


def read_page(document: bytes, market: Market) -> Trades:
    """The trades of a `trades` answer in the order of their ids; raises NotTradesError on anything else."""
    try:
        rows = _ROWS.decode(document)
        trades = Trades.of(market, [_trade(market, row) for row in reversed(rows)])
    except (msgspec.MsgspecError, ValueError) as error:
        raise NotTradesError(f"no page of trades: {error}") from error
    return trades.in_order()


def _trade(market: Market, row: _Row) -> Trade:
    # As on the WebSocket, the side told is the maker's.
    moment = from_datetime(row.time)
    return trade_of(market, row.trade_id, moment, row.price, row.size, taker_buys=row.side == "sell")


@dataclass(slots=True)
class CoinbaseRest(Rest):
    """The venue's history, behind its ten requests a second."""

    url: str = URL
    interval: float = 0.1

    def after(self, market: Market, last_id: int | None, since: int) -> "CoinbaseBackfill":
        return CoinbaseBackfill(self, market, last_id, since)

    def now(self) -> int:
        """The venue's clock (µs). Raises HistoryError."""
        return self.insist("/time", _read_time)

    def newest(self, market: Market, since: int) -> Newest | None:  # noqa: ARG002 - the heartbeats tell it
        return None

    def page(self, market: Market, below: int | None = None, rows: int = ROWS) -> Trades | None:
        """The newest trades, or the newest with ids below `below`; None where the venue asked to come back later.

        Waits for the rate limit first. Raises HistoryError.
        """
        query = {"limit": str(rows)} | ({} if below is None else {"after": str(below)})
        path = f"/products/{market.symbol}/trades?{urlencode(query)}"
        return self.ask(path, lambda document: read_page(document, market))

    def judge(self, status: int, document: bytes) -> None:
        if status == 200:
            require_json(document)
            return
        try:
            message = _MESSAGE.decode(document).message
        except msgspec.MsgspecError:
            message = "no reason given"
        raise NotTradesError(f"HTTP {status}: {message}")


@dataclass(slots=True)
class CoinbaseBackfill:
    """Trades above `last_id`, or from `since` (µs) or a page before it on, upwards page by page.

    The venue cuts its pages from above: the thousand newest below an id. Ids are whole numbers, so that the page below
    `last_id + 1001` holds all that follows `last_id`: the walk leads upwards and no page waits for another. One that is
    short ends before it reaches down to there, and what lies below it comes first. Without a `last_id` it is found
    first, by halving the ids between nothing and the newest.
    """

    rest: CoinbaseRest
    market: Market
    last_id: int | None
    since: int
    _newest: int = 0
    _before: int = 0
    """An id made before `since`."""
    _after: int = 0
    """An id made later; 0: not looked for yet."""
    _far: bool = False
    """Whether the newest page does not reach down to `last_id`."""
    _short: int | None = None
    """The first id of a page that did not reach down to `last_id` though it should have."""

    def step(self) -> Trades | None:
        if self.last_id is None:
            return self._search()
        below = self._short or (self.last_id + ROWS + 1 if self._far else None)
        page = self.rest.page(self.market, below)
        if page is None:
            return self._nothing()
        new = page.take([row for row, identity in enumerate(page.ids) if identity > (self.last_id or 0)])
        if not new.ids:
            if below is None:
                return None
            # The venue knows no trades between the two.
            return self._go_on(below - 1, self._nothing())
        if below is None:
            self._newest = new.ids[-1]
        if new.ids[0] > self.last_id + 1:
            self._far, self._short = True, None if below is None else new.ids[0]
            return self._nothing()
        return self._go_on(new.ids[-1], new)

    def _go_on(self, last_id: int, found: Trades) -> Trades:
        self.last_id, self._short = last_id, None
        self._far = last_id + ROWS < self._newest
        return found

    def _search(self) -> Trades | None:
        """One step nearer to the first trade from `since` on; None where the venue has no trades."""
        middle = (self._before + self._after) // 2
        page = self.rest.page(self.market, middle + 1, rows=1) if self._after else self.rest.page(self.market)
        if page is None:
            return self._nothing()
        if not self._after:
            if not page.ids:
                return None
            later = [identity for identity, at in zip(page.ids, page.times, strict=True) if at >= self.since]
            self._after = later[0] if later else page.ids[-1] + 1
            self._before = self._after - 1 if self._after > page.ids[0] else 0
        elif page.ids and page.times[0] >= self.since:
            self._after = page.ids[0]
        else:
            self._before = middle
        if self._after - self._before <= ROWS:
            self.last_id = self._before
        return self._nothing()

    def _nothing(self) -> Trades:
        return Trades(self.market, [], [], [], [], b"")


def _read_time(document: bytes) -> int:
    try:
        return from_datetime(_TIME.decode(document).iso)
    except (msgspec.MsgspecError, ValueError) as error:
        raise NotTradesError(f"no time: {error}") from error
