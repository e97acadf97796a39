"""What Lambda gave up on goes back to its function by the command that people are told of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.declarations import Rule
from local.events import Bus
from local.invocations import Invocations
from local.lambdas import FunctionError, Result
from local.streams import Emulator
from tests.local.delivering import Recorder, Stream, bucket, emulated, until

ARN = "arn:aws:lambda:us-east-1:123456789012:function:subject"


class Recovering(Recorder):
    """A function that fails on some texts until it is mended."""

    def __init__(self, *texts: str) -> None:
        self.failing = set(texts)
        super().__init__(self._raise_on)

    def _raise_on(self, texts: list[str]) -> None:
        if found := self.failing & set(texts):
            raise ValueError(f"cannot take {', '.join(sorted(found))}")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with emulated() as started:
        yield started


@pytest.fixture
def function() -> Recovering:
    return Recovering("a-2", "a-4")


@pytest.fixture
def endpoint(function: Recovering) -> Iterator[str]:
    invocations = Invocations({ARN: function})
    yield invocations.start()
    invocations.stop()


def redriven(emulator: Emulator, endpoint: str, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "functions.redrive", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": emulator.endpoint_url,
            "AWS_ENDPOINT_URL_LAMBDA": endpoint,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_what_was_given_up_is_delivered_once_its_cause_is_mended(
    emulator: Emulator, function: Recovering, endpoint: str
) -> None:
    arn, kept = bucket(emulator)
    name = arn.removeprefix("arn:aws:s3:::")
    stream = Stream(emulator)
    with stream.deliver(function, retries=0, bisect=True, on_failure_arn=arn) as delivery:
        stream.put("a-1", "a-2", "a-3", "a-4")
        until(lambda: len(kept()) == 2)
        delivery.wait_idle(10)
    emulator.client("s3").put_object(Bucket=name, Key="aws/lambda/unknown", Body=b"no JSON")
    function.failing = {"a-4"}
    function.batches.clear()

    listed = redriven(emulator, endpoint, "--bucket", name, "--list")
    first = redriven(emulator, endpoint, "--bucket", name)
    function.failing = set()
    emulator.client("s3").delete_object(Bucket=name, Key="aws/lambda/unknown")
    second = redriven(emulator, endpoint, "--bucket", name)

    assert listed[0] == 0
    assert listed[1].count("RetryAttemptsExhausted") == 2
    assert first[0] == 1
    assert "refused: ValueError: cannot take a-4" in first[1]
    assert "aws/lambda/unknown is no description of a failed invocation" in first[1]
    assert first[1].endswith(f"1 delivered, 2 left in {name}\n")
    assert second == (0, second[1])
    assert function.batches == [["a-2"], ["a-4"], ["a-4"]]
    assert not kept()


def test_records_that_are_refused_one_by_one_stay(emulator: Emulator) -> None:
    arn, kept = bucket(emulator)
    stream = Stream(emulator)
    function = Recorder(lambda texts: {"batchItemFailures": [{"itemIdentifier": texts[0]}]})
    with stream.deliver(function, retries=0, report_failures=True, on_failure_arn=arn):
        stream.put("a-1", "a-2")
        until(lambda: bool(kept()))
    invocations = Invocations({ARN: function})
    endpoint = invocations.start()
    status, told = redriven(emulator, endpoint, "--bucket", arn.removeprefix("arn:aws:s3:::"))
    invocations.stop()

    assert status == 1
    assert "refused: 1 of" in told
    assert kept()


APPROVED = json.loads((Path(__file__).parents[1] / "events" / "promote_model.json").read_text())


class Promoting:
    """A function of events, which fails on some until it is mended; the times of those that it took."""

    def __init__(self, *failing: str) -> None:
        self.failing = set(failing)
        self.took: list[str] = []

    def __call__(self, event: Mapping[str, Any]) -> Result:
        if event["time"] in self.failing:
            return Result("1", None, FunctionError("NoArtefactError", "not there"), 1.0, cold=False)
        self.took.append(event["time"])
        return Result("1", None, None, 1.0, cold=False)


def approvals(*hours: int) -> list[dict[str, Any]]:
    return [{**APPROVED, "time": f"2026-11-24T{hour:02}:41:04Z"} for hour in hours]


def queue(emulator: Emulator) -> tuple[str, Rule]:
    """Its URL, and the rule that it is behind."""
    name = uuid.uuid4().hex
    url = emulator.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    arn = "arn:aws:events:us-east-1:123456789012:rule/approved"
    return url, Rule(arn, {"source": ["aws.sagemaker"]}, {ARN: f"arn:aws:sqs:us-east-1:123456789012:{name}"})


def test_an_approval_that_no_function_took_is_delivered_once_there_is_one(emulator: Emulator) -> None:
    url, rule = queue(emulator)
    first, second = approvals(10, 11)
    for event in (second, first):
        assert Bus([rule], {}, emulator).put(event) == []
    emulator.client("sqs").send_message(QueueUrl=url, MessageBody="no event")
    function = Promoting(second["time"])
    invocations = Invocations({ARN: function})
    endpoint = invocations.start()

    listed = redriven(emulator, endpoint, "--queue", url, "--list")
    refused = redriven(emulator, endpoint, "--queue", url)
    function.failing = set()
    again = redriven(emulator, endpoint, "--queue", url)
    invocations.stop()

    assert listed[0] == 0
    assert listed[1].count("NO_RESOURCE") == 2
    assert listed[1].index(first["time"]) < listed[1].index(second["time"]), "oldest first"
    assert refused[0] == 1
    assert "refused: NoArtefactError: not there" in refused[1]
    assert "is no event that EventBridge left" in refused[1]
    assert again[1].endswith(f"1 delivered, 1 left in {url.rpartition('/')[2]}\n")
    assert function.took == [first["time"], second["time"]]


def test_an_approval_that_its_function_failed_on_is_kept_whole_and_delivered_once_that_is_mended(
    emulator: Emulator,
) -> None:
    arn, kept = bucket(emulator)
    _, rule = queue(emulator)
    [event] = approvals(12)
    function = Promoting(event["time"])
    [delivered] = Bus([rule], {ARN: function}, emulator, {ARN: arn}).put(event)
    [(key, told)] = kept()
    assert delivered.result.error
    assert key.startswith("aws/lambda/async/subject/")
    assert (told["requestPayload"], told["requestContext"]["approximateInvokeCount"]) == (event, 3)

    function.failing = set()
    invocations = Invocations({ARN: function})
    name = arn.rpartition(":")[2]
    assert redriven(emulator, invocations.start(), "--bucket", name)[1].endswith(f"1 delivered, 0 left in {name}\n")
    invocations.stop()
    assert (function.took, kept()) == ([event["time"]], [])


def test_what_nothing_would_keep_is_told_at_once(emulator: Emulator) -> None:
    rule = Rule("approved", {"source": ["aws.sagemaker"]}, {ARN: ""})

    with pytest.raises(LookupError, match="no queue to leave its event in"):
        Bus([rule], {}, emulator).put(APPROVED)


def test_what_cannot_be_asked_is_told_in_one_line(emulator: Emulator, endpoint: str) -> None:
    assert redriven(emulator, endpoint, "--stack", "Nowhere") == (
        1,
        "stopped: no stack 'Nowhere' in this account and region\n",
    )
    status, told = redriven(emulator, endpoint, "--bucket", "no-such-bucket")
    assert status == 1
    assert told.startswith("stopped: ")
    assert "NoSuchBucket" in told


def test_the_invoke_api_refuses_as_lambda_does(endpoint: str) -> None:
    credentials = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    client = boto3.client("lambda", "us-east-1", endpoint_url=endpoint, **credentials)

    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.invoke(FunctionName="nobody")
    with pytest.raises(ClientError, match="InvalidRequestContentException"):
        client.invoke(FunctionName="subject", Payload=b"no JSON")
    with pytest.raises(ClientError, match="no invocation of type Event"):
        client.invoke(FunctionName="subject", InvocationType="Event", Payload=b"{}")
