"""Schedules on the local stack: real processes, killed; a real exchange, cut; the wire to AWS between them, torn."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.settings import AggregateBars, IngestTrades
from btc.times import FOREVER, MINUTE, minute_of
from local.delivery import Delivery
from local.lambdas import Function, FunctionSpec, Result
from local.mappings import Mapping as EventSource
from local.processes import Process, interpreter, tail
from local.template import ROOT
from tests.faults import laws
from tests.faults.grounds import BTC, Grounds
from tests.faults.laws import Verdict
from tests.faults.schedules import Outcome
from tests.faults.services import KEYS
from tests.local.delivering import Wire, bucket

BLOWS = 9
PATIENCE_S = 60.0

_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_METRICS_NAMESPACE": "Faults",
}
_STRUCK_ON_THE_WIRE = (
    (400, "ProvisionedThroughputExceededException", False),
    (500, "InternalServerError", False),
    (200, "the answer is lost", True),
)


class Field:
    """One schedule's own stream, tables, function and task, and the wire that tears."""

    def __init__(self, grounds: Grounds, seed: int) -> None:
        self.grounds, self.random = grounds, Random(seed)
        self.struck: Counter[str] = Counter()
        self.name = f"faults-{seed}-{uuid.uuid4().hex[:8]}"
        self._torn_until = 0.0
        self._kill_at_write = False
        self._chance = Random(seed)
        self.wire = Wire(grounds.emulator, self._tear)
        self.kinesis = grounds.emulator.client("kinesis")
        self.dynamodb = grounds.emulator.client("dynamodb")
        self.failures, self.told = bucket(grounds.emulator)
        self.poison: list[bytes] = []
        self._events: list[Mapping[str, Any]] = []
        self._create()
        self.function = Function(self._spec(), self.log("function"))
        self.tasks: list[Process] = []
        self.scratch: dict[int, Path] = {}

    def log(self, part: str) -> Any:
        return self.grounds.stack.log(f"{self.name}-{part}")

    def _create(self) -> None:
        self.kinesis.create_stream(StreamName=self.name, ShardCount=1)
        stream = self.kinesis.describe_stream_summary(StreamName=self.name)
        self.arn = stream["StreamDescriptionSummary"]["StreamARN"]
        for table, keys in KEYS.items():
            self.dynamodb.create_table(
                TableName=f"{self.name}-{table}",
                KeySchema=[
                    {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
                ],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
                BillingMode="PAY_PER_REQUEST",
            )

    def _spec(self) -> FunctionSpec:
        settings = AggregateBars(bars_table=f"{self.name}-bars", state_table=f"{self.name}-state", retention_days=30)
        return FunctionSpec(
            name="aggregate_bars",
            arn="arn:aws:lambda:us-east-1:123456789012:function:aggregate_bars",
            asset=ROOT / "functions/aggregate_bars",
            handler="handler.handler",
            runtime=self.grounds.runtime,
            layers=(ROOT / "layers/common", ROOT / "build/layers/local/powertools"),
            environment={**settings.to_env(), "POWERTOOLS_METRICS_NAMESPACE": "Faults"},
            timeout_s=20.0,
            memory_mb=512,
            endpoint_url=self.wire.emulator.endpoint_url,
        )

    def delivery(self) -> Delivery:
        mapping = EventSource(
            uuid=self.name,
            function=self.function.spec.arn,
            source_arn=self.arn,
            batch_size=self.random.choice([5, 10_000]),
            window_s=0.2,
            retries=6,
            bisect=True,
            report_failures=True,
            on_failure_arn=self.failures,
        )
        return Delivery(mapping, self._invoke, self.wire.emulator, poll_s=0.05, backoff_s=0.02)

    def _invoke(self, event: Mapping[str, Any]) -> Result:
        self._events.append(event)
        return self.function.invoke(event)

    def start_task(self, **changes: Any) -> Process:
        """One more ingest task, in a scratch folder of its own as its container has; `changes` are of its settings."""
        settings = {
            "stream": self.name,
            "state_table": f"{self.name}-state",
            "venue": BTC.venue,
            "symbols": (BTC.symbol,),
            "history_days": 1,
            "batch_ms": 50,
            "watermark_lag_ms": 1000,
            "websocket_url": self.grounds.exchange["WEBSOCKET_URL"],
            "rest_url": self.grounds.exchange["REST_URL"],
        }
        environment = {**os.environ, **_CREDENTIALS, **IngestTrades(**{**settings, **changes}).to_env()}
        environment["AWS_ENDPOINT_URL"] = self.wire.emulator.endpoint_url
        scratch = self.grounds.stack.folder / "scratch" / uuid.uuid4().hex
        scratch.mkdir(parents=True)
        environment["TMPDIR"] = str(scratch)
        command = [*interpreter(), "-m", "functions.ingest_trades"]
        task = Process.start("ingest", command, log=self.log("ingest"), environment=environment, folder=ROOT)
        self.tasks.append(task)
        self.scratch[task.pid] = scratch
        return task

    # What befalls it.

    def blows(self) -> dict[str, Callable[[], None]]:
        control = self.grounds.control
        return {
            "kill -9 of the task": self.kill_task,
            "two tasks": self.start_task,
            "kill -9 of the function": self.kill_function,
            "kill -9 of the function at its write": self.kill_at_write,
            "an invocation twice at once": self.invoke_again,
            "torn wire": self.tear,
            "poison record": self.put_poison,
            "disconnect": lambda: control(disconnect=True),
            "mute": lambda: control(mute_seconds=self.random.uniform(0.3, 1.5)),
            "throttle": lambda: control(throttle=self.random.randint(1, 4)),
            "maintenance": self.maintain,
        }

    def kill_task(self) -> None:
        task = self.tasks.pop(0)
        os.kill(task.pid, signal.SIGKILL)
        task.wait(10)
        self.keep_task()

    def keep_task(self) -> None:
        """What its service does: a task that has ended is started again."""
        self.tasks = [task for task in self.tasks if task.running]
        if not self.tasks:
            self.start_task()

    def kill_function(self) -> None:
        for environment in list(self.function._live):
            with suppress(ProcessLookupError):  # its last invocation may have ended it
                os.killpg(environment._process.pid, signal.SIGKILL)

    def kill_at_write(self) -> None:
        self._kill_at_write = True

    def invoke_again(self) -> None:
        if self._events:
            event = self.random.choice(self._events[-5:])
            threading.Thread(target=self.function.invoke, args=(event,), daemon=True).start()

    def tear(self) -> None:
        self._torn_until = time.monotonic() + self.random.uniform(0.5, 2.0)

    def _tear(self, operation: str) -> tuple[int, str, bool] | None:
        if operation == "PutItem" and self._kill_at_write:
            self._kill_at_write = False
            self.kill_function()
            # What it had sent arrives, or does not.
            return self._chance.choice([None, _STRUCK_ON_THE_WIRE[1]])
        if time.monotonic() >= self._torn_until or self._chance.random() > 0.3:
            return None
        self.struck[f"on the wire: {operation}"] += 1
        # A bare method is S3's, which tells of throttling by a 503, and whose 400 is a mistake of who asks.
        return self._chance.choice(_STRUCK_ON_THE_WIRE[1:] if operation == "PUT" else _STRUCK_ON_THE_WIRE)

    def put_poison(self) -> None:
        self.poison.append(self.random.randbytes(20))
        self.kinesis.put_record(StreamName=self.name, Data=self.poison[-1], PartitionKey=str(BTC))

    def maintain(self) -> None:
        self.grounds.control(system="maintenance")
        time.sleep(0.2)
        self.grounds.control(system="online")

    # What is left of it.

    def given_up(self) -> list[bytes]:
        events = [json.loads(told["payload"]) for _, told in self.told()]
        return [base64.b64decode(record["kinesis"]["data"]) for event in events for record in event["Records"]]

    def bars(self) -> dict[int, Bar]:
        """What is stored, by its start."""
        table = BarTable(f"{self.name}-bars", self.dynamodb)
        return {bar.start: bar for bar in table.between(BTC, 0, FOREVER)}

    def verdict(self, until: int) -> Verdict:
        verdict = Verdict()
        laws.judge_bars([trade for trade in self.grounds.tape() if trade.time < until], self.bars(), until, verdict)
        laws.judge_poison(self.poison, self.given_up(), verdict)
        return verdict

    def alive_until(self) -> int:
        mark = StateTable(f"{self.name}-state", self.dynamodb).watermark(BTC)
        return mark.time if mark else 0


@contextmanager
def fielded(grounds: Grounds, seed: int) -> Iterator[Field]:
    """The schedule's parts at work; all of them end with the block."""
    field = Field(grounds, seed)
    with ExitStack() as parts:
        parts.callback(field.wire.server.stop)
        parts.enter_context(field.function)
        parts.enter_context(field.delivery())
        parts.callback(lambda: [task.stop(0.0) for task in field.tasks])
        field.start_task()
        yield field


def run(grounds: Grounds, seed: int) -> Outcome:
    """One schedule, from its first trade to its verdict once all is quiet."""
    with fielded(grounds, seed) as field:
        blows = field.blows()
        for kind in field.random.choices(list(blows), k=BLOWS):
            time.sleep(field.random.uniform(0.2, 1.2))
            field.keep_task()
            field.struck[kind] += 1
            blows[kind]()
        until = minute_of(grounds.now()) + MINUTE
        verdict = _once_quiet(field, until)
        if not verdict.holds:
            verdict.notes += [tail(field.log("ingest")), tail(field.log("function"))]
        return Outcome(seed, "stack", verdict, field.struck, 0)


def _once_quiet(field: Field, until: int) -> Verdict:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        field.keep_task()
        time.sleep(0.3)
        if field.alive_until() > until or time.monotonic() > deadline:
            verdict = field.verdict(until)
            if verdict.holds or time.monotonic() > deadline:
                return verdict
