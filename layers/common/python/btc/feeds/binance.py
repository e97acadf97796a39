"""Binance spot's combined streams: each trade moves its own market's clock, and life is asked for.

{"stream":"btcusdt@trade","data":{"e":"trade","E":1783465157897,"s":"BTCUSDT","t":6486989273,"p":"63551.02000000",
 "q":"0.00317000","T":1783465157897,"m":true,"M":true}}
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Annotated, Any, Final, Literal

import msgspec

from btc.feeds.decimals import trade_of
from btc.feeds.feed import Acknowledged, Alive, Closing, Event, Ignored, Malformed, Newest, Refused
from btc.feeds.pairs import symbol_of
from btc.times import HOUR, SECOND
from btc.trades import Market, Trade, by_market

VENUE: Final = "binance"

_QUOTES: Final = (
    "FDUSD",
    "USDT",
    "USDC",
    "TUSD",
    "BUSD",
    "DAI",
    "USD1",
    "EUR",
    "TRY",
    "BRL",
    "JPY",
    "BTC",
    "ETH",
    "BNB",
)
_LISTING: Final = 1
_PING: Final = 2
_MICROSECONDS_FROM: Final = 10**14
"""No time in milliseconds is so large before the year 5138, none in microseconds so small after 1973."""

_Identity = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
_Moment = Annotated[int, msgspec.Meta(ge=0, lt=10**17)]


class _Trade(msgspec.Struct, frozen=True, gc=False):
    e: Literal["trade"]
    E: _Moment
    s: str
    t: _Identity
    p: str
    q: str
    T: _Moment
    m: bool


class _TradeFrame(msgspec.Struct, frozen=True, gc=False):
    data: _Trade


class _Problem(msgspec.Struct, frozen=True):
    code: int | None = None
    msg: str | None = None


class _AnyFrame(_Problem, frozen=True):
    e: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    id: Any = None
    result: Any = msgspec.UNSET
    error: _Problem | None = None


_TRADE: Final = msgspec.json.Decoder(_Trade)
_TRADE_FRAME: Final = msgspec.json.Decoder(_TradeFrame)
_ANY: Final = msgspec.json.Decoder(_AnyFrame)


@dataclass(frozen=True, slots=True)
class Binance:
    """The public trade streams of Binance spot, several on one connection.

    The venue tells neither its clock nor how it is while nothing trades. So each trade's event time is the clock of its
    own market, and a market that is quiet is looked up in the venue's history; a question a second shows that the
    connection lives, whose server's pings are seen by nobody above the socket.
    """

    venue: str = VENUE
    url: str = "wss://stream.binance.com:443"
    silence: float = 10.0
    quiet: float = 5.0
    # The venue ends a connection after 24 hours.
    lifetime: float = 23.5 * HOUR / SECOND

    def address(self, url: str, symbols: Sequence[str]) -> str:
        streams = "/".join(f"{pair_of(symbol).lower()}@trade" for symbol in symbols)
        return f"{url.rstrip('/')}/stream?streams={streams}&timeUnit=MICROSECOND"

    def symbol(self, text: str) -> str:
        return symbol_of(text, _QUOTES)

    def subscribe(self, symbols: Sequence[str]) -> Sequence[str]:  # noqa: ARG002 - the address names them
        # The answer lists every stream that comes.
        return [f'{{"method":"LIST_SUBSCRIPTIONS","id":{_LISTING}}}']

    def ping(self) -> str:
        return f'{{"method":"GET_PROPERTY","params":["combined"],"id":{_PING}}}'

    def parse(self, frame: bytes) -> Sequence[Event]:
        try:
            told = _ANY.decode(frame)
            body = bytes(told.data) or frame
            kind = _ANY.decode(body).e
            if kind == "trade":
                return list(_events([_TRADE.decode(body)]))
            return list(_told(told, kind))
        except (msgspec.MsgspecError, ValueError) as error:
            return (Malformed(f"{type(error).__name__}: {error}", frame),)

    def read(self, frames: Sequence[bytes]) -> Iterator[Event]:
        for are_trades, run in groupby(frames, key=_looks_like_trade):
            part = list(run)
            if are_trades and (events := _all_trades(part)):
                yield from events
            else:
                for frame in part:
                    yield from self.parse(frame)


def pair_of(symbol: str) -> str:
    """`BTCUSDT` of `BTC-USDT`: the venue's own name."""
    return symbol.replace("-", "")


@lru_cache
def market_of(pair: str) -> Market:
    """The market of the venue's `BTCUSDT`; raises ValueError on what names none."""
    return Market(VENUE, symbol_of(pair, _QUOTES))


def micros(moment: int) -> int:
    """µs of a time in ms or µs, told apart by its size."""
    return moment if moment >= _MICROSECONDS_FROM else moment * 1000


def _looks_like_trade(frame: bytes) -> bool:
    return frame.startswith(b'{"stream":"') and b'@trade"' in frame[:64]


def _all_trades(frames: Sequence[bytes]) -> list[Event] | None:
    """What the frames say, or None where one of them must be told from the others."""
    try:
        return list(_events([_TRADE_FRAME.decode(frame).data for frame in frames]))
    except ValueError:
        return None


def _events(items: Sequence[_Trade]) -> Iterator[Event]:
    """The trades by market, and after each market's own how far they have brought its clock."""
    clocks: dict[Market, int] = {}
    for item in items:
        market = market_of(item.s)
        clocks[market] = max(clocks.get(market, 0), micros(item.E))
    for trades in by_market(map(_trade, items)):
        yield trades
        yield Newest(trades.market, max(trades.ids), clocks[trades.market])


def _trade(item: _Trade) -> Trade:
    # `m`: the buyer was the maker, and so the taker sold.
    return trade_of(market_of(item.s), item.t, micros(item.T), item.p, item.q, taker_buys=not item.m)


def _told(frame: _AnyFrame, kind: str | None) -> Iterable[Event]:
    """What a frame without trades says."""
    problem = frame.error or (frame if frame.msg else None)
    if frame.id == _PING:
        # Whatever it answers: it answers.
        return [Alive()]
    if problem:
        asked = "the streams asked for" if frame.id == _LISTING else None
        return [Refused(asked, f"{problem.msg} (code {problem.code})")]
    if kind == "serverShutdown":
        return [Closing(kind)]
    if isinstance(frame.result, list):
        streams = [str(stream).partition("@") for stream in frame.result]
        return [Acknowledged(market_of(pair)) for pair, _, kind in streams if kind == "trade"]
    return [Ignored(kind or "unknown")]
