"""The task's loop over a scripted connection: silence, holes that no history fills, and claims held back."""

import logging
from collections.abc import Sequence

import pytest

from btc import tape
from btc.aws.streams import TradeStream
from btc.feeds.connection import Connection
from btc.feeds.kraken import Kraken
from btc.tape import Watermark
from btc.times import iso
from btc.trades import Market, Trade, Trades
from functions.ingest_trades.ingestion import Ingestion, RefusedError

BTC = Market("kraken", "BTC-USD")
NOON = 1_762_776_000_000_000


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Line(Connection):
    """Gives its frames one receive at a time, then silence; ends the run after `lasts` seconds."""

    def __init__(self, time: Time, frames: Sequence[bytes], lasts: float) -> None:
        self.time, self.frames, self.end = time, list(frames), time.now + lasts
        self.sent: list[str] = []

    def send(self, text: str) -> None:
        self.sent.append(text)

    def receive(self, timeout: float) -> Sequence[bytes]:
        self.time.now += max(timeout, 0.01)
        return [self.frames.pop(0)] if self.frames else []

    def over(self) -> bool:
        return self.time.now >= self.end

    def close(self) -> None:
        pass


class Past:
    """A history that finds these trades at its first search, those at its second, and then no more."""

    def __init__(self, *searches: Sequence[int]) -> None:
        self.searches = list(searches)
        self.found: Sequence[int] = ()

    def now(self) -> int:
        return NOON

    def wait(self) -> float:
        return 0.0

    def after(self, market: Market, last_id: int | None, since: int) -> "Past":  # noqa: ARG002
        self.found = self.searches.pop(0) if self.searches else ()
        return self

    def step(self) -> Trades | None:
        found, self.found = self.found, ()
        return trades(*found) if found else None


class Sink:
    """A stream that takes everything."""

    def __init__(self) -> None:
        self.entries: list[Trades | Watermark] = []

    def put_records(self, StreamName: str, Records: list[dict[str, bytes]]) -> dict[str, object]:  # noqa: ARG002, N803
        self.entries += [tape.decode(record["Data"]) for record in Records]
        return {"Records": [{} for _ in Records]}

    def marks(self) -> list[Watermark]:
        return [entry for entry in self.entries if isinstance(entry, Watermark)]


def trades(*ids: int) -> Trades:
    return Trades.of(BTC, (Trade(BTC, identity, NOON + identity * 1000, 10**8, 10**8, True) for identity in ids))


def update(*ids: int) -> bytes:
    items = ",".join(
        f'{{"symbol":"BTC/USD","side":"buy","price":1.0,"qty":1.00000000,"ord_type":"limit","trade_id":{identity},'
        f'"timestamp":"{iso(NOON + identity * 1000)}"}}'
        for identity in ids
    )
    return f'{{"channel":"trade","type":"update","data":[{items}]}}'.encode()


def pong(second: float) -> bytes:
    return f'{{"method":"pong","req_id":2,"time_out":"{iso(NOON + int(second * 1e6))}"}}'.encode()


ACK = b'{"method":"subscribe","result":{"channel":"trade","snapshot":true,"symbol":"BTC/USD"},"success":true}'


def ingest(frames: Sequence[bytes], past: Past, lasts: float) -> tuple[Ingestion, Sink]:
    """One connection's run after a start at trade 1."""
    time, sink = Time(), Sink()
    line = Line(time, frames, lasts)
    ingestion = Ingestion(
        feed=Kraken(),
        history=past,
        stream=TradeStream(sink, "trades", batch_s=0.01, clock=time, sleep=time.sleep),  # type: ignore[arg-type]
        connect=lambda: line,
        log=logging.getLogger("test"),
        lag=0,
        stopped=line.over,
        clock=time,
        sleep=time.sleep,
    )
    ingestion.catch_up(BTC, None, NOON)
    ingestion.run()
    ingestion.stream.flush(1)
    return ingestion, sink


def test_before_the_first_trades_of_a_connection_nothing_is_claimed() -> None:
    _, sink = ingest([pong(1), ACK, pong(2), update(1, 2), pong(3)], Past([1]), 3)

    assert [(mark.time - NOON, mark.last_id) for mark in sink.marks()] == [(999, 0), (3_000_000, 2)]


def test_a_hole_holds_claims_back_until_history_has_filled_it() -> None:
    frames = [ACK, update(2), update(6), pong(1), *[b'{"channel":"heartbeat"}'] * 60, pong(4)]

    ingestion, sink = ingest(frames, Past([1], [], [3, 4], [5]), 10)

    assert (ingestion.tally.gaps, ingestion.tally.unrepaired) == (1, 0)
    assert [identity for entry in sink.entries if isinstance(entry, Trades) for identity in entry.ids] == [
        *(1, 2, 6),
        *(3, 4, 5),
    ]
    assert [mark.last_id for mark in sink.marks()] == [0, 1, 6]


def test_a_hole_that_no_history_fills_is_given_up_after_so_many_searches_and_then_claimed_past() -> None:
    frames = [ACK, update(2), update(6), *[pong(second) for second in range(1, 1000)]]

    ingestion, sink = ingest(frames, Past([1]), 60)

    assert (ingestion.tally.gaps, ingestion.tally.unrepaired) == (1, 1)
    assert sink.marks()[-1].last_id == 6


def test_a_silent_connection_is_left_for_another() -> None:
    ingestion, _ = ingest([ACK, update(2)], Past([1]), 40)

    assert ingestion.tally.connections >= 2


def test_a_refusal_of_the_symbol_ends_the_run_and_one_of_the_pace_only_the_connection() -> None:
    nack = b'{"error":"Currency pair not supported X/Y","method":"subscribe","success":false,"symbol":"X/Y"}'
    with pytest.raises(RefusedError, match="Currency pair not supported X/Y"):
        ingest([nack], Past([1]), 5)

    ingestion, _ = ingest([b'{"Error":"Exceeded msg rate"}'], Past([1]), 5)
    assert ingestion.tally.connections >= 2
