"""What delivery is tested with: functions that remember, streams of their own, and a wire that fails."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Event
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from moto.server import ThreadedMotoServer

from local.delivery import Delivery
from local.http import Request, Server
from local.lambdas import FunctionError, Result
from local.mappings import Mapping
from local.processes import Process, interpreter
from local.streams import Emulator
from local.template import ROOT

Answer = Callable[[list[str]], Any]


@contextmanager
def emulated() -> Iterator[Emulator]:
    """An emulated AWS in this process."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield Emulator(f"http://127.0.0.1:{server.get_host_and_port()[1]}")
    server.stop()


@contextmanager
def emulator_process(folder: Path) -> Iterator[Emulator]:
    """An emulated AWS in a process of its own, as the local stack has it; its log lies in `folder`."""
    process = Process.start(
        "emulator",
        [*interpreter(), "-m", "local.emulator"],
        log=folder / "log",
        environment={"PYTHONPATH": str(ROOT), "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"},
        folder=ROOT,
        announces=True,
    )
    yield Emulator(json.loads(process.announcement())["endpoint"])
    process.stop()


class Recorder:
    """A function in this process: remembers each batch it is given, answers as `answer` says (an exception fails)."""

    def __init__(self, answer: Answer = lambda _: None) -> None:
        self.batches: list[list[str]] = []
        self.events: list[Event[str, Any]] = []
        self._answer = answer

    def __call__(self, event: Event[str, Any]) -> Result:
        texts = [base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
        self.batches.append(texts)
        self.events.append(event)
        try:
            return Result(str(uuid.uuid4()), self._answer(texts), None, 1.0, cold=False)
        except ValueError as error:
            return Result(str(uuid.uuid4()), None, FunctionError("ValueError", str(error)), 1.0, cold=False)


class Stream:
    """A fresh Kinesis stream with writer and mapping at hand."""

    def __init__(self, emulator: Emulator, shards: int = 1) -> None:
        self.emulator = emulator
        self.kinesis = emulator.client("kinesis")
        self.name = uuid.uuid4().hex
        self.kinesis.create_stream(StreamName=self.name, ShardCount=shards)
        self.arn = self.kinesis.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]["StreamARN"]

    def put(self, *texts: str) -> None:
        records = [{"Data": text.encode(), "PartitionKey": text.split("-")[0]} for text in texts]
        assert self.kinesis.put_records(StreamName=self.name, Records=records)["FailedRecordCount"] == 0

    def deliver(self, invoke: Callable[[Event[str, Any]], Result], **options: Any) -> Delivery:
        mapping = Mapping(uuid="esm-1", function="subject", source_arn=self.arn, **options)
        return Delivery(mapping, invoke, self.emulator, poll_s=0.02, backoff_s=0.001)


def bucket(emulator: Emulator) -> tuple[str, Callable[[], list[tuple[str, dict[str, Any]]]]]:
    name, s3 = uuid.uuid4().hex, emulator.client("s3")
    s3.create_bucket(Bucket=name)

    def told() -> list[tuple[str, dict[str, Any]]]:
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=name).get("Contents", [])]
        return [(key, json.loads(s3.get_object(Bucket=name, Key=key)["Body"].read())) for key in keys]

    return f"arn:aws:s3:::{name}", told


def payload_texts(told: dict[str, Any]) -> list[str]:
    records = json.loads(told["payload"])["Records"]
    return [base64.b64decode(record["kinesis"]["data"]).decode() for record in records]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass within ten seconds"
        time.sleep(0.005)


def raising_on(*poison: str) -> Answer:
    def answer(texts: list[str]) -> None:
        if found := set(poison) & set(texts):
            raise ValueError(f"cannot take {found}")

    return answer


class Wire:
    """Stands between the pollers and the emulator: answers as `fault` says, or passes the request on."""

    def __init__(self, emulator: Emulator, fault: Callable[[str], tuple[int, str, bool] | None]) -> None:
        class Forward(Request):
            def respond(self) -> None:
                body, target = self.body(), self.headers.get("X-Amz-Target", "").split(".")[-1]
                struck = fault(target or self.command)
                if struck and not struck[2]:
                    self.answer(struck[0], {}, json.dumps({"__type": struck[1]}).encode())
                    return
                address = emulator.endpoint_url.removeprefix("http://")
                with closing(http.client.HTTPConnection(address)) as upstream:
                    # What was expected before the body came, this wire has answered itself.
                    told = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
                    upstream.request(self.command, self.path, body, told)
                    reply = upstream.getresponse()
                    content = reply.read()
                if struck:  # done, but the answer is lost on its way
                    self.close_connection = True
                    return
                kept = [
                    (name, value)
                    for name, value in reply.getheaders()
                    if name.lower().startswith(("content-t", "x-", "etag"))
                ]
                self.answer(reply.status, kept, content)

        self.server = Server(Forward)
        self.server.start()
        self.emulator = Emulator(f"http://{self.server.address}")
