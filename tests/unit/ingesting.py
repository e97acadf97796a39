"""The task's loop over a scripted connection and history, on a clock that only they move."""

import logging
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from botocore.exceptions import ClientError

from btc import tape
from btc.aws.streams import TradeStream
from btc.feeds.connection import Connection
from btc.feeds.feed import Feed, Newest
from btc.tape import Watermark
from btc.trades import Market, Trade, Trades
from functions.ingest_trades.ingestion import Ingestion

NOON = 1_762_776_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Line(Connection):
    """Gives its frames one receive at a time, then silence; ends the run after `lasts` seconds."""

    def __init__(self, clock: Clock, frames: Sequence[bytes], lasts: float) -> None:
        self.clock, self.frames, self.end = clock, list(frames), clock.now + lasts
        self.sent: list[str] = []

    def send(self, text: str) -> None:
        self.sent.append(text)

    def receive(self, timeout: float) -> Sequence[bytes]:
        self.clock.now += max(timeout, 0.01)
        return [self.frames.pop(0)] if self.frames else []

    def over(self) -> bool:
        return self.clock.now >= self.end

    def close(self) -> None:
        pass


class Past:
    """A history that finds these trades at its first search, those at its second, and then no more."""

    def __init__(self, market: Market, *searches: Sequence[int], newest: Sequence[Newest] = ()) -> None:
        self.market, self.searches, self.told = market, list(searches), list(newest)
        self.found: Sequence[int] = ()

    def now(self) -> int:
        return NOON

    def newest(self, market: Market, since: int) -> Newest | None:  # noqa: ARG002
        assert market == self.market
        return self.told.pop(0) if self.told else None

    def wait(self) -> float:
        return 0.0

    def after(self, market: Market, last_id: int | None, since: int) -> "Past":  # noqa: ARG002
        self.found = self.searches.pop(0) if self.searches else ()
        return self

    def step(self) -> Trades | None:
        found, self.found = self.found, ()
        return trades(self.market, *found) if found else None


class Sink:
    """A stream that takes everything."""

    def __init__(self) -> None:
        self.entries: list[Trades | Watermark] = []

    def put_records(self, StreamName: str, Records: list[dict[str, bytes]]) -> dict[str, object]:  # noqa: ARG002, N803
        self.entries += [tape.decode(record["Data"]) for record in Records]
        return {"Records": [{} for _ in Records]}

    def marks(self) -> list[Watermark]:
        return [entry for entry in self.entries if isinstance(entry, Watermark)]

    def trades(self) -> list[Trades]:
        return [entry for entry in self.entries if isinstance(entry, Trades)]


class Shard(Sink):
    """A shard that refuses everything until a moment of the clock, then takes 1 MB a second as Kinesis does."""

    BYTES_A_SECOND: Final = 1_000_000

    def __init__(self, clock: Clock, opens: float) -> None:
        super().__init__()
        self.clock, self.opens = clock, opens
        self.second, self.room = 0, 0

    def put_records(self, StreamName: str, Records: list[dict[str, bytes]]) -> dict[str, object]:  # noqa: N803
        if self.clock.now < self.opens:
            raise ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "PutRecords")
        if int(self.clock.now) != self.second:
            self.second, self.room = int(self.clock.now), self.BYTES_A_SECOND
        sizes = accumulate(len(record["Data"]) for record in Records)
        fitting = [size <= self.room for size in sizes]
        taken = Records[: sum(fitting)]
        self.room -= sum(len(record["Data"]) for record in taken)
        super().put_records(StreamName, taken)
        refusal = {"ErrorCode": "ProvisionedThroughputExceededException"}
        return {"Records": [{} if fits else refusal for fits in fitting]}


def a_thousand_a_second(stream: TradeStream, market: Market, clock: Clock, until: float) -> Iterator[int]:
    """Feeds the stream in steps of a tenth of a second, with a watermark each second; tells the last id after each."""
    last_id = 0
    while clock.now < until:
        ids = list(range(last_id + 1, last_id + 101))
        last_id = ids[-1]
        times = [NOON + identity * 1000 for identity in ids]
        prices = [6_350_190_000_000 + identity * 7919 % 1000 * 10**7 for identity in ids]
        sizes = [4_134 + identity * 104_729 % 10**8 for identity in ids]
        stream.put(Trades(market, ids, times, prices, sizes, b"\x01" * len(ids)))
        if last_id % 1000 == 0:
            stream.put(Watermark(market, times[-1], last_id))
        clock.sleep(0.1)
        stream.pump()
        yield last_id


def trades(market: Market, *ids: int) -> Trades:
    return Trades.of(market, (Trade(market, identity, NOON + identity * 1000, 10**8, 10**8, True) for identity in ids))


def ingest(feed: Feed, market: Market, frames: Sequence[bytes], past: Past, lasts: float) -> tuple[Ingestion, Sink]:
    """A run over one connection's frames, after a start from the history's first trades."""
    clock, sink = Clock(), Sink()
    line = Line(clock, frames, lasts)
    ingestion = Ingestion(
        feed=feed,
        history=past,
        stream=TradeStream(sink, "trades", batch_s=0.01, clock=clock, sleep=clock.sleep),  # type: ignore[arg-type]
        connect=lambda: line,
        log=logging.getLogger("test"),
        lag=0,
        stopped=line.over,
        clock=clock,
        sleep=clock.sleep,
    )
    ingestion.catch_up(market, None, NOON)
    ingestion.run()
    ingestion.stream.flush(1)
    return ingestion, sink
