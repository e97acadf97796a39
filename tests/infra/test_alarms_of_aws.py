"""Alarms on what AWS measures: their faults are caused on the local stack, and what AWS would count of that is moved.

The numbers are the local stack's own: how far a delivery is behind, which status a caller got and when, what lies in
the bucket, how an execution ended. That AWS counts the same cannot be shown here; what CloudWatch calls them is held in
tests/infra/test_monitoring.py. ApiThrottled stays untried: nobody is refused here.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from btc import tape
from btc.requests import TICKET
from btc.tape import Watermark
from cdk.costs import readme
from local import delivery
from local.declarations import Rule
from local.delivery import Delivery
from local.events import Bus
from local.jobs import Machine
from local.lambdas import FunctionError, Result
from local.mappings import Mapping
from local.patterns import compile_pattern
from local.pipeline import PipelineError, start
from local.rest import Route
from local.sockets import SocketApi, Sockets
from local.streams import Emulator
from tests.infra.alarming import Sample, alarms, dimensions, rule, state
from tests.infra.assembly import Assembly, Json, resolved
from tests.infra.test_alarms import CAUSED
from tests.infra.test_monitoring import STREAMED
from tests.local.delivering import bucket, emulated
from tests.local.serving import Serve, answering, serve
from tests.unit.market import BTC, NOON

__all__ = ["serve"]
LATE = {function.title().replace("_", "") + "Late": function for function in STREAMED}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with emulated() as started:
        yield started


def goes(alarm: Json, *values: float) -> str:
    """The alarm's state where each of its periods brought these values of its metric."""
    where = frozenset(dimensions(alarm).items())
    period: list[Sample] = [(alarm["Namespace"], alarm["MetricName"], where, value) for value in values]
    return state(alarm, [period] * alarm["EvaluationPeriods"])


# --- streams and what could not be delivered


def fed(emulator: Emulator, function: str) -> str:
    """The ARN of a stream such as the function reads, with a record in it."""
    kinesis = emulator.client("kinesis")
    kinesis.create_stream(StreamName=function, ShardCount=1)
    kinesis.put_record(StreamName=function, Data=tape.encode(Watermark(BTC, NOON, 1)), PartitionKey="a")
    described = kinesis.describe_stream_summary(StreamName=function)
    return str(described["StreamDescriptionSummary"]["StreamARN"])


class Hanging:
    """A function that neither answers nor fails until it is let go, and then fails."""

    def __init__(self) -> None:
        self.called, self.let_go = threading.Event(), threading.Event()

    def __call__(self, _: Any) -> Result:
        self.called.set()
        self.let_go.wait(20)
        return Result("1", None, FunctionError("ValueError", "planted"), 1.0, cold=False)


@pytest.mark.parametrize("name", LATE)
def test_a_function_that_hangs_falls_behind_and_what_it_fails_on_lies_in_the_bucket(
    name: str, dev: Assembly, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, failed = alarms(dev)[name], alarms(dev)["BatchFailed"]
    matches = compile_pattern(rule(dev, "BatchFailed")[1]["EventPattern"])
    arn, told = bucket(emulator)
    declared = Mapping.from_properties(resolved(dev.event_source(LATE[name])))
    function, stream = Hanging(), fed(emulator, LATE[name])
    mapping = replace(declared, source_arn=stream, window_s=0, on_failure_arn=arn)  # only the wait for more is left out

    def behind_ms(after_s: float) -> float:
        """As it would stand so much later."""
        moved = SimpleNamespace(time=lambda: time.time() + after_s, monotonic=time.monotonic)
        with monkeypatch.context() as patch:
            patch.setattr(delivery, "time", moved)
            return reading.counters().lag_s * 1000

    with Delivery(mapping, function, emulator, poll_s=0.02, backoff_s=0.0001) as reading:
        assert function.called.wait(10)
        assert goes(late, behind_ms(0)) == "OK"
        assert goes(late, behind_ms(late["Threshold"] / 1000)) == "ALARM"
        assert not told()
        function.let_go.set()
        reading.wait_idle(20)
        assert goes(late, behind_ms(0)) == "OK"

    assert goes(late) == ("ALARM" if name == "ArchiveTradesLate" else "OK"), "where nothing is read"
    objects = [put_into(dev, key) for key, _ in told()]
    assert len(objects) == reading.counters().discarded == 1
    assert goes(failed, *[1.0 for each in objects if matches(each)]) == "ALARM"
    assert goes(failed) == "OK"


def put_into(assembly: Assembly, key: str) -> Json:
    """What S3 tells EventBridge of an object that was put into the failures bucket."""
    [name] = [name for name in assembly.of_type("S3::Bucket") if name.startswith("FailuresBucket")]
    detail = {"bucket": {"name": f"<{name}>"}, "object": {"key": key}, "reason": "PutObject"}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}


# --- the API


def test_an_api_whose_function_fails_is_counted_by_its_answers(dev: Assembly, serve: Serve) -> None:
    broken, sound = (
        answering(error=FunctionError("Runtime.ExitError", "exit status 1")),
        {"statusCode": 200, "body": ""},
    )
    ask = serve(Route("/broken", "GET", broken), Route("/sound", "GET", answering(sound)))

    def counted(*paths: str) -> list[float]:
        """5XXError has a sample a request: 1 where the answer is one."""
        return [float(ask(path).status >= 500) for path in paths]

    fails = alarms(dev)["ApiFails"]
    assert goes(fails, *counted(*["/sound", "/nowhere"] * 5, *["/broken"] * 4)) == "OK"
    assert goes(fails, *counted(*["/broken"] * 5)) == "ALARM"


def test_an_api_that_answers_slowly_is_counted_by_its_callers_wait(dev: Assembly, serve: Serve) -> None:
    slow = alarms(dev)["ApiSlow"]
    answer = answering({"statusCode": 200, "body": ""})

    def waits(event: Any) -> Result:
        time.sleep(slow["Threshold"] / 1000)
        return answer(event)

    ask = serve(Route("/slow", "GET", waits), Route("/sound", "GET", answer))

    def latency_ms(path: str) -> float:
        began = time.perf_counter()
        ask(path)
        return (time.perf_counter() - began) * 1000

    assert goes(slow, *(latency_ms("/sound") for _ in range(20))) == "OK"
    assert goes(slow, latency_ms("/slow")) == "ALARM"


def test_a_push_channel_that_lets_nobody_in_is_counted_by_its_functions_errors(dev: Assembly) -> None:
    refused, errors = alarms(dev)["ListenersRefused"], 0

    def admission(event: Any) -> Result:
        nonlocal errors
        errors += 1
        return answering(error=FunctionError("KeyError", "planted"))(event)

    sockets = Sockets(lambda _: None)
    sockets.start(SocketApi("api1", "live", (TICKET,), admission, answering(), answering()))

    def comes() -> None:
        with pytest.raises(InvalidStatus):
            connect(f"{sockets.endpoint}/live?{TICKET}=one", open_timeout=10)

    try:
        for _ in range(4):
            comes()
        assert goes(refused, *[1.0] * errors) == "OK"
        comes()
        assert goes(refused, *[1.0] * errors) == "ALARM"
    finally:
        sockets.stop()


# --- training


def test_a_training_that_fails_is_counted_by_the_rule_that_its_end_matches(
    dev: Assembly, emulator: Emulator, tmp_path: Path
) -> None:
    alarm, (_, declared) = alarms(dev)["PipelineFailed"], rule(dev, "PipelineFailed")
    matches = compile_pattern(declared["EventPattern"])
    [arn] = declared["EventPattern"]["detail"]["pipelineArn"]

    def ended(command: str) -> list[float]:
        """A sample for each of its ends that matches."""
        container = {"AppSpecification": {"ContainerEntrypoint": ["bash", "-c", command]}, "ProcessingInputs": []}
        step = {"Name": "Snapshot", "Type": "Processing", "Arguments": container}
        try:
            start({"Version": "2020-12-01", "Steps": [step]}, Machine(emulator, tmp_path), name="p")
            status = "Succeeded"
        except PipelineError:
            status = "Failed"
        detail = {"pipelineArn": arn, "currentPipelineExecutionStatus": status}
        kind = "SageMaker Model Building Pipeline Execution Status Change"
        return [1.0] if matches({"source": "aws.sagemaker", "detail-type": kind, "detail": detail}) else []

    assert goes(alarm, *ended("exit 0")) == "OK"
    assert goes(alarm, *ended("exit 3")) == "ALARM"


def test_an_approval_that_reaches_nobody_is_counted_by_its_queue_and_one_that_fails_by_the_bucket(
    dev: Assembly, emulator: Emulator
) -> None:
    undelivered, failed = alarms(dev)["ApprovalUndelivered"], alarms(dev)["BatchFailed"]
    kept_by = compile_pattern(rule(dev, "BatchFailed")[1]["EventPattern"])
    [declared] = [resolved(each["Properties"]) for n, each in dev.of_type("Events::Rule").items() if "Approved" in n]
    [target] = declared["Targets"]
    [name] = dev.of_type("SQS::Queue")
    assert (target["Arn"], target["DeadLetterConfig"]) == (
        f"<{dev.logical_id('promote_model')}.Arn>",
        {"Arn": f"<{name}.Arn>"},
    )
    arn = "arn:aws:lambda:us-east-1:123456789012:function:promote_model"
    bucket_arn, told = bucket(emulator)
    sqs = emulator.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    approved = Rule("rule", declared["EventPattern"], {arn: f"arn:aws:sqs:us-east-1:123456789012:{name}"})
    group = {"ModelPackageGroupName": dev.one("SageMaker::ModelPackageGroup")["ModelPackageGroupName"]}
    kind = "SageMaker Model Package State Change"
    detail = {**group, "ModelApprovalStatus": "Approved", "ModelPackageArn": "p"}
    event = {"source": "aws.sagemaker", "detail-type": kind, "time": "2026-11-24T10:41:04Z", "detail": detail}

    def visible() -> float:
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return float(attributes["Attributes"]["ApproximateNumberOfMessages"])

    def put(functions: dict[str, Any]) -> list[str]:
        """How both alarms stand once the event has come to its end."""
        Bus([approved], functions, emulator, {arn: bucket_arn}).put(event)
        objects = [put_into(dev, key) for key, _ in told()]
        return [goes(undelivered, visible()), goes(failed, *[1.0 for each in objects if kept_by(each)])]

    assert put({arn: answering(None)}) == ["OK", "OK"]
    assert put({arn: answering(error=FunctionError("NoArtefactError", "planted"))}) == ["OK", "ALARM"]
    assert put({}) == ["ALARM", "ALARM"]


def test_the_runbook_says_how_each_alarm_was_tried(dev: Assembly) -> None:
    local = {*LATE, "BatchFailed", "ApprovalUndelivered", "ApiFails", "ApiSlow", "ListenersRefused", "PipelineFailed"}

    def tried(how: str) -> set[str]:
        return {name for name in alarms(dev) if readme.tried(name) == how}

    assert tried(readme.PRINTED) == {*CAUSED}
    assert tried(readme.MOVED) == local
    assert tried(readme.UNTRIED) == {"ApiThrottled"}
