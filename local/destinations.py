"""On-failure destinations: where that is told of which an event-source mapping, or Lambda itself, gives up on."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping as Event
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from local.lambdas import Result
from local.mappings import Mapping
from local.streams import Emulator, Record

RETRIES_EXHAUSTED = "RetryAttemptsExhausted"
TOO_OLD = "RecordAgeExceeded"


@dataclass(frozen=True, slots=True)
class Discarded:
    """Records of one shard, in order, that are given up: why, after how many invocations, and what the last one said
    (None when they were never delivered)."""

    shard: str
    records: Sequence[Record]
    condition: str
    invocations: int
    last: Result | None


class Destination(Protocol):
    def send(self, discarded: Discarded) -> None: ...


def open_destination(mapping: Mapping, emulator: Emulator) -> Destination | None:
    """The mapping's on-failure destination, if it has one. Raises ValueError for what is neither bucket nor queue."""
    arn = mapping.on_failure_arn
    if arn is None:
        return None
    match arn.split(":")[2]:
        case "s3":
            return _Bucket(arn.rsplit(":", 1)[1], mapping, emulator)
        case "sqs":
            return _Queue(arn.rsplit(":", 1)[1], mapping, emulator)
    raise ValueError(f"{arn}: an on-failure destination here is an S3 bucket or an SQS queue")


class _Bucket:
    """An object with the metadata and the whole event."""

    def __init__(self, bucket: str, mapping: Mapping, emulator: Emulator) -> None:
        self._bucket = bucket
        self._mapping = mapping
        self._client = emulator.client("s3")

    def send(self, discarded: Discarded) -> None:
        now = datetime.now(UTC)
        event = {"Records": [record.event for record in discarded.records]}
        self._client.put_object(
            Bucket=self._bucket,
            Key=f"aws/lambda/{self._mapping.uuid}/{discarded.shard}/{_moment(now)}",
            Body=json.dumps(invocation_record(self._mapping, discarded, now) | {"payload": json.dumps(event)}).encode(),
            ContentType="application/json",
        )


class _Queue:
    """A message with the metadata: the records are found in the stream by their sequence numbers."""

    def __init__(self, queue: str, mapping: Mapping, emulator: Emulator) -> None:
        self._mapping = mapping
        self._client = emulator.client("sqs")
        self._url = self._client.get_queue_url(QueueName=queue)["QueueUrl"]

    def send(self, discarded: Discarded) -> None:
        message = invocation_record(self._mapping, discarded, datetime.now(UTC))
        self._client.send_message(QueueUrl=self._url, MessageBody=json.dumps(message))


def invocation_record(mapping: Mapping, discarded: Discarded, now: datetime) -> dict[str, Any]:
    """Lambda's documented description of a failed batch."""
    first, last, result = discarded.records[0], discarded.records[-1], discarded.last
    record: dict[str, Any] = {
        "requestContext": {
            "requestId": result.request_id if result else str(uuid.uuid4()),
            "functionArn": mapping.function_arn,
            "condition": discarded.condition,
            "approximateInvokeCount": discarded.invocations,
        }
    }
    if result:
        error = "Unhandled" if result.error else None
        record["responseContext"] = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": error}
    kind = "KinesisBatchInfo" if ":kinesis:" in mapping.source_arn else "DDBStreamBatchInfo"
    return record | {
        "version": "1.0",
        "timestamp": _iso(now.timestamp()),
        kind: {
            "shardId": discarded.shard,
            "startSequenceNumber": first.sequence,
            "endSequenceNumber": last.sequence,
            "approximateArrivalOfFirstRecord": _iso(first.arrived),
            "approximateArrivalOfLastRecord": _iso(last.arrived),
            "batchSize": len(discarded.records),
            "streamArn": mapping.source_arn,
        },
    }


def keep_event(  # noqa: PLR0913, PLR0917 - what an invocation is
    bucket: str, function_arn: str, event: Event[str, Any], last: Result, invocations: int, emulator: Emulator
) -> None:
    """Lambda's documented description of an asynchronous invocation that failed for good, into the bucket."""
    now, error = datetime.now(UTC), last.error
    told = {
        "version": "1.0",
        "timestamp": _iso(now.timestamp()),
        "requestContext": {
            "requestId": last.request_id,
            "functionArn": f"{function_arn}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": invocations,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorType": error.error_type, "errorMessage": error.message} if error else None,
    }
    emulator.client("s3").put_object(
        Bucket=bucket.rpartition(":")[2],
        Key=f"aws/lambda/async/{function_arn.split(':')[6]}/{_moment(now)}",
        Body=json.dumps(told).encode(),
        ContentType="application/json",
    )


def _moment(now: datetime) -> str:
    """The end of a key."""
    return f"{now:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
