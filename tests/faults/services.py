"""boto3's own clients over stores in memory: what lies beneath HTTP answers late, badly, or only after the deed."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import botocore.endpoint
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.hooks import HierarchicalEmitter

from tests.faults.faults import Faults
from tests.faults.stores import Document, RefusedError, Shard, Tables
from tests.faults.world import Killed, World

KEYS = {"bars": ("market", "start"), "state": ("name",)}
_REAL_TIME = botocore.endpoint.time


class Services:
    """A Kinesis stream and DynamoDB's tables for one schedule; `on_put` hears of every item that was written."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.shard = Shard()
        self.tables = Tables(KEYS)
        self.on_put: Callable[[str, Document], None] = lambda *_: None
        self._world, self._faults = world, faults

    def attach(self, client: Any) -> Any:
        """The client, whose requests come here from now on, and not there where they went before."""
        service = client.meta.service_model.service_name
        events: HierarchicalEmitter = client.meta.events
        answer = self._kinesis if service == "kinesis" else self._dynamodb
        events.register(f"before-send.{service}", answer, unique_id="faults")
        # Its pauses between tries pass in the world's time.
        botocore.endpoint.time = SimpleNamespace(time=_REAL_TIME.time, sleep=self._world.sleep)
        return client

    def _kinesis(self, request: Any, **_: Any) -> AWSResponse:
        faults = self._faults
        body = json.loads(request.body)
        self._send("PutRecords", lambda: self.shard.put_records(body))
        if faults.strikes("Kinesis unreachable"):
            raise ConnectionClosedError(endpoint_url=request.url)
        if faults.strikes("Kinesis throttling"):
            return _refused(request, 400, "ProvisionedThroughputExceededException")
        failing = (lambda: faults.random.random() < 0.5) if faults.strikes("Kinesis partial failure") else lambda: False
        document = self.shard.put_records(body, failing)
        self._world.sleep(faults.random.uniform(0.002, 0.02))
        if faults.strikes("Kinesis answer lost"):
            self._world.sleep(1.0)
            raise ReadTimeoutError(endpoint_url=request.url)
        return _answer(request, 200, document)

    def _dynamodb(self, request: Any, **_: Any) -> AWSResponse:
        faults = self._faults
        operation = request.headers["X-Amz-Target"].decode().split(".")[1]
        body = json.loads(request.body)
        self._send(operation, lambda: self._land(body))
        if faults.strikes("DynamoDB throttling"):
            return _refused(request, 400, "ProvisionedThroughputExceededException")
        if faults.strikes("DynamoDB error"):
            return _refused(request, 500, "InternalServerError")
        if operation == "PutItem" and body["TableName"] == "bars" and faults.strikes("another writer"):
            self._touch(body["Item"])
        try:
            document = self.tables(operation, body)
        except RefusedError as refusal:
            return _refused(request, 400, str(refusal))
        if operation == "PutItem":
            self.on_put(body["TableName"], body["Item"])
        self._world.sleep(faults.random.uniform(0.001, 0.01))
        if faults.strikes("DynamoDB answer lost"):
            raise ReadTimeoutError(endpoint_url=request.url)
        return _answer(request, 200, document)

    def _send(self, operation: str, land: Callable[[], object]) -> None:
        """A request on its way: long, it comes down upon what others have written since; and it outlives its sender."""
        random, world = self._faults.random, self._world
        halts = operation == "PutItem" and random.random() < world.halting
        slow = halts or self._faults.strikes("DynamoDB slow")
        try:
            world.sleep(random.uniform(*((0.5, 8.0) if slow else (0.001, 0.03))))
        except Killed:
            if operation.startswith("Put") and random.random() < 0.5:
                world.spawn("in flight", land, after=random.choice([0.0, 0.1, 3.0]))
            raise

    def _land(self, body: Document) -> None:
        with suppress(RefusedError):
            self.tables("PutItem", body)
            self.on_put(body["TableName"], body["Item"])

    def _touch(self, item: Document) -> None:
        """Write the stored item of the same minute once more: the version that was read is no longer the newest."""
        stored = self.tables.items["bars"].get((item["market"]["S"], item["start"]["S"]))
        if stored:
            key = (item["market"]["S"], item["start"]["S"])
            self.tables.items["bars"][key] = {**stored, "version": {"N": str(int(stored["version"]["N"]) + 1)}}


def restore_time() -> None:
    """Let botocore sleep in life's time again."""
    botocore.endpoint.time = _REAL_TIME


def _refused(request: Any, status: int, code: str) -> AWSResponse:
    return _answer(request, status, {"__type": f"com.amazonaws#{code}", "message": code})


def _answer(request: Any, status: int, document: Document) -> AWSResponse:
    response = AWSResponse(request.url, status, HTTPHeaders(), None)
    response._content = json.dumps(document).encode()
    return response
