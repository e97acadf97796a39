"""aggregate_bars behind its event-source mapping: Lambda's rules of delivery, and what befalls its invocations."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from local.batches import Batch, after_failure, cut, unfinished
from local.lambdas import FunctionError, Result
from local.mappings import Mapping
from local.streams import Record
from tests.faults.faults import Faults
from tests.faults.stores import Shard
from tests.faults.world import World

Handler = Callable[[dict[str, Any]], Any]

MAPPING = Mapping(
    uuid="faults", function="aggregate_bars", source_arn="", retries=10, bisect=True, report_failures=True
)
_MOST_FAILURES = 4
"""After so many of a batch's attempts have failed no more is made to: a good record must not be given up."""
_LIMIT_S = 60.0


class Poller:
    """Reads the shard, batches, invokes, retries, bisects and gives up, until the world ends."""

    def __init__(self, world: World, faults: Faults, shard: Shard, handler: Handler) -> None:
        self._world, self._faults, self._shard, self._handler = world, faults, shard, handler
        self.given_up: list[bytes] = []
        """What the on-failure destination holds."""
        self.died: list[Exception] = []
        """What invocations ended on, other than what befell them."""
        self._window = faults.random.uniform(0.2, 2.0)
        self._batch_size = faults.random.choice([3, 20, 10_000])
        self._position = 0

    @property
    def idle(self) -> bool:
        """Whether all that the shard holds is settled."""
        return self._position == len(self._shard.records)

    def run(self) -> None:
        while True:
            self._world.sleep(self._window)
            if self._position and self._faults.strikes("delivered again"):
                self._settle(self._records(max(0, self._position - self._faults.random.randint(1, 30))))
            end = len(self._shard.records)
            if self._position < end:
                self._settle(self._records(self._position, end))
                self._position = end

    def _records(self, first: int, end: int | None = None) -> list[Record]:
        return [self._record(number) for number in range(first, self._position if end is None else end)]

    def _record(self, number: int) -> Record:
        key, data = self._shard.records[number]
        kinesis = {"sequenceNumber": str(number), "partitionKey": key, "data": base64.b64encode(data).decode()}
        event = {"eventSource": "aws:kinesis", "kinesis": kinesis}
        return Record(str(number), 0.0, event, len(data) + 200, {})

    def _settle(self, records: Sequence[Record]) -> None:
        """As local.delivery does, in the world's time."""
        mapping, waiting = MAPPING, deque(cut(records, self._batch_size))
        while waiting:
            batch = waiting.popleft()
            result = self._invoke(batch)
            remaining = unfinished(batch, result, mapping)
            if not remaining:
                continue
            following = after_failure(batch, remaining, result, mapping)
            if following is None:
                self.given_up += [base64.b64decode(record.event["kinesis"]["data"]) for record in remaining]
                continue
            waiting.extendleft(reversed(following))
            self._world.sleep(self._faults.random.uniform(0.0, 0.2))

    def _invoke(self, batch: Batch) -> Result:
        """One attempt at a batch, with another invocation beside it where the service delivers records twice."""
        faults, event = self._faults, {"Records": [record.event for record in batch.records]}
        if batch.failures < _MOST_FAILURES:
            if faults.strikes("Lambda crash before its write"):
                return _failed("Runtime.ExitError")
            if len(batch.records) > 1 and faults.strikes("bisection"):
                return _failed("Runtime.OutOfMemory")
        invocation = self._world.spawn("invocation", lambda: self._handler(event))
        if faults.strikes("two invocations at once"):
            self._twin(batch)
        limit = _LIMIT_S
        if batch.failures < _MOST_FAILURES and faults.strikes("Lambda timeout"):
            limit = faults.random.uniform(0.0, 0.5)
        if not self._world.wait(invocation, limit):
            self._world.kill(invocation)
            return _failed("Sandbox.Timedout")
        if invocation.error:
            self.died.append(invocation.error)
            return _failed(type(invocation.error).__name__)
        if batch.failures < _MOST_FAILURES and faults.strikes("Lambda crash after its write"):
            return _failed("Runtime.ExitError")
        return Result("request", json.loads(json.dumps(invocation.result)), None, 1.0, cold=False)

    def _twin(self, batch: Batch) -> None:
        """An invocation nobody waits for, halting or not: of the same records, or of some from before them too."""
        random, first = self._faults.random, int(batch.records[0].sequence)
        records = [*self._records(max(0, first - random.choice([0, 0, 5, 20])), first), *batch.records]
        event = {"Records": [record.event for record in records]}
        twin = self._world.spawn("twin", lambda: self._handler(event), after=random.uniform(0, 0.05))
        twin.halting = random.choice([0.0, 0.3, 0.7])


def _failed(kind: str) -> Result:
    return Result("request", None, FunctionError(kind, kind), 1.0, cold=False)
