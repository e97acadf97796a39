"""Schedules run functions at the times their expressions tell."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from btc.times import parse_iso, to_datetime
from local import declarations
from local.declarations import Schedule
from local.intrinsics import Created, TemplateError
from local.lambdas import FunctionError, Result
from local.resources import Deployed, Resource
from local.schedules import Scheduler, compile_expression
from local.template import Assembly

BEGAN = to_datetime(parse_iso("2026-11-20T14:37:20Z"))
ARN = "arn:aws:lambda:us-east-1:123456789012:function:audit"


def times(expression: str, count: int) -> list[str]:
    following, at, found = compile_expression(expression, BEGAN), BEGAN, []
    for _ in range(count):
        at = following(at)
        found.append(f"{at:%a %Y-%m-%d %H:%M:%S}")
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 minute)", ["Fri 2026-11-20 14:38:20", "Fri 2026-11-20 14:39:20"]),
        ("rate(15 minutes)", ["Fri 2026-11-20 14:52:20", "Fri 2026-11-20 15:07:20"]),
        ("rate(7 days)", ["Fri 2026-11-27 14:37:20"]),
        ("cron(0/15 * * * ? *)", ["Fri 2026-11-20 14:45:00", "Fri 2026-11-20 15:00:00"]),
        ("cron(0 3 ? * SUN *)", ["Sun 2026-11-22 03:00:00", "Sun 2026-11-29 03:00:00"]),
        ("cron(30 8-10,20 1 JAN-MAR/2 ? *)", ["Fri 2027-01-01 08:30:00", "Fri 2027-01-01 09:30:00"]),
        ("cron(0 0 29 FEB ? *)", ["Tue 2028-02-29 00:00:00"]),
    ],
)
def test_an_expression_names_its_times(expression: str, expected: list[str]) -> None:
    assert times(expression, len(expected)) == expected


@pytest.mark.parametrize(
    "expression",
    ["rate(5 weeks)", "at(2026-11-20T14:00:00)", "cron(0 3 * * *)", "cron(61 * * * ? *)", "cron(0 0 L * ? *)", "daily"],
)
def test_an_expression_that_would_run_otherwise_here_is_refused(expression: str) -> None:
    with pytest.raises(TemplateError, match=r"schedule|known|outside"):
        compile_expression(expression, BEGAN)


class Recorder:
    def __init__(self, *errors: str) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.errors = list(errors)

    def __call__(self, event: Mapping[str, Any]) -> Result:
        self.events.append(event)
        error = FunctionError("Error", self.errors.pop(0)) if self.errors else None
        return Result("id", None, error, 1.0, cold=False)


def run(function: Recorder, met: Callable[[], bool]) -> Scheduler:
    """A minute passes in a tenth of a second."""
    origin = time.monotonic()
    scheduler = Scheduler(
        [Schedule("audit", "rate(1 minute)", ARN)],
        {ARN: function},
        clock=lambda: BEGAN.timestamp() + 600 * (time.monotonic() - origin),
    ).start()
    until = time.monotonic() + 10
    while not met():
        assert time.monotonic() < until
        time.sleep(0.01)
    scheduler.stop()
    return scheduler


def test_a_function_is_invoked_each_time_with_the_time_it_was_due() -> None:
    function = Recorder()
    run(function, lambda: len(function.events) >= 3)

    due = [datetime.fromisoformat(event["time"]) for event in function.events]
    assert all(at > BEGAN and (at - BEGAN).total_seconds() % 60 == 0 for at in due)
    assert all(before < after for before, after in pairwise(due))
    assert due[0].tzinfo is UTC or due[0].utcoffset() == UTC.utcoffset(None)
    assert {event["detail-type"] for event in function.events} == {"Scheduled Event"}


def test_a_failed_invocation_is_tried_again_and_the_last_answer_is_kept() -> None:
    function = Recorder("once", "twice")
    scheduler = run(function, lambda: len(function.events) >= 3)

    assert len({event["id"] for event in function.events[:3]}) == 1
    assert scheduler.results["audit"].error is None


def test_the_schedules_of_the_template_that_run_functions_run_here_and_those_of_pipelines_do_not() -> None:

    def resource(name: str, expression: str, arn: str, **properties: Any) -> Resource:
        told = {"ScheduleExpression": expression, "Target": {"Arn": arn}, **properties}
        return Resource(name, "AWS::Scheduler::Schedule", told, Created(name))

    def rule(name: str, **properties: Any) -> Resource:
        return Resource(name, "AWS::Events::Rule", {"Targets": [{"Arn": ARN}], **properties}, Created(name))

    made = [
        resource("audit", "rate(5 minutes)", ARN),
        resource("off", "rate(5 minutes)", ARN, State="DISABLED"),
        resource("weekly", "cron(0 3 ? * SUN *)", "arn:aws:sagemaker:us-east-1:123456789012:pipeline/weekly"),
        rule("daily", ScheduleExpression="rate(1 day)"),
        rule("chosen", EventPattern={}),
    ]
    template = {"Resources": {each.logical_id: {} for each in made}}
    deployed = Deployed(Assembly("stack", template, {}), {each.logical_id: each for each in made})

    assert declarations.schedules(deployed) == [
        Schedule("audit", "rate(5 minutes)", ARN),
        Schedule("daily", "rate(1 day)", ARN),
    ]
