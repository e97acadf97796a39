"""Streams reach functions by Lambda's rules: in order, at least once, and nothing is skipped or lost on the way."""

from __future__ import annotations

import base64
import itertools
import json
import textwrap
import threading
import time
import uuid
from collections.abc import Iterator
from collections.abc import Mapping as Event
from pathlib import Path
from typing import Any

import pytest

from local.delivery import Delivery, DeliveryError
from local.lambdas import Function, FunctionSpec, Result
from local.mappings import Mapping, UnsupportedMappingError
from local.runtime import managed_runtime
from local.streams import Emulator
from tests.local.delivering import Recorder, Stream, Wire, emulated, raising_on, until


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with emulated() as started:
        yield started


def test_records_arrive_in_order_in_batches_no_larger_than_asked(emulator: Emulator) -> None:
    stream, function = Stream(emulator), Recorder()
    stream.put(*(f"a-{n}" for n in range(25)))
    with stream.deliver(function, batch_size=10) as delivery:
        delivery.wait_idle(10)
        stream.put("a-25", "a-26")
        delivery.wait_idle(10)

    assert [text for batch in function.batches for text in batch] == [f"a-{n}" for n in range(27)]
    assert [len(batch) for batch in function.batches] == [10, 10, 5, 2]
    counters = delivery.counters()
    assert (counters.read, counters.delivered, counters.failed, counters.invocations) == (27, 27, 0, 4)
    assert counters.lag_s == 0


def test_a_kinesis_event_has_lambdas_shape(emulator: Emulator) -> None:
    stream, function = Stream(emulator), Recorder()
    stream.put("key-1")
    with stream.deliver(function) as delivery:
        delivery.wait_idle(10)
    [record] = function.events[0]["Records"]

    assert record["eventSource"] == "aws:kinesis"
    assert record["eventSourceARN"] == stream.arn
    assert record["eventID"] == f"shardId-000000000000:{record['kinesis']['sequenceNumber']}"
    assert record["kinesis"]["partitionKey"] == "key"
    assert record["kinesis"]["data"] == base64.b64encode(b"key-1").decode()
    assert record["kinesis"]["approximateArrivalTimestamp"] == pytest.approx(time.time(), abs=10)


def test_a_window_gathers_what_arrives_apart_and_a_full_batch_does_not_wait(emulator: Emulator) -> None:
    stream, function = Stream(emulator), Recorder()
    with stream.deliver(function, window_s=1.0, batch_size=3) as delivery:
        delivery.wait_idle(10)
        stream.put("a-1")
        until(lambda: delivery.counters().read == 1)
        stream.put("a-2")
        delivery.wait_idle(10)
        assert function.batches == [["a-1", "a-2"]]
    with stream.deliver(function, window_s=60.0, batch_size=2, starting_position="LATEST") as delivery:
        delivery.wait_idle(10)
        stream.put("a-3", "a-4")
        until(lambda: len(function.batches) == 2)


def test_latest_skips_what_was_there_before(emulator: Emulator) -> None:
    stream, function = Stream(emulator), Recorder()
    stream.put("a-before")
    with stream.deliver(function, starting_position="LATEST") as delivery:
        delivery.wait_idle(10)
        stream.put("a-after")
        delivery.wait_idle(10)

    assert function.batches == [["a-after"]]


def test_a_table_stream_delivers_the_changes_that_its_filter_matches(emulator: Emulator) -> None:
    dynamodb, name = emulator.client("dynamodb"), uuid.uuid4().hex
    table = dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    for minute in range(6):
        closed = {"BOOL": minute % 2 == 0}
        dynamodb.put_item(TableName=name, Item={"pk": {"S": str(minute)}, "closed": closed, "raw": {"B": b"\x00\xff"}})
    dynamodb.put_item(TableName=name, Item={"pk": {"S": "1"}, "closed": {"BOOL": True}})
    dynamodb.delete_item(TableName=name, Key={"pk": {"S": "2"}})
    events: list[Event[str, Any]] = []

    def invoke(event: Event[str, Any]) -> Result:
        events.append(event)
        return Result("1", None, None, 1.0, cold=False)

    pattern = {"eventName": ["INSERT", "MODIFY"], "dynamodb": {"NewImage": {"closed": {"BOOL": [True]}}}}
    properties = {
        "EventSourceArn": table["LatestStreamArn"],
        "FunctionName": "forecast",
        "StartingPosition": "TRIM_HORIZON",
        "FilterCriteria": {"Filters": [{"Pattern": json.dumps(pattern)}]},
    }
    with Delivery(Mapping.from_properties(properties), invoke, emulator, poll_s=0.02) as delivery:
        delivery.wait_idle(10)

    records = [record for event in events for record in event["Records"]]
    assert [record["dynamodb"]["Keys"]["pk"]["S"] for record in records] == ["0", "2", "4", "1"]
    assert [record["eventName"] for record in records] == ["INSERT"] * 3 + ["MODIFY"]
    assert records[0]["dynamodb"]["NewImage"]["raw"] == {"B": "AP8="}
    assert records[3]["dynamodb"]["OldImage"]["closed"] == {"BOOL": False}
    assert records[0]["dynamodb"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert isinstance(records[0]["dynamodb"]["ApproximateCreationDateTime"], int)
    assert records[0]["eventSourceARN"] == table["LatestStreamArn"]
    assert (delivery.counters().read, delivery.counters().filtered) == (8, 4)


def test_crashes_and_timeouts_of_a_real_function_are_retried_and_nothing_is_lost(
    emulator: Emulator, tmp_path: Path
) -> None:
    code = """
        import base64, os, pathlib, random, time
        def handler(event, context):
            taken = pathlib.Path(os.environ["TAKEN"])
            calls = len(list(taken.iterdir()))
            taken.joinpath(f"call-{calls:04}").write_text(
                " ".join(base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]))
            if calls in (0, 3): os._exit(1)
            if calls in (1, 5): time.sleep(60)
            if calls == 4: raise OSError("the table is away")
            taken.joinpath(f"call-{calls:04}").rename(taken / f"done-{calls:04}")
    """
    asset, taken = tmp_path / "asset", tmp_path / "taken"
    asset.mkdir()
    taken.mkdir()
    (asset / "handler.py").write_text(textwrap.dedent(code))
    spec = FunctionSpec(
        name="subject",
        arn="arn:aws:lambda:us-east-1:123456789012:function:subject",
        asset=asset,
        handler="handler.handler",
        runtime=managed_runtime(tmp_path / "runtime"),
        environment={"TAKEN": str(taken)},
        timeout_s=0.5,
    )
    stream = Stream(emulator)
    texts = [f"a-{n}" for n in range(40)]
    stream.put(*texts)
    with Function(spec, tmp_path / "log") as function, stream.deliver(function.invoke, batch_size=10) as delivery:
        delivery.wait_idle(10)

    done = [text for path in sorted(taken.glob("done-*")) for text in path.read_text().split()]
    assert done == texts
    assert (delivery.counters().failed, delivery.counters().delivered) == (5, 40)


def test_failing_reads_lost_answers_and_expired_iterators_neither_lose_nor_skip_nor_reorder(emulator: Emulator) -> None:
    stream, function = Stream(emulator), Recorder()
    faults: Iterator[tuple[int, str, bool] | None] = itertools.cycle(
        [
            None,
            (500, "InternalFailure", False),
            (400, "ProvisionedThroughputExceededException", False),
            None,
            (0, "", True),
            (400, "ExpiredIteratorException", False),
        ]
    )
    wire = Wire(emulator, lambda target: next(faults) if target == "GetRecords" else None)
    stream.emulator = wire.emulator
    texts = [f"a-{n}" for n in range(60)]
    with stream.deliver(function, batch_size=7) as delivery:
        for start in range(0, 60, 20):
            stream.put(*texts[start : start + 20])
            delivery.wait_idle(10)
    wire.server.stop()

    assert [text for batch in function.batches for text in batch] == texts
    assert delivery.counters().read_errors >= 8


def test_stop_waits_for_the_invocation_under_way_and_reads_no_more(emulator: Emulator) -> None:
    stream, began, ended = Stream(emulator), threading.Event(), threading.Event()

    def slow(_: list[str]) -> None:
        began.set()
        time.sleep(0.3)
        ended.set()

    function = Recorder(slow)
    stream.put("a-0", "a-1")
    delivery = stream.deliver(function, batch_size=1).start()
    assert began.wait(5)
    delivery.stop()

    assert ended.is_set()
    assert function.batches == [["a-0"]]


def test_a_poller_that_cannot_go_on_says_so(emulator: Emulator) -> None:
    stream = Stream(emulator)
    stream.put("a-1")
    nowhere = "arn:aws:s3:::" + uuid.uuid4().hex
    with stream.deliver(Recorder(raising_on("a-1")), retries=0, on_failure_arn=nowhere) as delivery:
        with pytest.raises(DeliveryError) as error:
            delivery.wait_idle(10)
        assert "NoSuchBucket" in str(error.value.__cause__)


def test_a_mapping_that_would_run_differently_here_is_refused() -> None:
    properties = {"FunctionName": "f", "EventSourceArn": "arn", "StartingPosition": "TRIM_HORIZON"}
    with pytest.raises(UnsupportedMappingError, match="ParallelizationFactor"):
        Mapping.from_properties(properties | {"ParallelizationFactor": 4})
    with pytest.raises(UnsupportedMappingError, match="AT_TIMESTAMP"):
        Mapping.from_properties(properties | {"StartingPosition": "AT_TIMESTAMP"})
