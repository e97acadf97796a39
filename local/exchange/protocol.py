"""The frames of Kraken's WebSocket v2, built and read; no socket in sight.

A client first sees `{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online",…}]}`. The words
of refusal for unlisted pairs and unknown channels are Kraken's; for other bad requests they are this exchange's own.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from btc.times import to_datetime
from local.exchange.market import FIRST_ID, Tape
from local.exchange.pairs import PAIRS, Pair, fixed

SNAPSHOT_TRADES: Final = 50
SYSTEMS: Final = ("online", "cancel_only", "maintenance", "post_only")
HEARTBEAT: Final = '{"channel":"heartbeat"}'
LISTED: Final = {pair.websocket: pair for pair in PAIRS.values()}


class RequestError(ValueError):
    """A request the exchange answers with its own words of refusal; `symbol` where one symbol is refused."""

    def __init__(self, words: str, symbol: str | None = None) -> None:
        super().__init__(words)
        self.symbol = symbol


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks: its method, its parameters, and the id to echo (None where it sent none)."""

    method: str
    params: dict[str, Any]
    req_id: int | None

    @classmethod
    def parse(cls, text: str | bytes) -> "Request":
        """Raises RequestError on what is no request."""
        try:
            frame = json.loads(text)
        except ValueError:
            raise RequestError("Malformed request") from None
        match frame:
            case {"method": str(method)}:
                params, req_id = frame.get("params", {}), frame.get("req_id")
            case _:
                raise RequestError("Malformed request")
        if not isinstance(params, dict) or not (req_id is None or isinstance(req_id, int)):
            raise RequestError("Malformed request")
        return cls(method, params, req_id)

    def symbols(self) -> list[str]:
        """The symbols of a trade subscription; raises RequestError on any other channel or shape."""
        if self.params.get("channel") != "trade":
            raise RequestError("Subscription name invalid")
        symbols = self.params.get("symbol")
        if not (isinstance(symbols, list) and symbols and all(isinstance(symbol, str) for symbol in symbols)):
            raise RequestError("Symbol(s) not found")
        return symbols


def listed(symbol: str) -> Pair:
    """The pair of a WebSocket symbol; raises RequestError as Kraken words it."""
    if symbol not in LISTED:
        raise RequestError(f"Currency pair not supported {symbol}", symbol)
    return LISTED[symbol]


def moment(time: int) -> str:
    """RFC 3339 with all six digits of the microseconds: `2024-07-27T21:15:57.923475Z`."""
    return to_datetime(time).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def status(system: str, connection_id: int) -> str:
    """The frame that greets a connection and tells each change of the engine's state."""
    state = {"version": "2.0.10", "system": system, "api_version": "v2", "connection_id": connection_id}
    return _dump({"channel": "status", "type": "update", "data": [state]})


def ack(request: Request, symbol: str, time_in: int, time_out: int) -> str:
    """The answer to one symbol of a subscribe or unsubscribe request."""
    result: dict[str, object] = {"channel": "trade"}
    if request.method == "subscribe":
        result["snapshot"] = request.params.get("snapshot", False) is True
    answer = _answer(request.method, request.req_id)
    return _dump(answer | {"result": result | {"symbol": symbol}, "success": True} | _times(time_in, time_out))


def nack(method: str | None, req_id: int | None, error: RequestError, time_in: int, time_out: int) -> str:
    """A refusal: the words in `error`, the refused symbol at the top level."""
    symbol = {} if error.symbol is None else {"symbol": error.symbol}
    answer = {"error": str(error)} | _answer(method, req_id) | {"success": False} | symbol
    return _dump(answer | _times(time_in, time_out))


def pong(request: Request, time_in: int, time_out: int) -> str:
    return _dump(_answer("pong", request.req_id) | _times(time_in, time_out))


def trades(kind: str, pair: Pair, tape: Tape, first: int) -> str:
    """A frame of the trade channel, `kind` snapshot or update; `first` is the tape's place of its first trade.

    Prices and sizes are JSON numbers with their trailing zeros, which no JSON library writes: hence by hand.
    """
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(_trade_items(pair, tape, first))}]}}'


def _trade_items(pair: Pair, tape: Tape, first: int) -> Iterator[str]:
    columns = tape.times, tape.prices, tape.sizes, tape.taker_buys, tape.market_orders
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for trade_id, (time, price, size, buys, market) in enumerate(rows, FIRST_ID + first):
        yield (
            f'{{"symbol":"{pair.websocket}","side":"{"buy" if buys else "sell"}",'
            f'"price":{pair.price(price)},"qty":{fixed(size)},"ord_type":"{"market" if market else "limit"}",'
            f'"trade_id":{trade_id},"timestamp":"{moment(time)}"}}'
        )


def _answer(method: str | None, req_id: int | None) -> dict[str, object]:
    answer = {"method": method, "req_id": req_id}
    return {key: value for key, value in answer.items() if value is not None}


def _times(time_in: int, time_out: int) -> dict[str, object]:
    return {"time_in": moment(time_in), "time_out": moment(time_out)}


def _dump(frame: dict[str, object]) -> str:
    return json.dumps(frame, separators=(",", ":"))
