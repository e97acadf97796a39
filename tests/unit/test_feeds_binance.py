"""Binance spot: what its captures say, the bars they prove across midnight, and what is done while it says nothing."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btc import bars, ranges
from btc.bars import Bar
from btc.feeds import replay
from btc.feeds.binance import Binance
from btc.feeds.binance_rest import BinanceRest
from btc.feeds.feed import Acknowledged, Alive, Closing, Event, HistoryError, Ignored, Malformed, Newest, Refused
from btc.tape import Watermark
from btc.times import MINUTE, SECOND, day_of, minute_of
from btc.trades import Market, Trade, Trades
from btc.units import to_units
from functions.ingest_trades.ingestion import RefusedError
from tests.unit.ingesting import NOON, Clock, Past, ingest
from tests.unit.rest_server import Server, serving

FEED = Binance()
BTC = Market("binance", "BTC-USDT")
ETH = Market("binance", "ETH-USDT")
LIVE = "wire/binance_live_20260707.ndjson.gz"
MIDNIGHT = ("wire/binance_spot_btcusdt_20240808.gz", "wire/binance_spot_btcusdt_20240809.gz")


def trade(trade_id: int = 7, stream: str = "btcusdt@trade", **changes: object) -> bytes:
    time = (NOON + trade_id * 1000) // 1000
    fields = {
        "e": "trade",
        "E": time + 1,
        "s": "BTCUSDT",
        "t": trade_id,
        "p": "63551.02000000",
        "q": "0.00317000",
        "T": time,
        "m": True,
        "M": True,
    }
    return json.dumps({"stream": stream, "data": {**fields, **changes}}, separators=(",", ":")).encode()


LISTED = b'{"result":["btcusdt@trade"],"id":1}'
PONG = b'{"result":true,"id":2}'
SHUTDOWN = b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}'


def of(event: Event) -> list[Trade]:
    return list(event) if isinstance(event, Trades) else []


def test_two_days_captures_are_one_unbroken_run_across_midnight(market_data: Path) -> None:
    tally: Counter[str] = Counter()

    entries = list(replay.entries(FEED, BTC, [market_data / name for name in MIDNIGHT], tally))

    parts = [ranges.runs(entry.in_order().ids) for entry in entries if isinstance(entry, Trades)]
    assert ranges.union(*parts) == ((3_735_683_259, 3_735_703_162),)
    assert tally["trades"] == 19_904
    assert tally["malformed"] == tally["missing"] == tally["repeats"] == tally["foreign"] == 0


def test_all_bars_of_the_two_days_but_those_at_the_captures_edges_are_proven(market_data: Path) -> None:
    merged: dict[int, Bar] = {}
    marks: list[Watermark] = []
    for entry in replay.entries(FEED, BTC, [market_data / name for name in MIDNIGHT], Counter()):
        if isinstance(entry, Trades):
            merged = bars.merge(merged, entry)
        else:
            marks.append(entry)

    proven = list(bars.prove(merged, marks).values())

    assert [bar.start for bar in proven] == list(range(proven[0].start, proven[-1].end, MINUTE))
    assert day_of(proven[0].start) < day_of(proven[-1].start)
    assert [bar.complete and bar.closed for bar in proven] == [False, *[True] * (len(proven) - 2), False]
    assert sum(bar.trade_count for bar in proven) == 19_904
    assert_oracle(market_data, proven)


def assert_oracle(market_data: Path, proven: Sequence[Bar]) -> None:
    """The bars by way of json, Decimal and one dictionary of lists."""
    minutes: dict[int, list[dict[str, Any]]] = {}
    for name in MIDNIGHT:
        for line in gzip.decompress((market_data / name).read_bytes()).splitlines():
            row = json.loads(line.partition(b" ")[2])["data"]
            minutes.setdefault(minute_of(row["T"] * 1000), []).append(row)
    for bar in proven:
        rows = minutes[bar.start]
        prices = [to_units(row["p"]) for row in rows]
        assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
        assert bar.volume == to_units(sum((Decimal(row["q"]) for row in rows), Decimal()))
        assert bar.buy_volume == to_units(sum((Decimal(row["q"]) for row in rows if not row["m"]), Decimal()))


def test_the_live_capture_gives_each_symbols_trades_and_no_book(market_data: Path) -> None:
    for market, count, others, first in ((BTC, 748, 415, 6_486_989_273), (ETH, 415, 748, None)):
        tally: Counter[str] = Counter()
        entries = list(replay.entries(FEED, market, [market_data / LIVE], tally))
        ids = [identity for entry in entries if isinstance(entry, Trades) for identity in entry.ids]
        assert ids == list(range(ids[0], ids[0] + count))
        assert first in (None, ids[0])
        assert (tally["foreign"], tally["ignored"]) == (others, 900)
        assert tally["malformed"] == tally["missing"] == tally["repeats"] == 0


def test_many_frames_say_what_each_of_them_says(market_data: Path) -> None:
    lines = gzip.decompress((market_data / LIVE).read_bytes()).splitlines()
    frames = [*lines, trade(1), trade(2, p="0.123456789"), b'{"stream":"btcusdt@trade","da', trade(3) + trade(4)]

    together, apart = list(FEED.read(frames)), [event for frame in frames for event in FEED.parse(frame)]

    assert sorted(t for event in together for t in of(event)) == sorted(t for event in apart for t in of(event))
    dull = (Trades, Newest)
    assert [e for e in together if not isinstance(e, dull)] == [e for e in apart if not isinstance(e, dull)]
    for market in (BTC, ETH):
        last_ids = [
            [e.last_id for e in events if isinstance(e, Newest) and e.market == market] for events in (together, apart)
        ]
        assert last_ids[0][-1] == last_ids[1][-1]


def test_the_buyer_who_made_the_market_did_not_take_it_and_times_come_in_two_units() -> None:
    sold, clock = FEED.parse(trade(7))
    bought, _ = FEED.parse(trade(8, m=False, T=NOON + 5, E=NOON + 9))

    assert of(sold) == [Trade(BTC, 7, NOON + 7000, 6_355_102_000_000, 317_000, taker_buys=False)]
    assert clock == Newest(BTC, 7, NOON + 8000)
    assert of(bought) == [Trade(BTC, 8, NOON + 5, 6_355_102_000_000, 317_000, taker_buys=True)]


def test_a_raw_stream_says_the_same_as_a_combined_one() -> None:
    assert FEED.parse(json.dumps(json.loads(trade())["data"]).encode()) == FEED.parse(trade())


def test_control_frames_say_what_they_say() -> None:
    assert FEED.parse(b'{"result":["btcusdt@trade","ethusdt@trade","btcusdt@depth"],"id":1}') == [
        Acknowledged(BTC),
        Acknowledged(ETH),
    ]
    assert FEED.parse(PONG) == FEED.parse(b'{"error":{"code":2,"msg":"unknown"},"id":2}') == [Alive()]
    assert FEED.parse(SHUTDOWN) == [Closing("serverShutdown")]
    assert FEED.parse(b'{"e":"serverShutdown","E":1770123456789}') == [Closing("serverShutdown")]
    assert FEED.parse(b'{"result":null,"id":7}') == [Ignored("unknown")]
    assert FEED.parse(b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","a":1}}') == [Ignored("aggTrade")]
    words = "Invalid request: unknown variant"
    [refused] = FEED.parse(json.dumps({"error": {"code": 2, "msg": words}, "id": 1}).encode())
    assert refused == Refused("the streams asked for", f"{words} (code 2)")
    assert FEED.parse(b'{"code":3,"msg":"Too many requests"}') == [Refused(None, "Too many requests (code 3)")]


@pytest.mark.parametrize(
    "frame",
    [
        trade(p="0.00000000"),
        trade(q="-1"),
        trade(p="much"),
        trade(p=63551.02),
        trade(p="0.123456789"),
        trade(m="yes"),
        trade(s="nonsense!"),
        trade(T=-1),
        trade(t=0),
        b'{"stream":"btcusdt@trade","data":{"e":"trade"}}',
        b"nonsense",
    ],
)
def test_what_does_not_read_is_set_aside_with_its_cause(frame: bytes) -> None:
    for [event] in (list(FEED.parse(frame)), list(FEED.read([frame]))):
        assert isinstance(event, Malformed)
        assert event.cause
        assert event.frame == frame


@given(st.one_of(st.binary(), st.integers(0, 300).map(lambda cut: trade()[:cut])))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    for event in FEED.parse(data):
        assert not isinstance(event, Trades) or data == trade()


def test_the_address_names_the_streams_and_the_list_confirms_them() -> None:
    assert FEED.address("wss://stream.binance.com:9443", ["BTC-USDT", "ETH-USDT"]) == (
        "wss://stream.binance.com:9443/stream?streams=btcusdt@trade/ethusdt@trade&timeUnit=MICROSECOND"
    )
    assert [json.loads(text)["method"] for text in FEED.subscribe(["BTC-USDT"])] == ["LIST_SUBSCRIPTIONS"]
    for text in ("BTC-USDT", "BTCUSDT", "btcusdt", "btc/usdt"):
        assert FEED.symbol(text) == "BTC-USDT"
    assert [FEED.symbol(text) for text in ("ETHBTC", "BTCFDUSD", "btceur")] == ["ETH-BTC", "BTC-FDUSD", "BTC-EUR"]
    for text in ("", "USDT", "BTC"):
        with pytest.raises(ValueError, match="names no pair"):
            FEED.symbol(text)


def test_each_trade_brings_its_own_markets_clock_forward() -> None:
    minutes = [(NOON + minute * MINUTE) // 1000 for minute in (2, 3)]
    frames = [trade(identity, T=time, E=time + 1) for identity, time in zip((2, 3), minutes, strict=True)]

    _, sink = ingest(FEED, BTC, [LISTED, *frames], Past(BTC, [1]), 3)

    assert [(mark.time - NOON, mark.last_id) for mark in sink.marks()] == [
        (999, 0),
        (2 * MINUTE + 1000, 2),
        (3 * MINUTE + 1000, 3),
    ]


def test_a_connection_begins_where_the_last_known_trade_ended() -> None:
    ingestion, sink = ingest(FEED, BTC, [LISTED, trade(4), *[PONG] * 9], Past(BTC, [1], [2, 3, 4]), 3)

    assert ingestion.tally.gaps == 1
    assert [identity for entry in sink.trades() for identity in entry.ids] == [1, 4, 2, 3]


def test_a_quiet_market_is_looked_up_and_its_clock_goes_on() -> None:
    told = [Newest(BTC, 1, NOON + minute * MINUTE) for minute in (1, 2, 3)]

    ingestion, sink = ingest(FEED, BTC, [LISTED, *[PONG] * 1400], Past(BTC, [1], newest=told), 13)

    assert [(mark.time - NOON, mark.last_id) for mark in sink.marks()] == [
        (999, 0),
        *((minute * MINUTE, 1) for minute in (1, 2, 3)),
    ]
    assert ingestion.tally.connections == 1


def test_what_a_silent_connection_has_lost_is_found_by_looking_the_market_up() -> None:
    told = [Newest(BTC, 3, NOON + 9 * SECOND)]

    ingestion, sink = ingest(FEED, BTC, [LISTED, *[PONG] * 500], Past(BTC, [1], [2, 3], newest=told), 4)

    assert ingestion.tally.gaps == 1
    assert [identity for entry in sink.trades() for identity in entry.ids] == [1, 2, 3]


def test_a_connection_that_answers_no_question_is_dead_even_if_nothing_trades() -> None:
    ingestion, _ = ingest(FEED, BTC, [LISTED], Past(BTC, [1]), 25)

    assert ingestion.tally.connections >= 2


def test_a_server_that_shuts_down_is_left_at_once_and_an_old_connection_before_its_end() -> None:
    ingestion, _ = ingest(FEED, BTC, [LISTED, SHUTDOWN, LISTED, *[PONG] * 20], Past(BTC, [1]), 0.5)
    assert ingestion.tally.connections == 2

    ingestion, _ = ingest(Binance(lifetime=5.0), BTC, [LISTED, *[PONG] * 3000], Past(BTC, [1]), 12)
    assert ingestion.tally.connections == 3
    assert Binance().lifetime < 24 * 3600


def test_a_refused_subscription_ends_the_run_in_the_venues_words() -> None:
    with pytest.raises(RefusedError, match="Invalid request"):
        ingest(FEED, BTC, [b'{"error":{"code":2,"msg":"Invalid request"},"id":1}'], Past(BTC, [1]), 3)


LAST = 2500


def well(path: str, query: dict[str, str]) -> Any:
    if path == "/api/v3/time":
        return {"serverTime": NOON + 9}
    if path == "/api/v3/aggTrades":
        since = (int(query["startTime"]) * 1000 - NOON) // SECOND
        return [{"a": 1, "f": max(since, 1), "l": LAST}] if since <= LAST else []
    first = LAST + 1 - int(query["limit"]) if path == "/api/v3/trades" else int(query["fromId"])
    return [
        {"id": i, "price": "65000.1", "qty": "0.01", "quoteQty": "1", "time": NOON + i * SECOND, "isBuyerMaker": True}
        for i in range(first, min(LAST, first + int(query["limit"]) - 1) + 1)
    ]


@pytest.fixture
def venue() -> Iterator[Server]:
    with serving(well) as server:
        yield server


def rest_of(venue: Server, clock: Clock, **options: Any) -> BinanceRest:
    return BinanceRest(url=venue.url, clock=clock, sleep=clock.sleep, jitter=lambda: 1.0, **options)


def ids(rest: BinanceRest, last_id: int | None, since: int = NOON) -> list[int]:
    backfill = rest.after(BTC, last_id, since)
    found: list[int] = []
    while (page := backfill.step()) is not None:
        assert not any(page.taker_buys)
        found += page.ids
    return found


def test_history_joins_what_is_held_page_by_page_within_the_weight(venue: Server) -> None:
    clock = Clock()

    assert ids(rest_of(venue, clock), 17) == list(range(18, LAST + 1))
    assert all("symbol=BTCUSDT" in path for path in venue.asked)
    # Each page weighs 25 of the 6,000 a minute.
    assert clock.now - 100 >= (len(venue.asked) - 1) * 25 / 6000 * 60 - 1e-9


def test_history_without_a_known_trade_begins_at_its_time(venue: Server) -> None:
    assert ids(rest_of(venue, Clock()), None, NOON + 700 * SECOND) == list(range(700, LAST + 1))
    assert ids(rest_of(venue, Clock()), None, NOON + (LAST + 1) * SECOND) == []


def test_the_newest_trade_is_told_by_the_venues_clock_read_before_it(venue: Server) -> None:
    assert rest_of(venue, Clock()).newest(BTC, NOON) == Newest(BTC, LAST, NOON + 9)
    assert venue.asked == ["/api/v3/time", "/api/v3/trades?symbol=BTCUSDT&limit=1"]


def test_limits_are_honoured_as_the_venue_tells_them(venue: Server) -> None:
    clock, problem = Clock(), {"code": -1003, "msg": "Too much request weight used"}
    rest = rest_of(venue, clock)

    venue.script = [(429, {"Retry-After": "30"}, problem), (418, {"Retry-After": "120"}, problem), (503, {}, b"")]
    assert rest.now() == NOON + 9
    assert clock.now - 100 >= 150
    assert rest.retries == 3

    venue.headers = {"X-MBX-USED-WEIGHT-1M": "5900"}
    rest.now()
    assert rest.wait() >= 9


def test_a_symbol_the_venue_does_not_know_is_told_in_its_words(venue: Server) -> None:
    venue.script = [(400, {}, {"code": -1121, "msg": "Invalid symbol."})]

    with pytest.raises(HistoryError, match=r"Invalid symbol\."):
        ids(rest_of(venue, Clock()), 1)
