"""Coinbase Exchange's WebSocket: the maker's side turned to the taker's, losses revealed by the heartbeats.

{"type":"match","trade_id":1052119289,"maker_order_id":"15bc…","taker_order_id":"13d7…","side":"sell","size":"0.2",
 "price":"63514.6","product_id":"BTC-USD","sequence":132235026010,"time":"2026-07-07T22:58:17.164892Z"}
{"type":"heartbeat","last_trade_id":1052119293,"product_id":"BTC-USD","sequence":132235026653,
 "time":"2026-07-07T22:58:18.000000Z"}
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import Annotated, Final, Literal

import msgspec

from btc.feeds.decimals import trade_of
from btc.feeds.feed import Acknowledged, Event, Ignored, Malformed, Newest, Refused
from btc.feeds.pairs import symbol_of
from btc.times import from_datetime
from btc.trades import Market, Trade, Trades, by_market

VENUE: Final = "coinbase"

_QUOTES: Final = ("USDT", "USDC", "USD", "EUR", "GBP", "BTC", "ETH", "DAI")
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_Identity = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class _Match(msgspec.Struct, frozen=True, gc=False):
    type: Literal["match", "last_match"]
    trade_id: _Identity
    side: Literal["buy", "sell"]
    size: str
    price: str
    product_id: str
    time: _Moment


class _Heartbeat(msgspec.Struct, frozen=True):
    last_trade_id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    product_id: str
    time: _Moment


class _Channel(msgspec.Struct, frozen=True):
    name: str
    product_ids: list[str] = []


class _Subscriptions(msgspec.Struct, frozen=True):
    channels: list[_Channel]


class _Error(msgspec.Struct, frozen=True):
    message: str = "no reason given"
    reason: str = ""


class _AnyFrame(msgspec.Struct, frozen=True):
    type: str


_MATCH: Final = msgspec.json.Decoder(_Match)
_HEARTBEAT: Final = msgspec.json.Decoder(_Heartbeat)
_SUBSCRIPTIONS: Final = msgspec.json.Decoder(_Subscriptions)
_ERROR: Final = msgspec.json.Decoder(_Error)
_ANY: Final = msgspec.json.Decoder(_AnyFrame)

_TRADES: Final = (b'{"type":"match"', b'{"type":"last_match"')
_PRODUCT: Final = re.compile(r"\b[A-Z0-9]+-[A-Z0-9]+\b")


@dataclass(frozen=True, slots=True)
class Coinbase:
    """The public channels `matches` and `heartbeat` of Coinbase Exchange."""

    venue: str = VENUE
    url: str = "wss://ws-feed.exchange.coinbase.com"
    # Each product's heartbeat comes each second.
    silence: float = 10.0
    quiet: float = math.inf
    lifetime: float = math.inf

    def address(self, url: str, symbols: Sequence[str]) -> str:  # noqa: ARG002 - the subscription names them
        return url

    def symbol(self, text: str) -> str:
        return symbol_of(text, _QUOTES)

    def subscribe(self, symbols: Sequence[str]) -> Sequence[str]:
        # The newest trade of each product follows unasked, as `last_match`.
        request = {"type": "subscribe", "product_ids": list(symbols), "channels": ["matches", "heartbeat"]}
        return [msgspec.json.encode(request).decode()]

    def ping(self) -> None:
        return None

    def parse(self, frame: bytes) -> Sequence[Event]:
        try:
            kind = _ANY.decode(frame).type
            if kind in ("match", "last_match"):
                return list(_trades([_MATCH.decode(frame)]))
            return list(_told(kind, frame))
        except (msgspec.MsgspecError, ValueError) as error:
            return (Malformed(f"{type(error).__name__}: {error}", frame),)

    def read(self, frames: Sequence[bytes]) -> Iterator[Event]:
        for are_trades, run in groupby(frames, key=_starts_with_match):
            part = list(run)
            if are_trades and (trades := _all_trades(part)):
                yield from trades
            else:
                for frame in part:
                    yield from self.parse(frame)


@lru_cache
def market_of(product: str) -> Market:
    """The market of a product, `BTC-USD`; raises ValueError on what names none."""
    return Market(VENUE, symbol_of(product, _QUOTES))


def _starts_with_match(frame: bytes) -> bool:
    return frame.startswith(_TRADES)


def _all_trades(frames: Sequence[bytes]) -> list[Trades] | None:
    """The frames' trades by market, or None where one of them must be told from the others."""
    try:
        # A list takes just one document a frame, where lines would hide a frame of two.
        return list(_trades([_MATCH.decode(frame) for frame in frames]))
    except ValueError:
        return None


def _trades(matches: Iterable[_Match]) -> Iterator[Trades]:
    return by_market(map(_trade, matches))


def _trade(match: _Match) -> Trade:
    # The side told is the maker's: where the maker sold, the taker bought.
    return trade_of(
        market_of(match.product_id),
        match.trade_id,
        from_datetime(match.time),
        match.price,
        match.size,
        taker_buys=match.side == "sell",
    )


def _told(kind: str, frame: bytes) -> Iterator[Event]:
    """What a frame without trades says."""
    match kind:
        case "heartbeat":
            beat = _HEARTBEAT.decode(frame)
            yield Newest(market_of(beat.product_id), beat.last_trade_id, from_datetime(beat.time))
        case "subscriptions":
            listed = [
                channel.product_ids for channel in _SUBSCRIPTIONS.decode(frame).channels if channel.name == "matches"
            ]
            yield from (Acknowledged(market_of(product)) for products in listed for product in products)
        case "error":
            yield _refusal(_ERROR.decode(frame))
        case _:
            yield Ignored(kind)


def _refusal(error: _Error) -> Refused:
    words = f"{error.message}: {error.reason}" if error.reason else error.message
    if error.message != "Failed to subscribe":
        return Refused(None, words)
    product = _PRODUCT.search(error.reason)
    return Refused(product[0] if product else "the products asked for", words)
