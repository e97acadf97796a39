"""The producer of the Kinesis stream `trades`: batches by size and age, loses nothing, lets no watermark overtake.

Records of a request may fail one by one. What failed goes back to the head of its market's queue, and a watermark is
sent only once every trade before it has been acknowledged. What is sent twice does no harm: bars know their trades.
"""

import random
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError

from btc import tape
from btc.tape import Watermark
from btc.trades import Market, Trades

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_kinesis.type_defs import PutRecordsRequestEntryTypeDef

MAX_RECORDS: Final = 500
MAX_REQUEST_BYTES: Final = 5_000_000
"""PutRecords' own limits, keys included."""
FULL_BYTES: Final = 500_000
"""Half of what a shard takes in a second: more would come to it as a burst that it refuses."""

_TRANSIENT: Final = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "LimitExceededException",
        "InternalFailure",
        "InternalFailureException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Throttling",
        "ThrottlingException",
        "RequestTimeout",
        "RequestLimitExceeded",
        "KMSThrottlingException",
    }
)
_ROW_BYTES: Final = 60
"""What a trade still in columns is taken to weigh; packed it weighs less."""
_LONGEST_PAUSE: Final = 5.0


class UndeliveredError(RuntimeError):
    """The stream took no more records in the time granted; what remains is fetched again at the next start."""


@dataclass(slots=True)
class Counters:
    """Sums since the start."""

    records: int = 0
    """Records the stream has taken."""
    trades: int = 0
    batches: int = 0
    """Records made of trades, taken or waiting."""
    watermarks: int = 0
    bytes: int = 0
    requests: int = 0
    retries: int = 0
    """Records that had to be sent again."""


@dataclass(frozen=True, slots=True)
class _Record:
    data: bytes
    trades: bool
    """False for a watermark."""
    since: float


class _Lane:
    """One market's entries in their order: sealed records, and behind them trades still in columns."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.key = str(market)
        self.queue: deque[_Record] = deque()
        self.since: float | None = None
        """When the first of the open trades came; None without any."""
        self._clear()

    def _clear(self) -> None:
        self.columns: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])
        self.sides = bytearray()
        self.since = None

    def extend(self, trades: Trades, now: float) -> None:
        if self.since is None:
            self.since = now
        ids, times, prices, sizes = self.columns
        ids += trades.ids
        times += trades.times
        prices += trades.prices
        sizes += trades.sizes
        self.sides += trades.taker_buys

    def seal(self) -> list[_Record]:
        """Turn the open trades into records, each within one payload unit; returns them."""
        if self.since is None:
            return []
        since = self.since
        trades = Trades(self.market, *self.columns, bytes(self.sides))
        records = [_Record(data, trades=True, since=since) for data in tape.cut(trades)]
        self.queue += records
        self._clear()
        return records

    def oldest(self) -> float | None:
        return self.queue[0].since if self.queue else self.since

    def awaited(self) -> bool:
        """Whether a watermark waits here."""
        return not all(record.trades for record in self.queue)


class TradeStream:
    """Batches trades by market and sends them; `put` never waits, `pump` sends what is due. One thread owns it.

    A record waits `batch_s` seconds for others at most, a watermark for none: bars close by it. Whoever feeds it stops
    while it is `full`.
    """

    def __init__(  # noqa: PLR0913 - time and chance come from outside, so that faults can be replayed
        self,
        client: "KinesisClient",
        name: str,
        *,
        batch_s: float,
        max_buffered_bytes: int = 64_000_000,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.counters = Counters()
        self._client = client
        self._name = name
        self._batch_s = batch_s
        self._max_buffered_bytes = max_buffered_bytes
        self._clock, self._sleep, self._jitter = clock, sleep, jitter
        self._lanes: dict[Market, _Lane] = {}
        self._sealed_bytes = 0
        self._rows = 500
        self._failures = 0
        self._ready_at = 0.0

    @property
    def buffered_bytes(self) -> int:
        """What waits to be sent, trades in columns estimated."""
        return self._sealed_bytes + _ROW_BYTES * sum(len(lane.sides) for lane in self._lanes.values())

    @property
    def lag(self) -> float:
        """How long (s) the oldest entry has waited to be sent; negative where none waits."""
        now = self._clock()
        return max((now - since for lane in self._lanes.values() if (since := lane.oldest()) is not None), default=-1.0)

    @property
    def full(self) -> bool:
        return self.buffered_bytes >= self._max_buffered_bytes

    def put(self, entry: Trades | Watermark) -> None:
        """Take trades, or a watermark that will follow all trades put before it."""
        now = self._clock()
        lane = self._lanes.get(entry.market)
        if lane is None:
            lane = self._lanes[entry.market] = _Lane(entry.market)
        if isinstance(entry, Watermark):
            self._put_watermark(lane, entry, now)
            return
        lane.extend(entry, now)
        if len(lane.sides) >= self._rows:
            self._seal(lane)

    def _put_watermark(self, lane: _Lane, mark: Watermark, now: float) -> None:
        self._seal(lane)
        since = now
        if lane.queue and not lane.queue[-1].trades:
            # No trade lies between: the later watermark says all the earlier one does.
            since = lane.queue[-1].since
            self._sealed_bytes -= len(lane.queue.pop().data)
        record = _Record(tape.encode(mark), trades=False, since=since)
        lane.queue.append(record)
        self._sealed_bytes += len(record.data)

    def _seal(self, lane: _Lane) -> None:
        rows = len(lane.sides)
        self.counters.trades += rows
        sealed = lane.seal()
        self.counters.batches += len(sealed)
        size = sum(len(record.data) for record in sealed)
        self._sealed_bytes += size
        if rows:
            self._rows = max(1, tape.MAX_BYTES * 24 // 25 * rows // size)

    def pump(self) -> None:
        """Send what is due: everything, once its oldest entry has waited `batch_s` or there is much of it.

        Before that, a market with a watermark, alone: what the others have gathered goes on waiting to be more.
        """
        while due := self._due():
            if not self._send(due):
                return

    def flush(self, patience: float) -> None:
        """Send everything, retrying up to `patience` seconds; raises UndeliveredError."""
        until = self._clock() + patience
        while self.buffered_bytes:
            if (pause := self._ready_at - self._clock()) > 0:
                self._sleep(min(pause, max(until - self._clock(), 0)))
            if not self._send(self._lanes.values()) and self._clock() >= until:
                raise UndeliveredError(
                    f"{self._name}: {self.buffered_bytes} bytes not delivered within {patience:g} s; "
                    "their trades are fetched from the venue again at the next start"
                )

    def _due(self) -> list[_Lane]:
        now = self._clock()
        if now < self._ready_at:
            return []
        if self._sealed_bytes >= FULL_BYTES or self.lag >= self._batch_s:
            return list(self._lanes.values())
        return [lane for lane in self._lanes.values() if lane.awaited()]

    def _send(self, lanes: Collection[_Lane]) -> bool:
        """One request; whether all its records were accepted. Raises ClientError on what no retry can mend."""
        for lane in lanes:
            self._seal(lane)
        taken = self._take(lanes)
        try:
            failed = self._accepted(taken)
        except ClientError as error:
            self._give_back(taken)
            if not _transient(error):
                raise
            failed = taken
        except (AwsConnectionError, HTTPClientError):
            self._give_back(taken)
            failed = taken
        else:
            self._give_back(failed)
        if not failed:
            self._failures = 0
            return True
        self.counters.retries += len(failed)
        pause = min(0.1 * 2**self._failures, _LONGEST_PAUSE)
        self._failures += 1
        self._ready_at = self._clock() + pause * (0.5 + self._jitter() / 2)
        return False

    def _take(self, lanes: Collection[_Lane]) -> list[tuple[_Lane, _Record]]:
        """Records for one request, off their queues: no watermark with trades of its market before it."""
        taken: list[tuple[_Lane, _Record]] = []
        room = MAX_REQUEST_BYTES
        for lane in lanes:
            trades = False
            while lane.queue and len(taken) < MAX_RECORDS:
                record = lane.queue[0]
                size = len(record.data) + len(lane.key)
                if size > room or (trades and not record.trades):
                    break
                taken.append((lane, lane.queue.popleft()))
                room -= size
                self._sealed_bytes -= len(record.data)
                trades = trades or record.trades
        return taken

    def _give_back(self, records: list[tuple[_Lane, _Record]]) -> None:
        for lane, record in reversed(records):
            lane.queue.appendleft(record)
            self._sealed_bytes += len(record.data)

    def _accepted(self, taken: list[tuple[_Lane, _Record]]) -> list[tuple[_Lane, _Record]]:
        """Put the records into the stream; returns those it did not take, in their order."""
        self.counters.requests += 1
        entries: list[PutRecordsRequestEntryTypeDef] = [
            {"Data": record.data, "PartitionKey": lane.key} for lane, record in taken
        ]
        results = self._client.put_records(StreamName=self._name, Records=entries)["Records"]
        failed = [entry for entry, result in zip(taken, results, strict=True) if result.get("ErrorCode")]
        passed = [record for (_, record), result in zip(taken, results, strict=True) if not result.get("ErrorCode")]
        self.counters.records += len(passed)
        self.counters.bytes += sum(len(record.data) for record in passed)
        self.counters.watermarks += sum(not record.trades for record in passed)
        return failed


def _transient(error: ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return error.response.get("Error", {}).get("Code") in _TRANSIENT or status >= 500
