"""The ingest task as a process, between the simulated exchange and a stream: no trade lost, whatever is cut."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import boto3
import pytest

from btc import ranges, tape
from btc.aws.state import StateTable
from btc.settings import IngestTrades
from btc.tape import Watermark
from btc.times import FOREVER, SECOND
from btc.trades import Market, Trades

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kinesis import KinesisClient

ROOT = Path(__file__).parents[2]
BTC = Market("kraken", "BTC-USD")


class Stack:
    """An exchange, a stream and a table, and the task between them."""

    def __init__(self, endpoint: str, exchange: dict[str, str]) -> None:
        self.exchange = exchange
        self.environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        credentials: dict[str, Any] = {
            "endpoint_url": endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": "testing",
            "aws_secret_access_key": "testing",
        }
        self.kinesis: KinesisClient = boto3.client("kinesis", **credentials)
        self.dynamodb: DynamoDBClient = boto3.client("dynamodb", **credentials)
        self.kinesis.create_stream(StreamName="trades", ShardCount=1)
        self.dynamodb.create_table(
            TableName="state",
            KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def start(self, **changes: Any) -> subprocess.Popen[str]:
        settings = {
            "stream": "trades",
            "state_table": "state",
            "venue": "kraken",
            "symbols": ("BTC-USD",),
            "history_days": 1,
            "batch_ms": 50,
            "watermark_lag_ms": 1000,
            "websocket_url": self.exchange["websocket"],
            "rest_url": self.exchange["rest"],
        }
        return subprocess.Popen(
            [sys.executable, "-m", "functions.ingest_trades"],
            cwd=ROOT,
            env={**os.environ, **self.environment, **IngestTrades(**{**settings, **changes}).to_env()},
            stdout=subprocess.PIPE,
            text=True,
        )

    def control(self, **order: Any) -> None:
        request = Request(self.exchange["rest"] + "/control", json.dumps(order).encode(), method="POST")
        urlopen(request, timeout=5).close()

    def entries(self) -> list[Trades | Watermark]:
        """All records, or none while none are there."""
        [shard] = self.kinesis.describe_stream(StreamName="trades")["StreamDescription"]["Shards"]
        iterator = self.kinesis.get_shard_iterator(
            StreamName="trades", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        entries: list[Trades | Watermark] = []
        while page := self.kinesis.get_records(ShardIterator=iterator)["Records"]:
            entries += [tape.decode(record["Data"]) for record in page]
            iterator = self.kinesis.get_shard_iterator(
                StreamName="trades",
                ShardId=shard["ShardId"],
                ShardIteratorType="AFTER_SEQUENCE_NUMBER",
                StartingSequenceNumber=page[-1]["SequenceNumber"],
            )["ShardIterator"]
        return entries

    def held(self) -> ranges.Ranges:
        """The ids the stream holds, as runs."""
        parts = [ranges.runs(entry.in_order().ids) for entry in self.entries() if isinstance(entry, Trades)]
        return ranges.union(*parts)

    def alive_until(self) -> int:
        """The newest watermark's time (µs); 0 without any."""
        return max((entry.time for entry in self.entries() if isinstance(entry, Watermark)), default=0)

    def is_alive_after(self, time: int) -> bool:
        return self.alive_until() > time


@contextmanager
def running(*arguments: str) -> Iterator[dict[str, str]]:
    """A server's process, and the addresses it prints once it serves."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture(scope="module")
def exchange() -> Iterator[dict[str, str]]:
    with running("local.exchange", "--history-days", "0.001", "--trades-per-minute", "30000") as addresses:
        yield addresses


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with running("local.emulator") as addresses:
        yield addresses["endpoint"]


@pytest.fixture
def stack(exchange: dict[str, str], endpoint: str) -> Stack:
    urlopen(Request(endpoint + "/moto-api/reset", method="POST"), timeout=5).close()
    return Stack(endpoint, exchange)


def until(met: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.2)


def now() -> int:
    """The exchange's clock: it runs as life's does (µs)."""
    return time.time_ns() // 1000


def stop(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Ask the task to leave; returns what it logged."""
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert time.monotonic() - asked < 5
    assert process.returncode == 0, output
    return [json.loads(line) for line in output.splitlines()]


def test_history_and_live_trades_are_one_unbroken_run_whatever_is_cut(stack: Stack) -> None:
    process = stack.start()
    until(lambda: stack.alive_until() > now() - 3 * SECOND)
    [(first, _)] = stack.held()

    for order in ({"disconnect": True}, {"throttle": 2}, {"disconnect": True}):
        stack.control(**order)
        until(partial(stack.is_alive_after, now() + 2 * SECOND))
    log = stop(process)

    [(still_first, last)] = stack.held()
    assert still_first == first
    assert last - first > 10_000
    assert [line["message"] for line in log if line.get("message") == "connection lost"] == ["connection lost"] * 2
    # At this pace a cut of a second outruns the snapshot of 50: the rest came from the venue's history.
    assert "hole repaired" in [line.get("message") for line in log]
    [figures] = [line for line in log if line.get("message") == "ingested"]
    assert figures["unrepaired"] == figures["malformed"] == 0
    assert_marks_claim_only_what_is_held(stack.entries())


def assert_marks_claim_only_what_is_held(entries: list[Trades | Watermark]) -> None:
    """Each watermark comes later than the one before, names the last trade made by its time, and follows it."""
    made = sorted((trade.time, trade.trade_id) for entry in entries if isinstance(entry, Trades) for trade in entry)
    held: ranges.Ranges = ()
    marked = 0
    for entry in entries:
        if isinstance(entry, Trades):
            held = ranges.union(held, ranges.runs(entry.in_order().ids))
            continue
        assert entry.time > marked
        assert entry.last_id <= held[0][1]
        assert entry.last_id == made[bisect(made, (entry.time, FOREVER)) - 1][1]
        marked = entry.time


def test_a_restart_continues_from_the_watermark_the_bars_know(stack: Stack) -> None:
    process = stack.start(history_days=0)
    until(lambda: stack.alive_until() > now() - 3 * SECOND)
    stop(process)
    entries = stack.entries()
    marks = [entry for entry in entries if isinstance(entry, Watermark)]
    known = marks[len(marks) // 2]
    StateTable("state", stack.dynamodb).advance(known, known.time)
    sent = len(entries)

    process = stack.start()
    until(lambda: stack.alive_until() > now() - 3 * SECOND and len(stack.entries()) > sent)
    log = stop(process)

    again = stack.entries()[sent:]
    ids = sorted(identity for entry in again if isinstance(entry, Trades) for identity in entry.ids)
    assert ids == list(range(known.last_id + 1, ids[-1] + 1)), "all that the watermark did not know of, and no more"
    assert [line["last_id"] for line in log if line.get("message") == "continuing"] == [known.last_id]
    assert all(mark.time > known.time for mark in again if isinstance(mark, Watermark))


def test_a_task_that_waits_for_a_venue_out_of_reach_stops_when_it_is_told_to(stack: Stack) -> None:
    task = stack.start(rest_url="http://127.0.0.1:1", symbols=("SOL-USD",))
    time.sleep(4)
    assert task.poll() is None

    assert "told to stop while waiting for the venue" in {line.get("message") for line in stop(task)}


@pytest.fixture
def stalled() -> Iterator[int]:
    """The port of a venue that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("part", ["rest_url", "websocket_url"])
def test_a_task_stops_within_five_seconds_where_the_venue_stalls(stack: Stack, stalled: int, part: str) -> None:
    scheme = "http" if part == "rest_url" else "ws"
    task = stack.start(history_days=0, **{part: f"{scheme}://127.0.0.1:{stalled}"})
    time.sleep(4)
    assert task.poll() is None

    began = time.monotonic()
    stop(task)
    assert time.monotonic() - began < 2


def test_a_symbol_the_venue_does_not_know_ends_the_task_with_the_venues_words(stack: Stack) -> None:
    process = stack.start(symbols=("BTC-EUR",), history_days=0)
    output, _ = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "EQuery:Unknown asset pair" in output


def test_a_refused_subscription_ends_the_task_with_the_venues_words(stack: Stack) -> None:
    with running("local.exchange", "--symbols", "ETH-USD", "--history-days", "0.001") as elsewhere:
        process = stack.start(websocket_url=elsewhere["websocket"], history_days=0)
        output, _ = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "Currency pair not supported BTC/USD" in output


def test_missing_settings_end_the_task_by_name(stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "functions.ingest_trades"],
        cwd=ROOT,
        env={**os.environ, **stack.environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 1
    assert "STREAM is not set" in done.stdout
