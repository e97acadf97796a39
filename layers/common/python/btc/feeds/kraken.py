"""Kraken's WebSocket v2: numbers exact, items routed one by one, the venue's clock from its pongs.

{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":68580.0,"qty":0.14225864,
 "ord_type":"limit","trade_id":72166031,"timestamp":"2024-07-27T21:16:00.512060Z"}]}
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from typing import Annotated, Any, Final, Literal

import msgspec

from btc.feeds import pairs
from btc.feeds.feed import Acknowledged, Alive, Clock, Event, Ignored, Malformed, Refused, Status
from btc.times import EPOCH, from_datetime
from btc.trades import Market, Trade, Trades, by_market
from btc.units import UNIT, to_units

VENUE: Final = "kraken"

_QUOTES: Final = ("USDT", "USDC", "USD", "EUR", "GBP", "JPY", "CAD", "CHF", "AUD", "DAI", "XBT", "BTC", "ETH")
_OLD_NAMES: Final = {"XBT": "BTC", "XDG": "DOGE"}
_NEW_NAMES: Final = {new: old for old, new in _OLD_NAMES.items()}
_LONG_NAME: Final = re.compile(r"X([A-Z]{3})[XZ]([A-Z]{3})")

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_Identity = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class _Quick(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    side: Literal["buy", "sell"]
    price: float
    qty: float
    trade_id: _Identity
    timestamp: _Moment


class _Exact(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    side: Literal["buy", "sell"]
    price: Decimal
    qty: Decimal
    trade_id: _Identity
    timestamp: _Moment


class _QuickFrame(msgspec.Struct, frozen=True, gc=False):
    channel: Literal["trade"]
    data: list[_Quick]


class _ExactFrame(msgspec.Struct, frozen=True):
    channel: Literal["trade"]
    data: list[_Exact]


class _AnyFrame(msgspec.Struct, frozen=True, rename={"pace": "Error"}):
    channel: str | None = None
    method: str | None = None
    success: bool | None = None
    error: str | None = None
    pace: str | None = None
    symbol: str | None = None
    time_out: _Moment | None = None
    result: Any = None
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _System(msgspec.Struct, frozen=True):
    system: str


_QUICK: Final = msgspec.json.Decoder(_QuickFrame)
_EXACT: Final = msgspec.json.Decoder(_ExactFrame)
_ANY: Final = msgspec.json.Decoder(_AnyFrame)
_SYSTEMS: Final = msgspec.json.Decoder(list[_System])

_TRADES: Final = b'{"channel":"trade"'
_finer_than_units: Final = re.compile(rb"\.\d{9}").search
_MICROSECOND: Final = timedelta(microseconds=1)
_FLOAT_LIMIT: Final = 2**50


@dataclass(frozen=True, slots=True)
class Kraken:
    """The public trade channel of Kraken's WebSocket v2."""

    venue: str = VENUE
    url: str = "wss://ws.kraken.com/v2"
    # Heartbeats come each second and pings are answered: ten seconds without a frame are no pause.
    silence: float = 10.0
    quiet: float = math.inf
    lifetime: float = math.inf

    def address(self, url: str, symbols: Sequence[str]) -> str:  # noqa: ARG002 - the subscription names them
        return url

    def symbol(self, text: str) -> str:
        return symbol_of(text)

    def subscribe(self, symbols: Sequence[str]) -> Sequence[str]:
        # The documentation contradicts itself on the snapshot's default: it is always asked for.
        params = {"channel": "trade", "symbol": [symbol.replace("-", "/") for symbol in symbols], "snapshot": True}
        return [msgspec.json.encode({"method": "subscribe", "params": params, "req_id": 1}).decode()]

    def ping(self) -> str:
        return '{"method":"ping","req_id":2}'

    def parse(self, frame: bytes) -> Sequence[Event]:
        if frame.startswith(_TRADES) and (trades := _quick_trades([frame])):
            return trades
        try:
            heading = _ANY.decode(frame)
            if heading.channel == "trade":
                return list(by_market(_exact_trade(item) for item in _EXACT.decode(frame).data))
            return (_told(heading),)
        except (msgspec.MsgspecError, ValueError) as error:
            return (Malformed(f"{type(error).__name__}: {error}", frame),)

    def read(self, frames: Sequence[bytes]) -> Iterator[Event]:
        for are_trades, run in groupby(frames, key=_starts_with_trades):
            part = list(run)
            if are_trades and (trades := _quick_trades(part)):
                yield from trades
            else:
                for frame in part:
                    yield from self.parse(frame)


def symbol_of(text: str) -> str:
    """`BTC-USD` from `BTC-USD`, `BTC/USD`, `XBT/USD`, `XBTUSD` or `XXBTZUSD`; raises ValueError on anything else."""
    long = _LONG_NAME.fullmatch(text.upper())
    base, quote = pairs.symbol_of("-".join(long.groups()) if long else text, _QUOTES).split("-")
    return f"{_OLD_NAMES.get(base, base)}-{_OLD_NAMES.get(quote, quote)}"


def rest_pair(symbol: str) -> str:
    """`XBTUSD` of `BTC-USD`: the name REST knows."""
    return "".join(_NEW_NAMES.get(part, part) for part in symbol.split("-"))


@lru_cache
def market_of(symbol: str) -> Market:
    """The market of a symbol as the WebSocket spells it, `BTC/USD`."""
    return Market(VENUE, symbol_of(symbol))


def _starts_with_trades(frame: bytes) -> bool:
    return frame.startswith(_TRADES)


def _quick_trades(frames: Sequence[bytes]) -> list[Trades] | None:
    """The frames' trades by market, or None where the exact way must read them, or tell what is wrong with them."""
    try:
        return _float_trades(b"\n".join(frames), len(frames))
    except (ValueError, OverflowError):
        return None


def _float_trades(lines: bytes, frames: int) -> list[Trades] | None:
    """The trades of so many frames, one a line, by way of floats, or None where floats could not be proven exact.

    With at most 8 decimals (no nine digits after a point) and no negative exponent (no hyphen but the two of each date)
    a number is an integer u of units. Its float times 1e8 is off u by less than u·2⁻⁵¹, so that rounding gives u
    exactly wherever u stays below 2⁵⁰.
    """
    read = _QUICK.decode_lines(lines)
    items = [item for frame in read for item in frame.data]
    if len(read) != frames or lines.count(b"\n") != frames - 1 or not items:
        return None
    if _finer_than_units(lines) or lines.count(b"-") != 2 * len(items):
        return None
    prices = [round(item.price * UNIT) for item in items]
    sizes = [round(item.qty * UNIT) for item in items]
    if min(prices) <= 0 or max(prices) >= _FLOAT_LIMIT or min(sizes) <= 0 or max(sizes) >= _FLOAT_LIMIT:
        return None
    symbols = [item.symbol for item in items]
    markets = {symbol: market_of(symbol) for symbol in dict.fromkeys(symbols)}
    ids = [item.trade_id for item in items]
    times = [(item.timestamp - EPOCH) // _MICROSECOND for item in items]
    buys = bytes([item.side == "buy" for item in items])
    if len(markets) == 1:
        return [Trades(market_of(symbols[0]), ids, times, prices, sizes, buys)]
    return [
        Trades(market, ids, times, prices, sizes, buys).take([row for row, at in enumerate(symbols) if at == symbol])
        for symbol, market in markets.items()
    ]


def _exact_trade(item: _Exact) -> Trade:
    price, size = to_units(item.price), to_units(item.qty)
    if price <= 0 or size <= 0:
        raise ValueError(f"trade {item.trade_id} has price {item.price} and size {item.qty}: both must be above zero")
    if max(price, size) >= 2**63:
        raise ValueError(f"trade {item.trade_id} of {item.qty} at {item.price} exceeds what a record can hold")
    return Trade(market_of(item.symbol), item.trade_id, from_datetime(item.timestamp), price, size, item.side == "buy")


def _told(frame: _AnyFrame) -> Event:  # noqa: PLR0911 - one line a kind of frame
    """What a frame without trades says."""
    match frame.channel, frame.method:
        case "heartbeat", _:
            return Alive()
        case "status", _:
            system = _SYSTEMS.decode(frame.data)[0].system if frame.data != b"[]" else "unknown"
            return Status(system, matching=system == "online")
        case _, "pong" if frame.time_out:
            return Clock(from_datetime(frame.time_out))
        case _, "subscribe" if frame.success is False:
            return Refused(frame.symbol, frame.error or "no reason given")
        case _, "subscribe" if isinstance(frame.result, dict) and frame.result.get("channel") == "trade":
            return Acknowledged(market_of(str(frame.result.get("symbol"))))
        case None, None if frame.pace or frame.error:
            return Refused(None, frame.pace or frame.error or "")
        case _:
            return Ignored(str(frame.channel or frame.method or "unknown"))
