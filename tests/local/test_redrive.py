"""What Lambda gave up on goes back to its function by the command that people are told of."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError

from local.invocations import Invocations
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
