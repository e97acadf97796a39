"""The simulated exchange's WebSocket: Kraken's protocol as Kraken speaks it."""

import gzip
import json
import re
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from btc.times import HOUR, SECOND, parse_iso
from local.exchange.floor import Scenario


def receive(socket: ClientConnection) -> dict[str, Any]:
    return json.loads(socket.recv(timeout=5), parse_float=Decimal)


def trades_of(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    trades: list[dict[str, Any]] = []
    while len(trades) < count:
        frame = receive(socket)
        if frame.get("channel") == "trade":
            trades += frame["data"]
    return trades


def subscribe(socket: ClientConnection, *symbols: str, **params: object) -> None:
    params = {"channel": "trade", "symbol": list(symbols or ["BTC/USD"])} | params
    socket.send(json.dumps({"method": "subscribe", "params": params, "req_id": 42}))


def after(socket: ClientConnection, method: str) -> dict[str, Any]:
    """The first answer of this method, past whatever else the socket says."""
    while (frame := receive(socket)).get("method") != method:
        pass
    return frame


def test_a_session_greets_acks_and_continues_the_history_without_a_hole(exchange):
    with connect(exchange.websocket) as socket:
        status = receive(socket)
        subscribe(socket, snapshot=True)
        ack, snapshot = receive(socket), receive(socket)
        updates = trades_of(socket, 30)

    assert status["data"][0]["connection_id"] > 2**53
    assert status["data"][0]["system"] == "online"
    assert (ack["success"], ack["req_id"], ack["result"]["symbol"]) == (True, 42, "BTC/USD")
    assert (snapshot["type"], len(snapshot["data"])) == ("snapshot", 50)
    seen = snapshot["data"] + updates
    assert [trade["trade_id"] for trade in seen] == list(range(seen[0]["trade_id"], seen[0]["trade_id"] + len(seen)))
    at_rest = {row[-1]: row for row in exchange.history(since=exchange.scenario.now - HOUR)}
    for trade in seen:
        price, size, moment, side, kind, _, _ = at_rest[trade["trade_id"]]
        assert (trade["price"], trade["qty"]) == (Decimal(price), Decimal(size))
        assert parse_iso(trade["timestamp"]) == round(moment * SECOND)
        assert (trade["side"][0], trade["ord_type"][0]) == (side, kind)


def test_without_a_snapshot_the_first_trade_is_the_next_to_happen(exchange):
    with connect(exchange.websocket) as socket:
        subscribe(socket, snapshot=False)
        ack = after(socket, "subscribe")
        first = trades_of(socket, 1)[0]

    assert ack["result"]["snapshot"] is False
    assert parse_iso(first["timestamp"]) >= parse_iso(ack["time_in"])


def test_numbers_keep_their_trailing_zeros_and_times_their_microseconds(exchange):
    with connect(exchange.websocket) as socket:
        subscribe(socket, snapshot=True)
        while '"snapshot","data"' not in (text := socket.recv(timeout=5)):
            pass

    assert len(re.findall(r'"price":\d+\.\d,"qty":\d+\.\d{8},', text)) == 50
    assert len(re.findall(r'"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"', text)) == 50


def test_each_symbol_is_answered_and_refusals_are_in_krakens_words(exchange):
    with connect(exchange.websocket) as socket:
        subscribe(socket, "XBT/USD", "BTC/USD")
        nack, ack = after(socket, "subscribe"), after(socket, "subscribe")
        subscribe(socket, channel="weather")
        unknown = after(socket, "subscribe")

    assert nack["error"] == "Currency pair not supported XBT/USD"
    assert (nack["success"], nack["symbol"], nack["req_id"]) == (False, "XBT/USD", 42)
    assert ack["success"] is True
    assert unknown["error"] == "Subscription name invalid"


@pytest.mark.parametrize(
    "text", ["hello", "[]", '{"method":1}', '{"method":"dance"}', '{"method":"ping","req_id":"x"}']
)
def test_nonsense_is_refused_and_the_connection_lives_on(exchange, text):
    with connect(exchange.websocket) as socket:
        receive(socket)
        socket.send(text)
        assert receive(socket)["success"] is False
        socket.send('{"method":"ping"}')
        assert receive(socket)["method"] == "pong"


def test_ping_is_answered_at_the_exchanges_time(exchange):
    with connect(exchange.websocket) as socket:
        receive(socket)
        socket.send('{"method":"ping","req_id":9007199254740993}')
        pong = receive(socket)

    assert pong["req_id"] == 9007199254740993
    assert exchange.scenario.now <= parse_iso(pong["time_in"]) <= parse_iso(pong["time_out"])


def test_after_unsubscribe_no_trade_comes(exchange):
    with connect(exchange.websocket) as socket:
        subscribe(socket)
        trades_of(socket, 1)
        socket.send('{"method":"unsubscribe","params":{"channel":"trade","symbol":["BTC/USD"]}}')
        assert after(socket, "unsubscribe")["success"] is True
        assert receive(socket) == {"channel": "heartbeat"}


def test_a_disconnect_cuts_the_socket_without_a_farewell(exchange):
    with connect(exchange.websocket) as socket:
        subscribe(socket)
        exchange.control(disconnect=True)
        with pytest.raises(ConnectionClosed) as closed:
            trades_of(socket, 10_000)

    assert closed.value.rcvd is None


def test_what_a_muted_socket_did_not_say_is_at_rest(exchange):
    with connect(exchange.websocket) as socket:
        subscribe(socket)
        before = trades_of(socket, 1)
        exchange.control(mute_seconds=0.7)
        seen = [trade["trade_id"] for trade in before + trades_of(socket, 40)]

    missing = set(range(seen[0], seen[-1] + 1)) - set(seen)
    assert missing
    assert missing <= {row[-1] for row in exchange.history(since=exchange.scenario.now - HOUR)}


def test_a_change_of_the_system_is_told_to_all(exchange):
    with connect(exchange.websocket) as socket:
        receive(socket)
        exchange.control(system="maintenance")
        told = receive(socket)["data"][0]["system"]
        at_rest = exchange.get("SystemStatus")["result"]["status"]
        exchange.control(system="online")

    assert told == at_rest == "maintenance"


def test_heartbeats_come_only_when_it_is_quiet_and_after_a_subscription(launch_exchange):
    scenario = Scenario(parse_iso("2026-11-21T04:00:00Z"), history_days=1, trades_per_minute=0.01)
    with launch_exchange(scenario) as quiet, connect(quiet.websocket) as socket:
        receive(socket)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=1.2)
        subscribe(socket, snapshot=False)
        assert after(socket, "subscribe")["success"] is True
        assert receive(socket) == receive(socket) == {"channel": "heartbeat"}


def test_an_unlisted_symbol_is_refused_with_the_choice():
    command = [sys.executable, "-m", "local.exchange", "--symbols", "DOGE-USD"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    assert refused.returncode == 2
    assert "BTC-USD, ETH-USD" in refused.stderr


def shape(frame: object) -> object:
    """The frame's keys and the types of its leaves; a list is the shape of its first element."""
    if isinstance(frame, dict):
        return {key: shape(value) for key, value in frame.items()}
    if isinstance(frame, list):
        return [shape(value) for value in frame[:1]]
    return type(frame).__name__


def kind(frame: dict[str, Any]) -> tuple[object, ...]:
    return tuple(frame.get(key) for key in ("channel", "type", "method", "success"))


def test_frames_have_the_shape_of_krakens_own(exchange, market_data):
    wire = market_data / "wire"
    lines = (wire / "kraken_v2_control_frames.jsonl").read_text().splitlines()
    lines += gzip.decompress((wire / "kraken_live_20260707.ndjson.gz").read_bytes()).decode().splitlines()
    real: dict[tuple[object, ...], list[object]] = {}
    for frame in (json.loads(line, parse_float=Decimal) for line in lines):
        frame.pop("req_id", None)
        if frame.get("channel") != "book" and frame.get("result", {}).get("channel") != "book":
            real.setdefault(kind(frame), []).append(shape(frame))

    ours: dict[tuple[object, ...], object] = {}
    with connect(exchange.websocket) as socket:
        subscribe(socket, "BTC/USD", "XBT/USD", snapshot=True)
        socket.send('{"method":"ping","req_id":1}')
        while set(ours) != set(real) - {("heartbeat", None, None, None)}:
            frame = receive(socket)
            frame.pop("req_id", None)
            ours[kind(frame)] = shape(frame)

    assert all(ours[key] in real[key] for key in ours)
