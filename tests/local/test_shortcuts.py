"""The emulator's shortcuts answer as moto does, only sooner."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.config import Config

CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-east-1"}
PLAIN = """
import json, logging, threading
from moto.server import ThreadedMotoServer

logging.disable()
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
print(json.dumps({"endpoint": f"http://{host}:{port}"}), flush=True)
threading.Event().wait()
"""
"""Moto as it comes."""


@pytest.fixture(scope="module")
def addresses() -> Iterator[tuple[str, str]]:
    """The emulator, and moto as it comes."""
    # Each in a process of its own: in this one another test may have taken the shortcuts.
    with serving("-m", "local.emulator") as emulator, serving("-c", PLAIN) as plain:
        yield emulator, plain


@pytest.fixture(scope="module")
def clients(addresses: tuple[str, str]) -> tuple[Any, ...]:
    """Tables with the same items in both."""
    both = _clients("dynamodb", addresses)
    stock(both)
    return both


@pytest.fixture(scope="module")
def streams(addresses: tuple[str, str]) -> tuple[Any, ...]:
    """Streams with the same records in both."""
    both = _clients("kinesis", addresses)
    for client in both:
        client.create_stream(StreamName="trades", ShardCount=1)
        for first in range(0, 40, 10):
            _put(client, "trades", range(first, first + 10))
    return both


def _clients(service: str, addresses: tuple[str, str]) -> tuple[Any, ...]:
    return tuple(boto3.client(service, endpoint_url=address, **CREDENTIALS) for address in addresses)


def _put(client: Any, stream: str, numbers: range) -> None:
    records = [{"Data": str(number).encode(), "PartitionKey": "BTC-USD"} for number in numbers]
    client.put_records(StreamName=stream, Records=records)


def _records(client: Any, stream: str, limit: int | None = None, **start: str) -> list[tuple[str, bytes]]:
    """Number and content of all records, page by page, from `start` (by default the first) on."""
    start = start or {"ShardIteratorType": "TRIM_HORIZON"}
    place = client.get_shard_iterator(StreamName=stream, ShardId="shardId-000000000000", **start)["ShardIterator"]
    told: list[tuple[str, bytes]] = []
    while True:
        page = client.get_records(ShardIterator=place, **({"Limit": limit} if limit else {}))
        if not page["Records"]:
            return told
        told += [(record["SequenceNumber"], record["Data"]) for record in page["Records"]]
        place = page["NextShardIterator"]


@contextmanager
def serving(*program: str) -> Iterator[str]:
    """Its endpoint, which it tells on its first line."""
    with subprocess.Popen([sys.executable, *program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["endpoint"]
        finally:
            process.terminate()


def stock(both: tuple[Any, ...]) -> None:
    source = random.Random(7)
    rows = [(market, f"2026-11-{day:02}") for market in "ab" for day in source.sample(range(1, 31), 25)]
    for client in both:
        client.create_table(
            TableName="bars",
            KeySchema=[{"AttributeName": "market", "KeyType": "HASH"}, {"AttributeName": "start", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("market", "start")],
            BillingMode="PAY_PER_REQUEST",
        )
        for place, (market, start) in enumerate(rows):
            client.put_item(TableName="bars", Item=_item(market, start, place))


def _item(market: str, start: str, place: int) -> dict[str, Any]:
    """One value of every type that a bar or a forecast has, and a nested one."""
    return {
        "market": {"S": market},
        "start": {"S": start},
        "version": {"N": str(place)},
        "closed": {"BOOL": place % 2 == 0},
        "quantiles": {
            "L": [{"N": "1.5"}, {"S": "x"}, {"M": {"deep": {"NULL": True}}}, {"L": []}, {"M": {}}, {"L": [{"B": b"y"}]}]
        },
    }


def _pages(client: Any, query: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Every page of a query: its items and where it says the next one begins."""
    pages = []
    while True:
        page = client.query(**query)
        pages.append((page["Items"], page.get("LastEvaluatedKey")))
        if "LastEvaluatedKey" not in page:
            return pages
        query = {**query, "ExclusiveStartKey": page["LastEvaluatedKey"]}


def _query(source: random.Random) -> dict[str, Any]:
    edges = sorted(f"2026-11-{source.randint(0, 32):02}" for _ in range(2))
    operator = source.choice(["<", "<=", ">", ">=", "BETWEEN", "="])
    condition = "BETWEEN :low AND :high" if operator == "BETWEEN" else f"{operator} :low"
    query: dict[str, Any] = {
        "TableName": "bars",
        "KeyConditionExpression": f"market = :market AND #start {condition}",
        "ExpressionAttributeNames": {"#start": "start"},
        "ExpressionAttributeValues": {":market": {"S": source.choice("abc")}, ":low": {"S": edges[0]}},
        "ScanIndexForward": source.random() < 0.5,
        "ConsistentRead": source.random() < 0.5,
    }
    if operator == "BETWEEN":
        query["ExpressionAttributeValues"][":high"] = {"S": edges[1]}
    if source.random() < 0.5:
        paths = source.sample(["market", "#start", "version", "quantiles", "quantiles[2].deep", "absent"], 3)
        query["ProjectionExpression"] = ", ".join({"#start", *paths})
    if source.random() < 0.7:
        query["Limit"] = source.randint(1, 12)
    if source.random() < 0.2:
        query["FilterExpression"] = "closed = :closed"
        query["ExpressionAttributeValues"][":closed"] = {"BOOL": True}
    return query


@pytest.mark.parametrize("seed", range(60))
def test_a_query_is_answered_page_by_page_as_moto_would(clients: tuple[Any, ...], seed: int) -> None:
    query = _query(random.Random(seed))

    assert _pages(clients[0], query) == _pages(clients[1], query)


@pytest.mark.parametrize("limit", [None, 1, 7, 40, 100])
@pytest.mark.parametrize("kind", ["TRIM_HORIZON", "LATEST", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"])
def test_a_shard_is_read_page_by_page_as_moto_would(streams: tuple[Any, ...], kind: str, limit: int | None) -> None:
    start = {"ShardIteratorType": kind} | ({"StartingSequenceNumber": "17"} if "SEQUENCE" in kind else {})

    assert _records(streams[0], "trades", limit, **start) == _records(streams[1], "trades", limit, **start)


def test_a_shard_that_many_write_and_read_at_once_keeps_every_record(addresses: tuple[str, str]) -> None:
    client = boto3.client(
        "kinesis", endpoint_url=addresses[0], config=Config(retries={"total_max_attempts": 1}), **CREDENTIALS
    )
    client.create_stream(StreamName="busy", ShardCount=1)
    parts = [range(first, first + 100) for first in range(0, 1_600, 100)]

    with ThreadPoolExecutor(8) as pool:
        writing = [pool.submit(_put, client, "busy", part) for part in parts]
        reading = [pool.submit(_records, client, "busy", 50) for _ in parts]
        for job in [*writing, *reading]:
            job.result()

    told = _records(client, "busy")
    assert [int(number) for number, _ in told] == list(range(1, 1_601))
    assert sorted(int(content) for _, content in told) == list(range(1_600))
