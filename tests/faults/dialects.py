"""How each simulated venue speaks: its frames on the WebSocket, its documents in the REST history."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, Self

from btc.times import SECOND, iso
from btc.trades import Market, Trade
from local.exchange.pairs import fixed

Shown = Mapping[Market, Sequence[Trade]]
"""The trades that the venue has shown so far."""

SNAPSHOT: Final = 50
_ROWS: Final = 1000


class Dialect(Protocol):
    symbols: tuple[str, ...]

    def greeting(self, system: str) -> list[str]:
        """What a new connection, or one whose engine changes its state, is told."""
        ...

    def answer(self, text: str, shown: Shown, now: int) -> list[str]:
        """What the client's words are answered with."""
        ...

    def trades(self, trades: Sequence[Trade]) -> list[str]:
        """The frames that tell of these trades of one market."""
        ...

    def again(self, trades: Sequence[Trade]) -> list[str]:
        """The frames that tell of the newest trades once more, as after a subscription."""
        ...

    def beat(self, shown: Shown, now: int) -> list[str]:
        """What comes each second."""
        ...

    def history(self, path: str, query: Mapping[str, str], shown: Shown, rows: int, now: int) -> Any:
        """The answer to a question, in `rows` rows at most; `shown` may be what the venue knew a little earlier."""
        ...


class Kraken:
    symbols = ("BTC-USD", "ETH-USD")

    def greeting(self, system: str) -> list[str]:
        return [json.dumps({"channel": "status", "type": "update", "data": [{"system": system, "version": "2.0.10"}]})]

    def answer(self, text: str, shown: Shown, now: int) -> list[str]:
        request = json.loads(text)
        if request["method"] == "ping":
            return [json.dumps({"method": "pong", "req_id": 2, "time_in": iso(now), "time_out": iso(now)})]
        frames = []
        for market, trades in shown.items():
            result = {"channel": "trade", "snapshot": True, "symbol": market.symbol.replace("-", "/")}
            frames += [json.dumps({"method": "subscribe", "result": result, "success": True}), *self.again(trades)]
        return frames

    def trades(self, trades: Sequence[Trade], kind: str = "update") -> list[str]:
        items = (
            f'{{"symbol":"{trade.market.symbol.replace("-", "/")}","side":"{"buy" if trade.taker_buys else "sell"}",'
            f'"price":{fixed(trade.price)},"qty":{fixed(trade.size)},"ord_type":"limit",'
            f'"trade_id":{trade.trade_id},"timestamp":"{iso(trade.time)}"}}'
            for trade in trades
        )
        return [f'{{"channel":"trade","type":"{kind}","data":[{",".join(items)}]}}']

    def again(self, trades: Sequence[Trade]) -> list[str]:
        return self.trades(trades[-SNAPSHOT:], "snapshot")

    def beat(self, shown: Shown, now: int) -> list[str]:
        return ['{"channel":"heartbeat"}']

    def history(self, path: str, query: Mapping[str, str], shown: Shown, rows: int, now: int) -> Any:
        if path.endswith("/Time"):
            return {"error": [], "result": {"unixtime": now // SECOND}}
        name = query["pair"].replace("XBT", "BTC")
        [trades] = [held for market, held in shown.items() if market.symbol.replace("-", "") == name]
        since = int(query["since"])
        page = [trade for trade in trades if trade.time * 1000 > since][: min(rows, int(query["count"]))]
        told = [
            [
                fixed(trade.price),
                fixed(trade.size),
                _Number(f"{trade.time // SECOND}.{trade.time % SECOND:06d}"),
                "b" if trade.taker_buys else "s",
                "l",
                "",
                trade.trade_id,
            ]
            for trade in page
        ]
        return {"error": [], "result": {name: told, "last": str(page[-1].time * 1000 if page else since)}}


class _Number(float):
    """A float that is written as it was spelled."""

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __repr__(self) -> str:
        return self.text


class Coinbase:
    symbols = ("BTC-USD", "ETH-USD")

    def greeting(self, system: str) -> list[str]:
        return []

    def answer(self, text: str, shown: Shown, now: int) -> list[str]:
        products = [market.symbol for market in shown]
        channels = [{"name": name, "product_ids": products} for name in ("matches", "heartbeat")]
        newest = [frame for trades in shown.values() for frame in self.again(trades)]
        return [json.dumps({"type": "subscriptions", "channels": channels}), *newest]

    def trades(self, trades: Sequence[Trade], kind: str = "match") -> list[str]:
        return [
            f'{{"type":"{kind}","trade_id":{trade.trade_id},"side":"{"sell" if trade.taker_buys else "buy"}",'
            f'"size":"{fixed(trade.size)}","price":"{fixed(trade.price)}","product_id":"{trade.market.symbol}",'
            f'"sequence":{trade.trade_id * 7},"time":"{iso(trade.time)}"}}'
            for trade in trades
        ]

    def again(self, trades: Sequence[Trade]) -> list[str]:
        return self.trades(trades[-1:], "last_match")

    def beat(self, shown: Shown, now: int) -> list[str]:
        return [
            json.dumps(
                {
                    "type": "heartbeat",
                    "last_trade_id": trades[-1].trade_id if trades else 0,
                    "product_id": market.symbol,
                    "time": iso(now),
                }
            )
            for market, trades in shown.items()
        ]

    def history(self, path: str, query: Mapping[str, str], shown: Shown, rows: int, now: int) -> Any:
        if path == "/time":
            return {"iso": iso(now)}
        [trades] = [held for market, held in shown.items() if market.symbol == path.split("/")[2]]
        below = int(query.get("after", 2**62))
        page = [trade for trade in trades if trade.trade_id < below][-min(rows, int(query["limit"])) :]
        return [
            {
                "time": iso(trade.time),
                "trade_id": trade.trade_id,
                "price": fixed(trade.price),
                "size": fixed(trade.size),
                "side": "sell" if trade.taker_buys else "buy",
            }
            for trade in reversed(page)
        ]


class Binance:
    symbols = ("BTC-USDT", "ETH-USDT")

    def greeting(self, system: str) -> list[str]:
        return [] if system == "online" else ['{"stream":"!","data":{"e":"serverShutdown","E":1}}']

    def answer(self, text: str, shown: Shown, now: int) -> list[str]:
        request = json.loads(text)
        streams = [f"{market.symbol.replace('-', '').lower()}@trade" for market in shown]
        return [json.dumps({"result": streams if request["id"] == 1 else True, "id": request["id"]})]

    def trades(self, trades: Sequence[Trade]) -> list[str]:
        return [
            f'{{"stream":"{_pair(trade).lower()}@trade","data":{{"e":"trade","E":{trade.time},"s":"{_pair(trade)}",'
            f'"t":{trade.trade_id},"p":"{fixed(trade.price)}","q":"{fixed(trade.size)}","T":{trade.time},'
            f'"m":{"false" if trade.taker_buys else "true"},"M":true}}}}'
            for trade in trades
        ]

    def again(self, trades: Sequence[Trade]) -> list[str]:
        return self.trades(trades[-3:])

    def beat(self, shown: Shown, now: int) -> list[str]:
        return []

    def history(self, path: str, query: Mapping[str, str], shown: Shown, rows: int, now: int) -> Any:
        if path.endswith("/time"):
            return {"serverTime": now}
        [trades] = [held for market, held in shown.items() if market.symbol.replace("-", "") == query["symbol"]]
        limit = min(rows, int(query["limit"]))
        if path.endswith("/aggTrades"):
            return [{"f": trade.trade_id} for trade in trades if trade.time // 1000 >= int(query["startTime"])][:limit]
        if path.endswith("/trades"):
            return [_row(trade) for trade in trades[-limit:]]
        return [_row(trade) for trade in trades if trade.trade_id >= int(query["fromId"])][:limit]


def _pair(trade: Trade) -> str:
    return trade.market.symbol.replace("-", "")


def _row(trade: Trade) -> dict[str, object]:
    return {
        "id": trade.trade_id,
        "price": fixed(trade.price),
        "qty": fixed(trade.size),
        "time": trade.time,
        "isBuyerMaker": not trade.taker_buys,
    }


DIALECTS: Final[Mapping[str, Dialect]] = {"kraken": Kraken(), "coinbase": Coinbase(), "binance": Binance()}
