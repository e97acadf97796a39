"""Ten minutes without Kinesis: the buffer stays within its bound, and what it could not hold comes from the history."""

import logging
import tracemalloc
from collections.abc import Sequence
from functools import partial

import pytest

from btc.aws.streams import TradeStream
from btc.feeds.connection import MOST_FRAMES, Connection, ConnectionLostError
from btc.feeds.feed import Newest
from btc.feeds.kraken import Kraken
from btc.tape import Watermark
from btc.times import iso
from btc.trades import Market, Trades
from functions.ingest_trades.ingestion import Ingestion
from tests.unit.ingesting import NOON, Clock, Shard, a_thousand_a_second

BTC = Market("kraken", "BTC-USD")
OUTAGE_S = 600


def assert_all_arrived_in_order(shard: Shard, last_id: int) -> None:
    """Every trade is there once, in the order of the ids, and no claim came before its trades."""
    reached = 0
    for entry in shard.entries:
        if isinstance(entry, Watermark):
            assert entry.last_id <= reached
        else:
            assert entry.ids[0] == reached + 1
            reached = entry.ids[-1]
    assert reached == last_id


def assert_no_claim_came_before_its_trades(shard: Shard, last_id: int) -> None:
    held: set[int] = set()
    claimed = 0
    for entry in shard.entries:
        if isinstance(entry, Trades):
            held.update(entry.ids)
        else:
            assert claimed <= entry.last_id
            assert all(identity in held for identity in range(claimed + 1, entry.last_id + 1))
            claimed = entry.last_id
    assert held == set(range(1, last_id + 1))


def test_ten_minutes_of_trades_wait_in_a_few_megabytes_and_then_all_arrive() -> None:
    clock = Clock()
    shard = Shard(clock, opens=clock.now + OUTAGE_S)
    stream = TradeStream(shard, "trades", batch_s=0.2, clock=clock, sleep=clock.sleep)  # type: ignore[arg-type]
    tracemalloc.start()
    for last_id in a_thousand_a_second(stream, BTC, clock, until=shard.opens):  # noqa: B007 - the last one counts
        assert not stream.full
    # Of the stream alone: threads that other tests have left to this process make things of their own meanwhile.
    ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(inclusive=True, filename_pattern="*/btc/*")])
    tracemalloc.stop()
    waiting, began = stream.buffered_bytes, clock.now
    stream.flush(60)

    assert last_id == 1000 * OUTAGE_S
    assert waiting < 9_000_000
    assert waiting <= sum(part.size for part in ours.statistics("filename")) < 12_000_000
    assert clock.now - began < 15
    assert_all_arrived_in_order(shard, last_id)


class Venue:
    """Makes trades by the clock, and keeps them all; hangs up on who leaves `HELD` of them unread."""

    HELD = 500

    def __init__(self, clock: Clock, rate: int) -> None:
        self.clock, self.rate, self.opened = clock, rate, clock.now
        self.hung_up = 0

    def made(self) -> int:
        return 1 + round((self.clock.now - self.opened) * self.rate)

    def now(self) -> int:
        return NOON + round((self.clock.now - self.opened) * 10**6)

    def wait(self) -> float:
        return 0.0

    def newest(self, market: Market, since: int) -> Newest | None:  # noqa: ARG002
        return None

    def after(self, market: Market, last_id: int | None, since: int) -> "Backfill":  # noqa: ARG002
        return Backfill(self, last_id or 0)

    def time_of(self, identity: int) -> int:
        return NOON + (identity - 1) * 10**6 // self.rate


class Backfill:
    """The venue's trades above an id, a thousand a page."""

    def __init__(self, venue: Venue, last_id: int) -> None:
        self.venue, self.last_id = venue, last_id

    def step(self) -> Trades | None:
        ids = list(range(self.last_id + 1, min(self.last_id + 1000, self.venue.made()) + 1))
        if not ids:
            return None
        self.last_id = ids[-1]
        size = len(ids)
        times = [self.venue.time_of(identity) for identity in ids]
        return Trades(BTC, ids, times, [10**13] * size, [10**8] * size, b"\x01" * size)


class Wire(Connection):
    """A connection to the venue, which waits in its socket while nobody reads."""

    def __init__(self, venue: Venue) -> None:
        self.venue, self.sent = venue, venue.made()
        self.told = [b'{"method":"subscribe","result":{"channel":"trade","symbol":"BTC/USD"},"success":true}']

    def send(self, text: str) -> None:
        if "ping" in text:
            self.told.append(b'{"method":"pong","req_id":2,"time_out":"%s"}' % iso(self.venue.now()).encode())

    def receive(self, timeout: float) -> Sequence[bytes]:
        self.venue.clock.sleep(max(timeout, 0.01))
        made = self.venue.made()
        if made - self.sent > self.venue.HELD:
            self.venue.hung_up += 1
            raise ConnectionLostError("the venue hung up on a slow reader")
        ids, self.sent = range(self.sent + 1, made + 1), made
        frames, self.told = [*self.told, *map(self.frame, ids)], []
        return frames

    def frame(self, identity: int) -> bytes:
        item = (
            '{"symbol":"BTC/USD","side":"buy","price":100000.0,"qty":1.00000000,"ord_type":"limit",'
            f'"trade_id":{identity},"timestamp":"{iso(self.venue.time_of(identity))}"}}'
        )
        return f'{{"channel":"trade","type":"update","data":[{item}]}}'.encode()

    def close(self) -> None:
        pass


@pytest.mark.parametrize("bound", [20_000, 50_000])
def test_a_full_buffer_stops_the_reading_and_the_history_brings_what_the_venue_did_not_keep(bound: int) -> None:
    clock = Clock()
    venue, shard = Venue(clock, rate=50), Shard(clock, opens=clock.now + OUTAGE_S)
    stream = TradeStream(
        shard,  # type: ignore[arg-type]
        "trades",
        batch_s=0.2,
        max_buffered_bytes=bound,
        clock=clock,
        sleep=clock.sleep,
        jitter=lambda: 0.5,
    )
    buffered: list[int] = []
    ingestion = Ingestion(
        feed=Kraken(),
        history=venue,
        stream=stream,
        connect=partial(Wire, venue),
        log=logging.getLogger("test"),
        lag=0,
        stopped=lambda: clock.now >= shard.opens + 60,
        on_tick=lambda: buffered.append(stream.buffered_bytes),
        clock=clock,
        sleep=clock.sleep,
        jitter=lambda: 0.5,
    )
    ingestion.catch_up(BTC, None, NOON)
    ingestion.run()
    stream.flush(10)

    one_batch = 60 * max(MOST_FRAMES, 1000)
    assert bound <= max(buffered) < bound + one_batch
    assert venue.hung_up == 1
    assert (ingestion.tally.gaps, ingestion.tally.unrepaired) == (1, 0)
    assert_no_claim_came_before_its_trades(shard, ingestion.tally.trades)
    assert ingestion.tally.trades > venue.rate * (OUTAGE_S + 55)
