"""Coinbase Exchange: what its captures say, what its heartbeats reveal, and its history walked upwards."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btc.feeds import replay
from btc.feeds.coinbase import Coinbase
from btc.feeds.coinbase_rest import ROWS, CoinbaseRest
from btc.feeds.feed import Acknowledged, Event, HistoryError, Ignored, Malformed, Refused
from btc.tape import Watermark
from btc.times import MINUTE, SECOND, iso, parse_iso
from btc.trades import Market, Trade, Trades
from btc.units import to_units
from tests.unit.ingesting import NOON, Clock, Past, ingest
from tests.unit.rest_server import Server, serving

FEED = Coinbase()
BTC = Market("coinbase", "BTC-USD")
ETH = Market("coinbase", "ETH-USD")
CAPTURE = "wire/coinbase_live_20260707.ndjson.gz"


def match(trade_id: int = 7, **changes: object) -> bytes:
    fields = {
        "type": "match",
        "trade_id": trade_id,
        "side": "sell",
        "size": "0.2",
        "price": "63514.6",
        "product_id": "BTC-USD",
        "sequence": 1,
        "time": iso(NOON + trade_id * 1000),
    }
    return json.dumps({**fields, **changes}, separators=(",", ":")).encode()


def beat(last_id: int, second: float, product: str = "BTC-USD") -> bytes:
    time = iso(NOON + int(second * SECOND))
    return json.dumps({"type": "heartbeat", "last_trade_id": last_id, "product_id": product, "time": time}).encode()


ACK = b'{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD"],"account_ids":null}]}'


def lines(market_data: Path) -> list[bytes]:
    return gzip.decompress((market_data / CAPTURE).read_bytes()).splitlines()


def test_the_live_minute_gives_its_344_matches_each_product_apart_and_no_book(market_data: Path) -> None:
    tally: Counter[str] = Counter()

    entries = list(replay.entries(FEED, BTC, [market_data / CAPTURE], tally))

    ids = [identity for entry in entries if isinstance(entry, Trades) for identity in entry.ids]
    # The newest trade before the minute comes first, as `last_match`.
    assert len(ids) == 344 + 1
    assert ids == list(range(ids[0], ids[0] + 345))
    assert tally["foreign"] == 91 + 1
    assert tally["malformed"] == tally["missing"] == tally["repeats"] == 0
    assert tally["ignored"] == 1898 + 2
    assert tally["newest"] == 118
    assert tally["acknowledged"] == 2


def test_the_side_is_the_takers_and_the_numbers_are_exact(market_data: Path) -> None:
    plain = [
        (row["product_id"], row["trade_id"], to_units(row["price"]), to_units(row["size"]), row["side"] == "sell")
        for row in map(json.loads, lines(market_data))
        if row["type"] in ("match", "last_match")
    ]

    trades = [trade for event in map(FEED.parse, lines(market_data)) for part in event for trade in of(part)]

    assert [(t.market.symbol, t.trade_id, t.price, t.size, t.taker_buys) for t in trades] == plain
    assert {trade.taker_buys for trade in trades} == {True, False}


def of(event: Event) -> list[Trade]:
    return list(event) if isinstance(event, Trades) else []


def test_takers_who_buy_pay_more_than_takers_who_sell(market_data: Path) -> None:
    # Between two trades of opposite takers that follow each other, the buyer's is the higher price.
    trades = [t for event in map(FEED.parse, lines(market_data)) for part in event for t in of(part) if t.market == BTC]
    turns = [(a, b) for a, b in pairwise(trades) if a.taker_buys != b.taker_buys]

    right = sum((b.price > a.price) == b.taker_buys for a, b in turns if a.price != b.price)
    assert right > 0.8 * len(turns)


def test_many_frames_say_what_each_of_them_says(market_data: Path) -> None:
    frames = [*lines(market_data), match(1), match(2, price="0.123456789"), b'{"type":"match"', match(3) + match(4)]

    together, apart = list(FEED.read(frames)), [event for frame in frames for event in FEED.parse(frame)]

    assert sorted(trade for event in together for trade in of(event)) == sorted(t for e in apart for t in of(e))
    assert [e for e in together if not isinstance(e, Trades)] == [e for e in apart if not isinstance(e, Trades)]


def test_control_frames_say_what_they_say(market_data: Path) -> None:
    frames = (market_data / "wire/coinbase_exchange_frames.jsonl").read_bytes().splitlines()

    listed, last, one, refused = map(FEED.parse, frames)

    assert listed == [Acknowledged(BTC)]
    assert [trade.trade_id for event in (*last, *one) for trade in of(event)] == [1_081_862_674, 1_081_862_675]
    [refusal] = refused
    assert isinstance(refusal, Refused)
    assert refusal.symbol is not None
    assert refusal.reason.startswith("Failed to subscribe: level2, level3, and full channels now require")
    assert FEED.parse(
        b'{"type":"error","message":"Failed to subscribe","reason":"BTC-USX is not a valid product"}'
    ) == [Refused("BTC-USX", "Failed to subscribe: BTC-USX is not a valid product")]
    assert FEED.parse(b'{"type":"error","message":"ErrSlowConsume"}') == [Refused(None, "ErrSlowConsume")]
    assert FEED.parse(b'{"type":"rfq_match"}') == [Ignored("rfq_match")]


def test_times_may_have_any_number_of_decimals() -> None:
    for text in ("2026-07-07T22:58:12.15207Z", "2026-07-07T22:58:12Z", "2026-07-07T22:58:12.1Z"):
        [event] = FEED.parse(match(time=text))
        assert isinstance(event, Trades)
        assert event.times == [parse_iso(text)]


@pytest.mark.parametrize(
    "frame",
    [
        match(price="0"),
        match(size="-1"),
        match(size="much"),
        match(size=".5e400"),
        match(price="0.123456789"),
        match(side="hold"),
        match(product_id="-"),
        match(time="2026-07-07T22:58:12"),
        match(trade_id=0),
        beat(-1, 1),
        b'{"type":"heartbeat"}',
        b"nonsense",
    ],
)
def test_what_does_not_read_is_set_aside_with_its_cause(frame: bytes) -> None:
    [event] = FEED.parse(frame)

    assert isinstance(event, Malformed)
    assert event.cause
    assert event.frame == frame


@given(st.one_of(st.binary(), st.integers(0, 300).map(lambda cut: match()[:cut])))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    for event in FEED.parse(data):
        assert not isinstance(event, Trades) or data == match()


def test_subscribing_asks_for_trades_and_heartbeats() -> None:
    [text] = FEED.subscribe(["BTC-USD", "ETH-USD"])

    assert json.loads(text) == {
        "type": "subscribe",
        "product_ids": ["BTC-USD", "ETH-USD"],
        "channels": ["matches", "heartbeat"],
    }
    assert FEED.symbol("btc/usd") == FEED.symbol("BTCUSD") == "BTC-USD"


def test_a_heartbeat_is_the_venues_clock_for_its_own_product() -> None:
    frames = [ACK, match(1), beat(1, 60), beat(9, 120, "ETH-USD"), beat(1, 180)]

    _, sink = ingest(FEED, BTC, frames, Past(BTC, [1]), 3)

    assert [(mark.time - NOON, mark.last_id) for mark in sink.marks()] == [(999, 0), (MINUTE, 1), (3 * MINUTE, 1)]


def test_a_heartbeat_reveals_a_loss_that_no_later_trade_has_told() -> None:
    frames = [ACK, match(1), beat(4, 60), *[beat(4, 61)] * 60, beat(4, 120)]

    ingestion, sink = ingest(FEED, BTC, frames, Past(BTC, [1], [2, 3, 4]), 6)

    assert (ingestion.tally.gaps, ingestion.tally.unrepaired) == (1, 0)
    assert [identity for entry in sink.trades() for identity in entry.ids] == [1, 2, 3, 4]
    assert sink.marks()[-1] == Watermark(BTC, NOON + 2 * MINUTE, 4)


def test_a_heartbeat_that_knows_no_last_trade_reveals_nothing_and_joins_nothing() -> None:
    ingestion, sink = ingest(FEED, BTC, [ACK, beat(0, 60), match(2), beat(0, 180)], Past(BTC, [1]), 6)

    assert ingestion.tally.gaps == 0
    assert [(mark.time - NOON, mark.last_id) for mark in sink.marks()] == [(999, 0), (3 * MINUTE, 2)]


def test_a_revealed_loss_beyond_repair_leaves_its_minute_unproven() -> None:
    frames = [ACK, match(1), *[beat(4, second) for second in range(1, 500)]]

    ingestion, sink = ingest(FEED, BTC, frames, Past(BTC, [1]), 60)

    assert ingestion.tally.unrepaired == 1
    # No mark that passes the loss names a trade before it: that would prove a minute which is not whole.
    assert all(mark.last_id == 4 for mark in sink.marks() if mark.time > NOON + 1000)


ALL: Sequence[int] = range(1, 3501)


def well(path: str, query: dict[str, str]) -> Any:
    if path == "/time":
        return {"iso": iso(NOON), "epoch": NOON / SECOND}
    below, limit = int(query.get("after", 10**12)), int(query["limit"])
    ids = [identity for identity in reversed(ALL) if identity < below][:limit]
    return [
        {"trade_id": i, "side": "buy", "size": "0.01", "price": "65000.1", "time": iso(NOON + i * SECOND)} for i in ids
    ]


@pytest.fixture
def venue() -> Iterator[Server]:
    with serving(well) as server:
        yield server


def rest_of(venue: Server, clock: Clock, **options: Any) -> CoinbaseRest:
    return CoinbaseRest(url=venue.url, clock=clock, sleep=clock.sleep, jitter=lambda: 1.0, **options)


def pages(rest: CoinbaseRest, last_id: int | None, since: int = NOON) -> list[list[int]]:
    backfill = rest.after(BTC, last_id, since)
    found: list[list[int]] = []
    while (page := backfill.step()) is not None:
        assert not any(page.taker_buys)
        found += [page.ids] if page.ids else []
    return found


@pytest.mark.parametrize("last_id", [0, 1, 499, 1234, 2499, 2500, 2501, 3499, 3500])
def test_pages_come_upwards_and_join_what_is_held(venue: Server, last_id: int) -> None:
    clock = Clock()

    found = pages(rest_of(venue, clock), last_id)

    assert [identity for page in found for identity in page] == list(range(last_id + 1, 3501))
    assert all(len(page) <= ROWS for page in found)
    assert len(venue.asked) <= len(found) + 2
    assert clock.now >= (len(venue.asked) - 1) * 0.1 - 1e-9


@pytest.mark.parametrize("missing", [(), (1002, 1003), range(500, 1700)])
def test_short_pages_and_ids_that_were_never_given_leave_nothing_out(
    venue: Server, monkeypatch: pytest.MonkeyPatch, missing: Sequence[int]
) -> None:
    made = [identity for identity in ALL if identity not in missing]

    def short(path: str, query: dict[str, str]) -> Any:
        below = int(query.get("after", 10**12))
        rows = well(path, query | {"limit": "3500"})
        return [row for row in rows if row["trade_id"] in made][: below % 7 * 60 + 50]

    monkeypatch.setattr(venue, "well", short)
    found = [identity for page in pages(rest_of(venue, Clock()), 400) for identity in page]

    assert found == [identity for identity in made if identity > 400]


@pytest.mark.parametrize("since", [0, 5, 1700, 3300, 3501])
def test_history_begins_at_its_time_or_a_page_before_it(venue: Server, since: int) -> None:
    found = [i for page in pages(rest_of(venue, Clock()), None, NOON + since * SECOND) for i in page]

    assert found == list(ALL)[len(ALL) - len(found) :]
    assert set(range(max(since, 1), 3501)) <= set(found)
    assert len(found) <= 3501 - since + ROWS


def test_refusals_for_a_while_are_waited_out_and_for_good_are_told(venue: Server) -> None:
    clock = Clock()
    venue.script = [(429, {"Retry-After": "7"}, {"message": "Public rate limit exceeded"}), (200, {}, b'[{"trade')]
    rest = rest_of(venue, clock)

    assert rest.now() == NOON
    assert clock.now >= 7
    assert rest.retries == 2
    venue.script = [(404, {}, {"message": "NotFound"})]
    with pytest.raises(HistoryError, match="NotFound"):
        pages(rest, 1)
