"""What a feed's frames say: against real captures, and against numbers written to be misread."""

import gzip
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btc.feeds import kraken_rest, replay
from btc.feeds.feed import Acknowledged, Alive, Clock, Event, Ignored, Malformed, Refused, Status
from btc.feeds.kraken import Kraken, rest_pair, symbol_of
from btc.feeds.rest import NotTradesError
from btc.tape import Watermark
from btc.times import parse_iso
from btc.trades import Market, Trade, Trades
from btc.units import from_units, to_units

FEED = Kraken()
BTC = Market("kraken", "BTC-USD")
ETH = Market("kraken", "ETH-USD")
USDT = Market("kraken", "BTC-USDT")


def frame(*items: str) -> bytes:
    return ('{"channel":"trade","type":"update","data":[' + ",".join(items) + "]}").encode()


def item(price: str = "63501.9", qty: str = "0.00004134", trade_id: int = 7, symbol: str = "BTC/USD") -> str:
    return (
        f'{{"symbol":"{symbol}","side":"buy","price":{price},"qty":{qty},"ord_type":"limit",'
        f'"trade_id":{trade_id},"timestamp":"2026-07-07T23:00:04.590753Z"}}'
    )


def test_the_live_capture_gives_its_trades_and_nothing_else(market_data: Path) -> None:
    tally: Counter[str] = Counter()

    entries = list(replay.entries(FEED, BTC, [market_data / "wire/kraken_live_20260707.ndjson.gz"], tally))

    trades = [trade for entry in entries if isinstance(entry, Trades) for trade in entry]
    assert [trade.trade_id for trade in trades] == list(range(103_436_768, 103_436_780))
    assert trades[0] == Trade(
        BTC, 103_436_768, parse_iso("2026-07-07T23:00:04.590753Z"), 6_350_190_000_000, 4_134, True
    )
    assert not trades[1].taker_buys
    assert tally["malformed"] == tally["missing"] == tally["repeats"] == 0
    assert tally["foreign"] == 5
    assert tally["ignored"] > 2_900


def test_each_frame_of_the_live_capture_reads_as_json_and_decimal_would_read_it(market_data: Path) -> None:
    lines = gzip.decompress((market_data / "wire/kraken_live_20260707.ndjson.gz").read_bytes()).splitlines()
    plain = [
        (row["trade_id"], to_units(row["price"]), to_units(row["qty"]), row["side"] == "buy", row["symbol"])
        for line in lines
        for document in [json.loads(line, parse_float=Decimal)]
        if document.get("channel") == "trade"
        for row in document["data"]
    ]

    parsed = [
        (trade.trade_id, trade.price, trade.size, trade.taker_buys, trade.market.symbol.replace("-", "/"))
        for line in lines
        for event in FEED.parse(line)
        if isinstance(event, Trades)
        for trade in event
    ]

    assert parsed == plain
    assert len(parsed) == 17


def test_control_frames_say_what_they_say(market_data: Path) -> None:
    lines = (market_data / "wire/kraken_v2_control_frames.jsonl").read_bytes().splitlines()

    status, alive, book, acknowledged, refused, pong, trade, snapshot = map(FEED.parse, lines)

    assert status == (Status("online", matching=True),)
    assert alive == (Alive(),)
    assert book == (Ignored("subscribe"),)
    assert acknowledged == (Acknowledged(BTC),)
    assert refused == (Refused("XBT/USD", "Currency pair not supported XBT/USD"),)
    assert pong == (Clock(parse_iso("2023-09-25T09:05:00.123500Z")),)
    assert isinstance(trade[0], Trades)
    assert [part.market for part in snapshot if isinstance(part, Trades)] == [ETH, BTC]


def test_maintenance_is_told_and_a_crowded_connection_is_refused_without_a_symbol() -> None:
    assert FEED.parse(b'{"channel":"status","type":"update","data":[{"system":"maintenance"}]}') == (
        Status("maintenance", matching=False),
    )
    assert FEED.parse(b'{"Error":"Exceeded msg rate"}') == (Refused(None, "Exceeded msg rate"),)


decimals = st.decimals(
    min_value=Decimal("0.00000001"), max_value=Decimal(90_000_000_000), places=8, allow_nan=False, allow_infinity=False
)


@given(decimals, decimals, st.integers(1, 2**63 - 1))
def test_every_number_of_up_to_eight_decimals_is_exact(price: Decimal, size: Decimal, trade_id: int) -> None:
    [event] = FEED.parse(frame(item(f"{price:f}", f"{size:f}", trade_id)))

    assert isinstance(event, Trades)
    assert (from_units(event.prices[0]), from_units(event.sizes[0]), event.ids[0]) == (price, size, trade_id)


@pytest.mark.parametrize(
    "number", ["63501.900000000001", "0.123456789", "6350190000000000.1e-11", "1.5E-9", "1e-9", "123456.789012345e-1"]
)
def test_a_number_finer_than_the_units_is_set_aside_and_never_rounded(number: str) -> None:
    for text in (frame(item(number)), frame(item(), item(qty=number))):
        [event] = FEED.parse(text)
        assert isinstance(event, Malformed)
        assert "TooFineError" in event.cause


@pytest.mark.parametrize(("number", "units"), [("6.35019e4", 6_350_190_000_000), ("12e-8", 12), ("1E2", 10**10)])
def test_exponents_are_numbers_too(number: str, units: int) -> None:
    [event] = FEED.parse(frame(item(number)))

    assert isinstance(event, Trades)
    assert event.prices == [units]


@given(st.one_of(st.binary(), st.text().map(str.encode), st.integers(0, 300).map(lambda cut: frame(item())[:cut])))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    for event in FEED.parse(data):
        assert not isinstance(event, Trades) or data == frame(item())


@pytest.mark.parametrize(
    "text",
    [
        frame(item("0.0")),
        frame(item("-1.0")),
        frame(item('"much"')),
        frame(item(symbol="nonsense")),
        frame(item().replace('"buy"', '"hold"')),
        frame(item().replace("Z", "")),
        frame(item(trade_id=2**63)),
        frame(item("1e400")),
        frame(item("1e9999999")),
        b'{"channel":"trade","data":[{"symbol":"BTC/USD"}]}',
    ],
)
def test_a_trade_that_does_not_read_is_set_aside_with_its_cause(text: bytes) -> None:
    [event] = FEED.parse(text)

    assert isinstance(event, Malformed)
    assert event.cause
    assert event.frame == text


def test_many_frames_say_what_each_of_them_says(market_data: Path) -> None:
    capture = gzip.decompress((market_data / "wire/kraken_live_20260707.ndjson.gz").read_bytes()).splitlines()
    odd = [frame(item("0.123456789")), b'{"channel":"trade"', frame(item()), frame(item(), item(symbol="ETH/USD"))]
    frames = capture + odd + capture[-1500:]

    together = list(FEED.read(frames))
    apart = [event for text in frames for event in FEED.parse(text)]

    def told(events: list[Event]) -> tuple[list[Trade], list[Event]]:
        trades = [trade for event in events if isinstance(event, Trades) for trade in event]
        return sorted(trades), [event for event in events if not isinstance(event, Trades)]

    assert told(together) == told(apart)


def test_the_order_of_a_frames_keys_does_not_matter() -> None:
    document = json.loads(frame(item()))
    shuffled = json.dumps({"data": document["data"], "type": "update", "channel": "trade"}).encode()

    assert FEED.parse(shuffled) == list(FEED.parse(frame(item())))


def test_one_symbol_has_many_spellings() -> None:
    for text in ("BTC-USDT", "BTC/USDT", "XBTUSDT", "xbt/usdt"):
        assert symbol_of(text) == "BTC-USDT"
    assert symbol_of("XXBTZUSD") == symbol_of("BTCUSD") == "BTC-USD"
    assert symbol_of("XETHXXBT") == "ETH-BTC"
    assert rest_pair("BTC-USDT") == "XBTUSDT"
    assert rest_pair("DOGE-USD") == "XDGUSD"
    for text in ("", "BTC", "/", "BTC-", "USD"):
        with pytest.raises(ValueError, match="names no pair"):
            symbol_of(text)


def test_subscribing_asks_for_the_snapshot_in_the_venues_spelling() -> None:
    [text] = FEED.subscribe(["BTC-USD", "ETH-USD"])

    assert json.loads(text)["params"] == {"channel": "trade", "symbol": ["BTC/USD", "ETH/USD"], "snapshot": True}


def test_a_recorded_rest_page_is_one_unbroken_run(market_data: Path) -> None:
    path = market_data / "oracle/kraken_rest_trades_first.json"
    tally: Counter[str] = Counter()

    trades, mark = replay.entries(FEED, USDT, [path], tally)

    assert isinstance(trades, Trades)
    assert trades.ids == list(range(10_218_208, 10_218_708))
    rows = json.loads(path.read_bytes(), parse_float=Decimal)["result"]["XBTUSDT"]
    assert trades.prices == [to_units(row[0]) for row in rows]
    assert trades.times == [int(row[2] * 10**6) for row in rows]
    assert trades.taker_buys == bytes(row[3] == "b" for row in rows)
    assert mark == Watermark(USDT, trades.times[-1] - 1, 10_218_706)
    assert tally == Counter(trades=500)


def test_a_capture_may_carry_the_recorders_clock_and_be_compressed(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed.gz"
    plain.write_bytes(b"1723075200123456789 " + frame(item()) + b"\n\n" + frame(item(trade_id=8)) + b"\n")
    packed.write_bytes(gzip.compress(plain.read_bytes()))

    for path in (plain, packed):
        assert [event.ids for event in replay.events(FEED, path) if isinstance(event, Trades)] == [[7], [8]]


def test_a_rest_document_without_trades_is_no_capture(tmp_path: Path) -> None:
    path = tmp_path / "refused.json"
    path.write_bytes(b'{"error":[],"result":{"XBTUSDT":[["1"]],"last":"1"}}')

    with pytest.raises(replay.CaptureError, match=r"refused\.json"):
        list(replay.events(FEED, path))
    with pytest.raises(NotTradesError, match="EQuery:Unknown asset pair"):
        kraken_rest.read_page(b'{"error":["EQuery:Unknown asset pair"]}')
