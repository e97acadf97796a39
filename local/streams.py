"""The two streams a function can read, Kinesis and DynamoDB: their shards, and records in the form of Lambda events."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as ConnectionFailedError

if TYPE_CHECKING:
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_kinesis import KinesisClient


Position = Literal["TRIM_HORIZON", "LATEST", "AFTER_SEQUENCE_NUMBER"]
_MAKING = threading.Lock()
_THROTTLED = ("ProvisionedThroughputExceededException", "LimitExceededException", "ThrottlingException")


@dataclass(frozen=True, slots=True)
class Emulator:
    """Where AWS's services answer. The credentials are the emulator's: any will do."""

    endpoint_url: str
    region: str = "us-east-1"

    def client(self, service: Any) -> Any:
        """A client that tries once: whoever polls repeats what failed, and counts it."""
        config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1})
        with _MAKING:  # of the same session only one at a time
            return _session(self.region).client(service, endpoint_url=self.endpoint_url, config=config)


@cache
def _session(region: str) -> boto3.session.Session:
    """One for all clients: each would read botocore's models of all services and regions anew."""
    return boto3.session.Session("local", "local", region_name=region)


@dataclass(frozen=True, slots=True)
class Record:
    """One stream record: `event` is its entry in a Lambda event, `size` that entry's bytes, `arrived` epoch seconds.
    `filtered_on` is the document that filter patterns see."""

    sequence: str
    arrived: float
    event: dict[str, Any]
    size: int
    filtered_on: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """What one read returned; `following` is None at the end of a closed shard, `behind_ms` the distance to the tip."""

    records: list[Record]
    following: str | None
    behind_ms: int


class Stream(Protocol):
    """A stream's shards, read one page at a time."""

    @property
    def arn(self) -> str: ...

    def shards(self) -> list[str]: ...

    def iterator(self, shard: str, kind: Position, sequence: str | None = None) -> str:
        """A place in a shard: `kind` is TRIM_HORIZON, LATEST or, with `sequence`, AFTER_SEQUENCE_NUMBER."""
        ...

    def read(self, shard: str, iterator: str, limit: int) -> Page: ...


def open_stream(arn: str, emulator: Emulator) -> Stream:
    """The stream with this ARN. Raises ValueError for what is neither a Kinesis nor a DynamoDB stream."""
    service = arn.split(":")[2]
    if service == "kinesis":
        return KinesisStream(arn, emulator)
    if service == "dynamodb" and "/stream/" in arn:
        return TableStream(arn, emulator)
    raise ValueError(f"{arn} is no Kinesis stream and no DynamoDB stream")


def is_expired(error: Exception) -> bool:
    """Whether an iterator was refused because it is too old: ask for a new one after the last record read."""
    return isinstance(error, ClientError) and error.response["Error"]["Code"] == "ExpiredIteratorException"


def is_passing(error: Exception) -> bool:
    """Whether a request failed in a way that passes: not reached, not answered, throttled, a fault of the service."""
    if not isinstance(error, ClientError):
        return isinstance(error, ConnectionFailedError | HTTPClientError)
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status >= 500 or code in _THROTTLED


class KinesisStream:
    def __init__(self, arn: str, emulator: Emulator) -> None:
        self.arn = arn
        self._region = arn.split(":")[3]
        self._client: KinesisClient = emulator.client("kinesis")

    def shards(self) -> list[str]:
        pages = self._client.get_paginator("list_shards").paginate(StreamARN=self.arn)
        return [shard["ShardId"] for page in pages for shard in page["Shards"]]

    def iterator(self, shard: str, kind: Position, sequence: str | None = None) -> str:
        place: dict[str, Any] = {"StartingSequenceNumber": sequence} if sequence else {}
        answer = self._client.get_shard_iterator(
            StreamARN=self.arn,
            ShardId=shard,
            ShardIteratorType=kind,
            **place,
        )
        return answer["ShardIterator"]

    def read(self, shard: str, iterator: str, limit: int) -> Page:
        answer = self._client.get_records(StreamARN=self.arn, ShardIterator=iterator, Limit=min(limit, 10_000))
        records = [self._record(shard, record) for record in answer["Records"]]
        return Page(records, answer.get("NextShardIterator") or None, answer["MillisBehindLatest"])

    def _record(self, shard: str, record: Any) -> Record:
        arrived = record["ApproximateArrivalTimestamp"].timestamp()
        kinesis = {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": record["SequenceNumber"],
            "data": base64.b64encode(record["Data"]).decode(),
            "approximateArrivalTimestamp": round(arrived, 3),
        }
        event = {
            "kinesis": kinesis,
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard}:{record['SequenceNumber']}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/local",
            "awsRegion": self._region,
            "eventSourceARN": self.arn,
        }
        filtered_on = {**kinesis, "data": _parsed(record["Data"])}
        return Record(record["SequenceNumber"], arrived, event, _size(event), filtered_on)


class TableStream:
    def __init__(self, arn: str, emulator: Emulator) -> None:
        self.arn = arn
        self._region = arn.split(":")[3]
        self._client: DynamoDBStreamsClient = emulator.client("dynamodbstreams")

    def shards(self) -> list[str]:
        return list(self._shards())

    def _shards(self) -> Iterator[str]:
        after: dict[str, Any] = {}
        while True:
            description = self._client.describe_stream(StreamArn=self.arn, **after)["StreamDescription"]
            yield from (shard["ShardId"] for shard in description["Shards"])
            if not (last := description.get("LastEvaluatedShardId")):
                return
            after = {"ExclusiveStartShardId": last}

    def iterator(self, shard: str, kind: Position, sequence: str | None = None) -> str:
        place: dict[str, Any] = {"SequenceNumber": sequence} if sequence else {}
        answer = self._client.get_shard_iterator(
            StreamArn=self.arn,
            ShardId=shard,
            ShardIteratorType=kind,
            **place,
        )
        return answer["ShardIterator"]

    def read(self, shard: str, iterator: str, limit: int) -> Page:  # noqa: ARG002 - its records do not name their shard
        answer = self._client.get_records(ShardIterator=iterator, Limit=min(limit, 1_000))
        records = [self._record(record) for record in answer["Records"]]
        # The service does not say how far it is behind: a page that is not full has reached the tip.
        return Page(records, answer.get("NextShardIterator") or None, behind_ms=0)

    def _record(self, record: Any) -> Record:
        change = _json_ready(record["dynamodb"])
        arrived = float(change["ApproximateCreationDateTime"])
        event = {
            "eventID": record["eventID"],
            "eventName": record["eventName"],
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": self._region,
            "dynamodb": change,
            "eventSourceARN": self.arn,
        }
        if "userIdentity" in record:  # what TTL removed
            identity = record["userIdentity"]
            event["userIdentity"] = {"principalId": identity["PrincipalId"], "type": identity["Type"]}
        return Record(change["SequenceNumber"], arrived, event, _size(event), event)


def _json_ready(value: Any) -> Any:
    """boto3's values as Lambda's JSON has them: bytes in base64, times in epoch seconds."""
    if isinstance(value, dict):
        return {key: _json_ready(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_ready(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return int(value.timestamp())
    return value


def _parsed(data: bytes) -> Any:
    """Kinesis data as filter patterns see it: parsed where it is JSON, else text, else nothing."""
    try:
        return json.loads(data)
    except ValueError:
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _size(event: dict[str, Any]) -> int:
    return len(json.dumps(event, separators=(",", ":")))
