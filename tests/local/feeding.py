"""What feeds the ingest task and takes what it sends: an exchange, a stream and a table, in processes of their own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import boto3

from btc import ranges, tape
from btc.settings import IngestTrades
from btc.tape import Watermark
from btc.trades import Trades

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kinesis import KinesisClient

ROOT = Path(__file__).parents[2]


class Stack:
    """An exchange, a stream and a table, and the task between them."""

    def __init__(self, endpoint: str, exchange: dict[str, str]) -> None:
        self.exchange = exchange
        self.environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "POWERTOOLS_METRICS_NAMESPACE": "Fed",
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

    def told(self, **changes: Any) -> dict[str, str]:
        """The environment of a task between these, but for what `changes` of its settings."""
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
        return {**self.environment, **IngestTrades(**{**settings, **changes}).to_env()}

    def start(self, **changes: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "functions.ingest_trades"],
            cwd=ROOT,
            env={**os.environ, **self.told(**changes)},
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

    def marks(self) -> list[Watermark]:
        return [entry for entry in self.entries() if isinstance(entry, Watermark)]

    def is_whole_after(self, time: int) -> bool:
        """Whether the stream holds one run of trades, some of them later than `time` (µs)."""
        times = [moment for entry in self.entries() if isinstance(entry, Trades) for moment in entry.times]
        return max(times, default=0) > time and len(self.held()) == 1


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


def until(met: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.2)


def now() -> int:
    """The exchange's clock: it runs as life's does (µs)."""
    return time.time_ns() // 1000
