"""Batches that Lambda gave up on, kept whole in the failures bucket, and their way back to the functions."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client


class UnreadableBatchError(ValueError):
    """An object of the bucket is no description of a failed invocation; the message names it."""


class Kept(NamedTuple):
    """One invocation that failed for good."""

    key: str
    function: str
    """Its ARN, with the version that failed."""
    condition: str
    """Why Lambda gave up: RetryAttemptsExhausted, RecordAgeExceeded, EventAgeExceeded."""
    at: str
    sequence: int
    """Of its first record in its shard; 0 for an event that came by no stream."""
    event: Any
    """What the function was, or would have been, invoked with."""

    @property
    def records(self) -> int:
        return len(self.event.get("Records", (self.event,)))


@dataclass(frozen=True, slots=True)
class Failures:
    """The failures bucket, and Lambda."""

    bucket: str
    s3: "S3Client"
    client: "LambdaClient"

    @property
    def place(self) -> str:
        return self.bucket

    def keys(self) -> list[str]:
        """The objects' keys, oldest first, as the records of one shard have to come; those that do not read, last.

        By what they tell of themselves: S3 knows only the second, and ends a key by chance.
        """
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return sorted(keys, key=self._age)

    def _age(self, key: str) -> tuple[bool, str, int, str]:
        try:
            kept = self.read(key)
        except UnreadableBatchError:
            return True, "", 0, key
        return False, kept.at, kept.sequence, key

    def read(self, key: str) -> Kept:
        """Raises UnreadableBatchError."""
        return _parsed(key, self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def deliver(self, kept: Kept) -> str | None:
        """Invoke the function once more; what it did not take, or None: then the object is gone.

        Delivering twice does no harm, as no function minds a record that comes again.
        """
        cause = invoked(self.client, kept)
        if cause is None:
            self.s3.delete_object(Bucket=self.bucket, Key=kept.key)
        return cause


def invoked(client: "LambdaClient", kept: Kept) -> str | None:
    """What its function did not take when it was invoked once more, and why; None where it took all."""
    name = kept.function.removesuffix(":$LATEST")
    answer = client.invoke(FunctionName=name, Payload=json.dumps(kept.event).encode())
    said = json.loads(answer["Payload"].read() or "null")
    told = said if isinstance(said, dict) else {}
    if "FunctionError" in answer:
        return f"{told.get('errorType')}: {told.get('errorMessage')}"
    if refused := told.get("batchItemFailures"):
        return f"{len(refused)} of {kept.records} records refused"
    return None


def _parsed(key: str, content: bytes) -> Kept:
    """An event source's description holds the event as text, that of an asynchronous invocation as it is."""
    try:
        told = json.loads(content)
        context = told["requestContext"]
        event = json.loads(told["payload"]) if "payload" in told else told["requestPayload"]
        batch = told.get("KinesisBatchInfo") or told.get("DDBStreamBatchInfo") or {}
        sequence = int(batch.get("startSequenceNumber", 0))
        return Kept(key, context["functionArn"], context["condition"], told["timestamp"], sequence, event)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableBatchError(f"{key} is no description of a failed invocation: {error!r}") from error
