"""Event-source mappings at work: one poller a shard, which reads, batches, invokes, retries and gives up as Lambda."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Self

from botocore.exceptions import BotoCoreError, ClientError

from local.batches import Batch, after_failure, cut, expired, unfinished
from local.destinations import RETRIES_EXHAUSTED, TOO_OLD, Destination, Discarded, open_destination
from local.lambdas import EVENT_BYTES, Invoke, Result
from local.mappings import Mapping
from local.patterns import any_of
from local.streams import Emulator, Page, Position, Record, Stream, is_expired, is_passing, open_stream

logger = logging.getLogger(__name__)

_LONGEST_BACKOFF_S = 2.0


@dataclass(frozen=True, slots=True)
class Counters:
    """What a mapping has done. Records: read = filtered + delivered + discarded + those under way. Invocations: each
    one that `failed`, wholly or in part, and each that `retried` records which had been given before. `lag_s` is the
    age of the oldest record that is read and not settled, or else the distance from the stream's tip."""

    read: int = 0
    filtered: int = 0
    delivered: int = 0
    discarded: int = 0
    invocations: int = 0
    failed: int = 0
    retried: int = 0
    read_errors: int = 0
    lag_s: float = 0.0


class DeliveryError(Exception):
    """A poller ended on an error that no retry mends; its cause is attached."""


class Delivery:
    """Feeds a function from a stream's shards, each shard in order, from the mapping's starting position on.

    `invoke` runs the function. Shards are those that exist at `start`. `poll_s` is the wait after an empty read,
    `backoff_s` the wait before the first repetition of a failed batch, doubled with each.
    """

    def __init__(
        self, mapping: Mapping, invoke: Invoke, emulator: Emulator, *, poll_s: float = 0.2, backoff_s: float = 0.1
    ) -> None:
        self.mapping = mapping
        self._invoke = invoke
        self._emulator = emulator
        self._poll_s = poll_s
        self._backoff_s = backoff_s
        self._stopping = threading.Event()
        self._pollers: list[_Poller] = []

    def start(self) -> Self:
        """Find the shards and start to read them. A mapping that is not enabled reads none."""
        if self.mapping.enabled:
            stream = open_stream(self.mapping.source_arn, self._emulator)
            destination = open_destination(self.mapping, self._emulator)
            feed = _Feed(self.mapping, stream, destination, self._invoke, self._stopping, self._poll_s, self._backoff_s)
            self._pollers = [_Poller(shard, feed) for shard in stream.shards()]
            for poller in self._pollers:
                poller.start()
        return self

    def stop(self) -> None:
        """Stop reading; an invocation under way is waited for, what it leaves undone is not delivered again."""
        self._stopping.set()
        for poller in self._pollers:
            poller.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def counters(self) -> Counters:
        """The sum over the shards; `lag_s` is the largest."""
        tallies = [poller.tally for poller in self._pollers]
        sums = {item.name: sum(getattr(tally, item.name) for tally in tallies) for item in fields(_Tally)}
        return Counters(**sums, lag_s=max((poller.lag_s() for poller in self._pollers), default=0.0))

    def idle(self, since: float = 0.0) -> bool:
        """Whether every shard was read to its end with nothing left to deliver, by a read that began at `since`
        (time.monotonic) or later. Raises DeliveryError when a poller has ended on an error."""
        for poller in self._pollers:
            if poller.failure is not None or poller.broke_off:
                raise DeliveryError(f"{self.mapping.function}: {poller.shard} is no longer read") from poller.failure
        return all(poller.quiet_at > since for poller in self._pollers)

    def wait_idle(self, timeout_s: float) -> None:
        """Wait until all that was in the stream at this call is settled. Raises TimeoutError or DeliveryError."""
        asked = time.monotonic()
        while not self.idle(asked):
            if time.monotonic() - asked > timeout_s:
                raise TimeoutError(f"{self.mapping.function} is not idle after {timeout_s} s: {self.counters()}")
            time.sleep(0.01)


@dataclass(slots=True)
class _Tally:
    read: int = 0
    filtered: int = 0
    delivered: int = 0
    discarded: int = 0
    invocations: int = 0
    failed: int = 0
    retried: int = 0
    read_errors: int = 0


@dataclass(slots=True)
class _Window:
    """The records gathered for the next batch, and when the first of them was read (time.monotonic)."""

    records: list[Record] = field(default_factory=list)
    opened: float = 0.0

    def left_s(self, length_s: float) -> float:
        return self.opened + length_s - time.monotonic()


@dataclass(frozen=True, slots=True)
class _Feed:
    """What the pollers of a mapping share."""

    mapping: Mapping
    stream: Stream
    destination: Destination | None
    invoke: Invoke
    stopping: threading.Event
    poll_s: float
    backoff_s: float


class _Poller(threading.Thread):
    def __init__(self, shard: str, feed: _Feed) -> None:
        super().__init__(name=f"{feed.mapping.function} {shard}", daemon=True)
        self.shard = shard
        self.tally = _Tally()
        self.quiet_at = 0.0
        self.finished = False
        self.failure: Exception | None = None
        self._feed = feed
        self._mapping = feed.mapping
        self._stopping = feed.stopping
        self._matches = any_of(feed.mapping.filters)
        self._iterator: str | None = None
        self._last_read: str | None = None
        self._oldest: float | None = None
        self._behind_ms = 0

    @property
    def broke_off(self) -> bool:
        """Whether it ended on something unforeseen, whose traceback the thread has printed."""
        return self.ident is not None and not self.is_alive() and not self.finished

    def lag_s(self) -> float:
        oldest = self._oldest
        return self._behind_ms / 1000 if oldest is None else max(0.0, time.time() - oldest)

    def run(self) -> None:
        try:
            self._poll()
            self.finished = True
        except (BotoCoreError, ClientError, OSError) as error:
            logger.exception("%s stopped reading %s", self._mapping.function, self.shard)
            self.failure = error

    def _poll(self) -> None:
        window = _Window()
        closed = False
        while not self._stopping.is_set() and not closed:
            began = time.monotonic()
            page = self._read(self._mapping.batch_size - len(window.records))
            if page is None:
                self._stopping.wait(self._feed.poll_s)
                continue
            closed = page.following is None
            self._gather(page, window, began)
            if window.records and (closed or self._is_due(window)):
                self._settle(window.records)
                window = _Window()
            elif not page.records:
                if not window.records:
                    self.quiet_at = began
                left = window.left_s(self._mapping.window_s) if window.records else self._feed.poll_s
                self._stopping.wait(max(0.0, min(left, self._feed.poll_s)))
        if closed:
            self.quiet_at = float("inf")  # a closed shard, read to its end, is quiet for good

    def _read(self, limit: int) -> Page | None:
        """The next page; None when the read failed in a way that passes."""
        try:
            if self._iterator is None:
                kind: Position = "AFTER_SEQUENCE_NUMBER" if self._last_read else self._mapping.starting_position
                self._iterator = self._feed.stream.iterator(self.shard, kind, self._last_read)
            page = self._feed.stream.read(self.shard, self._iterator, limit)
        except (BotoCoreError, ClientError) as error:
            if is_expired(error):
                self._iterator = None
            elif not is_passing(error):
                raise
            self.tally.read_errors += 1
            logger.warning("%s could not read %s and will again: %s", self._mapping.function, self.shard, error)
            return None
        self._iterator = page.following
        return page

    def _gather(self, page: Page, window: _Window, began: float) -> None:
        self._behind_ms = page.behind_ms
        if not page.records:
            return
        self.quiet_at = 0.0
        self._last_read = page.records[-1].sequence
        matching = [record for record in page.records if self._matches(record.filtered_on)]
        if matching and not window.records:
            window.opened = began
            self._oldest = matching[0].arrived
        window.records += matching
        self.tally.read += len(page.records)
        self.tally.filtered += len(page.records) - len(matching)

    def _is_due(self, window: _Window) -> bool:
        return (
            len(window.records) >= self._mapping.batch_size
            or window.left_s(self._mapping.window_s) <= 0
            or sum(record.size for record in window.records) >= EVENT_BYTES
        )

    def _settle(self, records: Sequence[Record]) -> None:
        """Deliver these records, in order, until each is done or given up; or until told to stop."""
        waiting = deque(cut(records, self._mapping.batch_size))
        while waiting and not self._stopping.is_set():
            batch = self._without_expired(waiting.popleft())
            if not batch.records:
                continue
            self._oldest = batch.records[0].arrived
            result = self._deliver(batch)
            remaining = unfinished(batch, result, self._mapping)
            self.tally.delivered += len(batch.records) - len(remaining)
            if not remaining:
                continue
            self.tally.failed += 1
            following = after_failure(batch, remaining, result, self._mapping)
            if following is None:
                self._give_up(Discarded(self.shard, remaining, RETRIES_EXHAUSTED, batch.failures + 1, result))
            else:
                waiting.extendleft(reversed(following))
                self._back_off(following[0].failures)
        self._oldest = None

    def _deliver(self, batch: Batch) -> Result:
        self.tally.invocations += 1
        self.tally.retried += batch.last is not None
        return self._feed.invoke({"Records": [record.event for record in batch.records]})

    def _without_expired(self, batch: Batch) -> Batch:
        too_old = expired(batch, self._mapping, time.time())
        if not too_old:
            return batch
        self._give_up(Discarded(self.shard, batch.records[:too_old], TOO_OLD, batch.failures, batch.last))
        return Batch(batch.records[too_old:], batch.failures, batch.last)

    def _give_up(self, discarded: Discarded) -> None:
        """Tell the destination, for as long as it takes: what it is not told is lost."""
        attempt = 0
        while self._feed.destination is not None:
            try:
                self._feed.destination.send(discarded)
                break
            except (BotoCoreError, ClientError) as error:
                if not is_passing(error):
                    raise
                logger.warning("%s: the on-failure destination will be told again: %s", self._mapping.function, error)
            attempt += 1
            self._back_off(attempt)
            if self._stopping.is_set():
                return
        self.tally.discarded += len(discarded.records)

    def _back_off(self, failures: int) -> None:
        if failures:
            self._stopping.wait(min(self._feed.backoff_s * 2 ** min(failures - 1, 16), _LONGEST_BACKOFF_S))
