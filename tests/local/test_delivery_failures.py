"""What fails is given again, in order; what keeps failing is told to its destination, and the rest proceeds."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from local.streams import Emulator
from tests.local.delivering import Recorder, Stream, Wire, bucket, emulated, payload_texts, raising_on, until


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with emulated() as started:
        yield started


def test_a_failed_batch_is_given_again_before_anything_after_it(emulator: Emulator) -> None:
    failures = iter([True, True, True, False])
    stream = Stream(emulator)

    def answer(texts: list[str]) -> None:
        if "a-1" in texts and next(failures):
            raise ValueError

    function = Recorder(answer)
    stream.put("a-0", "a-1", "a-2", "a-3")
    with stream.deliver(function, batch_size=2) as delivery:
        delivery.wait_idle(10)

    assert function.batches == [["a-0", "a-1"]] * 4 + [["a-2", "a-3"]]
    counters = delivery.counters()
    assert (counters.delivered, counters.failed, counters.retried, counters.discarded) == (4, 3, 3, 0)


def test_a_poison_record_is_bisected_to_the_destination_and_the_rest_proceeds(emulator: Emulator) -> None:
    stream, function = Stream(emulator), Recorder(raising_on("a-5"))
    arn, told = bucket(emulator)
    texts = [f"a-{n}" for n in range(10)]
    stream.put(*texts)
    with stream.deliver(function, bisect=True, retries=2, on_failure_arn=arn) as delivery:
        delivery.wait_idle(10)

    succeeded = [text for batch in function.batches if "a-5" not in batch for text in batch]
    assert succeeded == [text for text in texts if text != "a-5"]
    assert function.batches.count(["a-5"]) == 3  # once, and two retries: splitting used none of them up
    [(key, record)] = told()
    assert payload_texts(record) == ["a-5"]
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert record["requestContext"]["functionArn"].endswith(":function:subject")
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["KinesisBatchInfo"]["batchSize"] == 1
    assert record["KinesisBatchInfo"]["streamArn"] == stream.arn
    today = time.strftime("%Y/%m/%d/%Y-%m-%dT", time.gmtime())
    assert key.startswith(f"aws/lambda/esm-1/shardId-000000000000/{today}")
    assert (delivery.counters().delivered, delivery.counters().discarded) == (9, 1)


def test_without_bisection_the_whole_batch_goes_to_the_destination(emulator: Emulator) -> None:
    sqs = emulator.client("sqs")
    url = sqs.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    stream, function = Stream(emulator), Recorder(raising_on("a-1"))
    stream.put("a-0", "a-1", "a-2", "a-3")
    with stream.deliver(function, batch_size=2, retries=1, on_failure_arn=arn) as delivery:
        delivery.wait_idle(10)

    assert function.batches == [["a-0", "a-1"]] * 2 + [["a-2", "a-3"]]
    [message] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    record = json.loads(message["Body"])
    assert record["KinesisBatchInfo"]["batchSize"] == 2
    assert "payload" not in record  # a queue is told where the records are, not what they hold


def test_a_partial_failure_is_given_again_from_the_lowest_reported_record(emulator: Emulator) -> None:
    stream = Stream(emulator)
    reports = iter([["4", "3"], ["3"], []])  # Kinesis numbers of the records here count from 1
    function = Recorder(lambda _: {"batchItemFailures": [{"itemIdentifier": number} for number in next(reports)]})
    stream.put("a-1", "a-2", "a-3", "a-4")
    with stream.deliver(function, report_failures=True, retries=1) as delivery:
        delivery.wait_idle(10)

    assert function.batches == [["a-1", "a-2", "a-3", "a-4"], ["a-3", "a-4"], ["a-3", "a-4"]]
    assert (delivery.counters().delivered, delivery.counters().discarded) == (4, 0)


def test_a_record_that_keeps_failing_alone_is_given_up_and_those_behind_it_are_delivered(emulator: Emulator) -> None:
    stream = Stream(emulator)

    def answer(texts: list[str]) -> dict[str, Any]:
        bad = [str(int(text[2:])) for text in texts if text == "a-2"]
        return {"batchItemFailures": [{"itemIdentifier": number} for number in bad]}

    function, (arn, told) = Recorder(answer), bucket(emulator)
    stream.put("a-1", "a-2", "a-3", "a-4")
    with stream.deliver(function, report_failures=True, bisect=True, retries=1, on_failure_arn=arn) as delivery:
        delivery.wait_idle(10)

    assert [payload_texts(record) for _, record in told()] == [["a-2"]]
    assert function.batches[-1] == ["a-3", "a-4"]
    assert delivery.counters().delivered == 3


def test_a_record_beyond_its_age_is_told_to_the_destination_and_not_delivered(emulator: Emulator) -> None:
    begun, gate = threading.Event(), threading.Event()

    def answer(texts: list[str]) -> None:
        if texts == ["a-gate"]:
            begun.set()
            gate.wait(10)

    stream, function = Stream(emulator), Recorder(answer)
    arn, told = bucket(emulator)
    with stream.deliver(function, max_age_s=1.5, on_failure_arn=arn) as delivery:
        delivery.wait_idle(10)
        stream.put("a-gate")
        assert begun.wait(10)
        stream.put("a-old", "a-older")
        time.sleep(1.6)
        stream.put("a-new")
        gate.set()
        delivery.wait_idle(10)

    assert function.batches == [["a-gate"], ["a-new"]]
    [(_, record)] = told()
    assert record["requestContext"]["condition"] == "RecordAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in record
    assert payload_texts(record) == ["a-old", "a-older"]


def test_one_shards_failure_does_not_hold_up_another(emulator: Emulator) -> None:
    stream, function = Stream(emulator, shards=2), Recorder(raising_on("k0-poison"))
    stream.put("k0-poison", *(f"k{n % 2}-{n}" for n in range(20)))  # k0 and k1 hash to different shards
    with stream.deliver(function):
        until(lambda: {"k1-19", "k0-poison"} <= {text for batch in function.batches for text in batch})

    others = [text for batch in function.batches if "k0-poison" not in batch for text in batch]
    assert others == [f"k1-{n}" for n in range(1, 20, 2)]


def test_a_destination_that_is_away_is_told_when_it_is_back(emulator: Emulator) -> None:
    stream, function = Stream(emulator), Recorder(raising_on("a-1"))
    arn, told = bucket(emulator)
    away = iter([True, True, True])
    wire = Wire(emulator, lambda target: (503, "SlowDown", False) if target == "PUT" and next(away, False) else None)
    stream.emulator = wire.emulator
    stream.put("a-1", "a-2")
    with stream.deliver(function, batch_size=1, retries=0, on_failure_arn=arn) as delivery:
        delivery.wait_idle(10)
    wire.server.stop()

    assert [payload_texts(record) for _, record in told()] == [["a-1"]]
    assert function.batches == [["a-1"], ["a-2"]]
    assert next(away, "told again") == "told again"
