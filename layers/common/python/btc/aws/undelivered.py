"""Events that EventBridge could hand to no function: kept in the queue behind its rule, and their way on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from btc.aws.failures import Kept, UnreadableBatchError, invoked

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_HELD_S: Final = 900
"""How long what is under way is hidden from others: no invocation takes longer."""
_WAIT_S: Final = 1
"""A queue that is asked and waited for looks through all of itself; otherwise it may miss what it holds."""


@dataclass(slots=True)
class Undelivered:
    """The queue and Lambda; what is taken out to be looked at lies in it again once this is left."""

    url: str
    sqs: "SQSClient"
    client: "LambdaClient"
    _held: dict[str, "MessageTypeDef"] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return self.url.rpartition("/")[2]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for message in self._held.values():
            handle = message["ReceiptHandle"]
            self.sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle=handle, VisibilityTimeout=0)

    def keys(self) -> list[str]:
        """The messages' ids, oldest event first; those that do not read, last."""
        self._held |= {message["MessageId"]: message for message in self._received()}
        return sorted(self._held, key=self._age)

    def _received(self) -> Iterator["MessageTypeDef"]:
        while messages := self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=_HELD_S,
            WaitTimeSeconds=_WAIT_S,
            MessageAttributeNames=["All"],
        ).get("Messages"):
            yield from messages

    def _age(self, key: str) -> tuple[bool, str, str]:
        try:
            return False, self.read(key).at, key
        except UnreadableBatchError:
            return True, "", key

    def read(self, key: str) -> Kept:
        """Raises UnreadableBatchError."""
        message = self._held[key]
        try:
            told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
            event = json.loads(message["Body"])
            return Kept(key, told["TARGET_ARN"], told["ERROR_CODE"], event["time"], 0, event)
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableBatchError(f"{key} is no event that EventBridge left: {error!r}") from error

    def deliver(self, kept: Kept) -> str | None:
        """Invoke the function; what it did not take, or None: then the message is gone."""
        cause = invoked(self.client, kept)
        if cause is None:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=self._held.pop(kept.key)["ReceiptHandle"])
        return cause
