"""Moto in process, the tables as the system has them, and functions loaded as Lambda loads them."""

import base64
import importlib.util
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import boto3
import pytest
from botocore.client import BaseClient
from moto import mock_aws

from btc import tape
from btc.aws import clients, folding
from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.settings import Settings
from btc.tape import Watermark
from btc.times import FOREVER
from btc.trades import Trade, by_market
from local import shortcuts

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

shortcuts.take()
FUNCTIONS = Path(__file__).parents[2] / "functions"
CONTEXT = SimpleNamespace(
    function_name="test",
    memory_limit_in_mb=128,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:test",
    aws_request_id="request",
)
KEYS = {
    "bars": ("market", "start"),
    "forecasts": ("series", "target_time"),
    "listeners": ("audience", "id"),
    "scores": ("series", "day"),
    "state": ("name",),
}


@cache
def session() -> boto3.Session:
    """One for all accounts: it reads the services' descriptions once. Moto takes boto3's away with each account."""
    return boto3.Session()


@pytest.fixture
def aws() -> Iterator[None]:
    """An empty account with the tables and a lake bucket."""
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_METRICS_NAMESPACE": "Test",
        "POWERTOOLS_SERVICE_NAME": "test",
        "DETAILED_METRICS": "true",
    }
    with mock.patch.dict(os.environ, environment), mock_aws(), mock.patch.object(boto3, "DEFAULT_SESSION", session()):
        for make in (clients.dynamodb, clients.kinesis, clients.s3, clients.sagemaker):
            make.cache_clear()
        create_tables(clients.dynamodb())
        boto3.client("s3").create_bucket(Bucket="lake")
        yield


def create_tables(client: "DynamoDBClient") -> None:
    for name, keys in KEYS.items():
        client.create_table(
            TableName=name,
            KeySchema=[
                {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
        )


@contextmanager
def called() -> Iterator[set[str]]:
    """The operations asked of AWS within the block: what a function must be allowed to do."""
    operations: set[str] = set()
    ask = BaseClient._make_api_call

    def asked(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        operations.add(operation)
        return ask(client, operation, arguments)

    with mock.patch.object(BaseClient, "_make_api_call", asked):
        yield operations


def fold(trades: Iterable[Trade] = (), mark: Watermark | None = None, expires: int = FOREVER) -> list[Bar]:
    """Into the tables as aggregate_bars folds them; the bars that changed."""
    table, state = BarTable("bars", clients.dynamodb()), StateTable("state", clients.dynamodb())
    parts = list(by_market(trades))
    return folding.fold(table, state, parts, [mark] if mark else [], expires)


def load(function: str, settings: Settings) -> ModuleType:
    """The function's module, fresh, under the environment it is deployed with."""
    os.environ.update(settings.to_env())
    spec = importlib.util.spec_from_file_location(f"{function}_handler", FUNCTIONS / function / "handler.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kinesis_event(entries: Iterable[Any]) -> dict[str, Any]:
    """A delivery of records; bytes go as they are, all else is encoded."""
    return {
        "Records": [
            {
                "kinesis": {
                    "data": base64.b64encode(entry if isinstance(entry, bytes) else tape.encode(entry)).decode(),
                    "sequenceNumber": str(row),
                }
            }
            for row, entry in enumerate(entries)
        ]
    }
