"""Counts what code asks of AWS as AWS counts it, in moto: DynamoDB's units from the bytes, which moto does not count.

CPU is the process's, less what moto itself takes.
"""

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final
from unittest import mock

from botocore.client import BaseClient
from moto.core.botocore_stubber import BotocoreStubber

EVENT_BYTES: Final = 26
"""What CloudWatch Logs counts for an event beside its text."""


@dataclass
class Used:
    """Of one invocation."""

    read_units: float = 0
    write_units: float = 0
    puts: int = 0
    gets: int = 0
    stored_bytes: int = 0
    """Put into S3."""
    calls: int = 0
    log_bytes: int = 0
    cpu_ms: float = 0
    metrics: set[tuple[str, str]] = field(default_factory=set)
    """By service and name."""


class Meter:
    """Counts what is asked of AWS, as AWS counts it."""

    def __init__(self) -> None:
        self.used = Used()
        self._moto = 0.0
        self._printed = io.StringIO()
        self._ask, self._answer = BaseClient._make_api_call, BotocoreStubber.__call__

    @contextmanager
    def running(self) -> Iterator["Meter"]:
        def asked(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
            answer = self._ask(client, operation, arguments)
            self._count(client, operation, arguments, answer)
            return answer

        def answered(stubber: BotocoreStubber, *told: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return self._answer(stubber, *told, **named)
            finally:
                self._moto += time.process_time() - began

        with (
            redirect_stdout(self._printed),  # a logger keeps the stream it was made with
            mock.patch.object(BaseClient, "_make_api_call", asked),
            mock.patch.object(BotocoreStubber, "__call__", answered),
        ):
            yield self

    def of(self, run: Callable[[], object]) -> Used:
        """What `run` used, with what it printed."""
        self.used, self._moto = Used(), 0.0
        self._printed.seek(0)
        self._printed.truncate()
        began = time.process_time()
        run()
        self.used.cpu_ms = 1000 * (time.process_time() - began - self._moto)
        lines = self._printed.getvalue().splitlines()
        self.used.metrics = {metric for line in lines for metric in _metrics(line)}
        self.used.log_bytes = sum(len(line.encode()) + EVENT_BYTES for line in lines)
        return self.used

    def _count(self, client: BaseClient, operation: str, told: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        used = self.used
        used.calls += 1
        match operation:
            case "GetItem" | "Query":
                items = answer.get("Items", [answer["Item"]] if "Item" in answer else [])
                units = max(1, ceil(sum(map(item_bytes, items)) / 4096))
                used.read_units += units if told.get("ConsistentRead") else units / 2
            case "BatchGetItem":
                for table, items in answer["Responses"].items():
                    consistent = told["RequestItems"][table].get("ConsistentRead")
                    units = sum(ceil(item_bytes(item) / 4096) for item in items)
                    used.read_units += units if consistent else units / 2
            case "DeleteItem":
                used.write_units += 1  # of what is small
            case "PutItem":
                used.write_units += ceil(item_bytes(told["Item"]) / 1024)
            case "UpdateItem":
                item = self._ask(client, "GetItem", {"TableName": told["TableName"], "Key": told["Key"]})["Item"]
                used.write_units += ceil(item_bytes(item) / 1024)
            case "PutObject":
                used.puts += 1
                body = told["Body"]
                used.stored_bytes += body.getbuffer().nbytes if isinstance(body, io.BytesIO) else len(body)
            case "GetObject" | "HeadObject":
                used.gets += 1


def _metrics(line: str) -> Iterator[tuple[str, str]]:
    document = json.loads(line)
    for group in document.get("_aws", {}).get("CloudWatchMetrics", ()):
        for metric in group["Metrics"]:
            yield document["service"], metric["Name"]


def item_bytes(item: Mapping[str, Any]) -> int:
    """An item's size as DynamoDB counts it: names and values, numbers two digits a byte."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    [(kind, content)] = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "B":
            return len(content)
        case "N":
            digits = content.lstrip("-").replace(".", "").strip("0")
            return ceil(len(digits) / 2) + 1 + content.startswith("-")
        case "L":
            return 3 + sum(1 + _value_bytes(each) for each in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_bytes(each) for name, each in content.items())
    return 1  # BOOL, NULL
