"""Two tasks at once, a rolling deployment and one that fails: real processes over one exchange, and bars identical to
those of a single task that nothing happened to.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from btc import tape
from btc.bars import Bar
from btc.times import MINUTE, minute_of
from btc.trades import Trades
from local.processes import Process, tail
from local.template import ROOT
from tests.faults.grounds import Grounds
from tests.faults.stack import Field, fielded

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("rollout"), pytest.mark.timeout(180)]

PATIENCE_S = 60.0
SETTLED_WITHIN_S = 10.0
OVERLAP_S = 1.5
LIVES = ("one", "two", "rolled", "failed")


@dataclass(frozen=True)
class Lives:
    """Four services side by side, each of its own stream and tables, once all is quiet."""

    fields: dict[str, Field]
    until: int
    """The end (µs) of the last minute that all of them have closed."""


def healthy(field: Field, task: Process) -> bool:
    """As ECS asks: the task definition's own command, where the task runs."""
    environment = {**os.environ, "TMPDIR": str(field.scratch[task.pid])}
    command = [sys.executable, "-m", "functions.ingest_trades.health"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False).returncode == 0


def wait(field: Field, met: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not met():
        assert time.monotonic() < end, f"not within {PATIENCE_S:.0f} s\n{tail(field.log('ingest'))}"
        time.sleep(0.1)


def settle(field: Field, until: int) -> None:
    """Leave it the time to write what it has read; whether it is right is what the tests ask."""
    end = time.monotonic() + SETTLED_WITHIN_S
    while not field.verdict(until).holds and time.monotonic() < end:
        time.sleep(0.2)


def stopped(*tasks: Process) -> list[int]:
    """Asked to stop as ECS does; their exit statuses."""
    for task in tasks:
        os.kill(task.pid, signal.SIGTERM)
    return [task.wait(30.0) for task in tasks]


def deploy(field: Field) -> None:
    """Another version: it starts, both run, and once it is healthy the old one is asked to stop."""
    [old] = field.tasks
    new = field.start_task()
    wait(field, lambda: healthy(field, new))
    time.sleep(OVERLAP_S)
    assert stopped(old) == [0]
    field.tasks = [new]


def deploy_in_vain(field: Field) -> None:
    """Versions that fail, each in its way: the circuit breaker gives up, and the old one has run on all the while."""
    [old] = field.tasks
    refused = field.start_task(symbols=("BTC-EUR",))
    crashing = field.start_task()
    waiting = field.start_task(rest_url="http://127.0.0.1:1")
    assert refused.wait(PATIENCE_S) == 1
    wait(field, lambda: healthy(field, crashing))
    time.sleep(OVERLAP_S)
    assert not healthy(field, waiting)
    crashing.stop(0.0)  # in the middle of what it sends
    assert crashing.status
    assert stopped(waiting) == [0]
    assert old.running
    field.tasks = [old]


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    with Grounds() as grounds, ExitStack() as running:
        fields = {name: running.enter_context(fielded(grounds, seed)) for seed, name in enumerate(LIVES, 1)}
        fields["two"].start_task()
        for field in fields.values():
            wait(field, lambda field=field: all(healthy(field, task) for task in field.tasks))
        deploy(fields["rolled"])
        deploy_in_vain(fields["failed"])
        until = minute_of(grounds.now()) + MINUTE
        for field in fields.values():
            wait(field, lambda field=field: field.alive_until() > until)
            settle(field, until)
        yield Lives(fields, until)
        tasks = [task for field in fields.values() for task in field.tasks]
        assert stopped(*tasks) == [0] * len(tasks)


def bars(lives: Lives, life: str) -> dict[int, Bar]:
    return {start: bar for start, bar in lives.fields[life].bars().items() if start < lives.until}


def sent(field: Field) -> Counter[int]:
    """How often each trade is in the stream."""
    shard: dict[str, Any] = {"StreamName": field.name, "ShardId": "shardId-000000000000"}
    iterator = field.kinesis.get_shard_iterator(**shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    times: Counter[int] = Counter()
    while records := (page := field.kinesis.get_records(ShardIterator=iterator, Limit=1000))["Records"]:
        entries = [tape.decode(record["Data"]) for record in records]
        times.update(identity for entry in entries if isinstance(entry, Trades) for identity in entry.ids)
        iterator = page["NextShardIterator"]
    return times


@pytest.mark.parametrize("life", LIVES)
def test_bars_are_those_of_the_exchanges_own_trades(life: str, lives: Lives) -> None:
    verdict = lives.fields[life].verdict(lives.until)

    assert verdict.holds, "\n".join(verdict.notes)


@pytest.mark.parametrize("life", LIVES[1:])
def test_bars_are_those_of_one_task_that_nothing_happened_to(life: str, lives: Lives) -> None:
    alone = bars(lives, "one")

    assert len(alone) >= 4
    assert bars(lives, life) == alone


@pytest.mark.parametrize("life", LIVES[1:])
def test_more_than_one_task_has_sent_the_same_trades(life: str, lives: Lives) -> None:
    """Else the others would prove nothing."""
    assert max(sent(lives.fields[life]).values()) > 1
