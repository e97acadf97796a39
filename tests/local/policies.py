"""Roles of the template beside the calls that were made: what is granted and not used, what is used and not granted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from local.callers import Call
from local.resources import Deployed

Json = Mapping[str, Any]

BY_AWS: Final = {
    "logs:CreateLogStream": "Lambda and ECS write the logs",
    "logs:PutLogEvents": "Lambda and ECS write the logs",
    **dict.fromkeys(
        (
            "kinesis:DescribeStream",
            "kinesis:DescribeStreamConsumer",
            "kinesis:DescribeStreamSummary",
            "kinesis:GetRecords",
            "kinesis:GetShardIterator",
            "kinesis:ListShards",
            "kinesis:ListStreams",
            "kinesis:SubscribeToShard",
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        ),
        "the event source reads the stream with the function's role",
    ),
}
"""Actions that AWS takes in the role's name, not the code."""

RARE: Final = {
    ("archive_bars", "s3:ListBucket"): "without it S3 refuses a day that is not there, instead of saying so",
    ("archive_forecasts", "s3:ListBucket"): "the same",
    ("push_forecasts", "dynamodb:DeleteItem"): "of those who are gone: tests/local/test_live.py",
    ("audit_bars", "kinesis:PutRecords"): "for holes alone: tests/unit/test_audit_bars.py",
    **dict.fromkeys(
        (
            ("forecast", "s3:GetObject"),
            ("forecast", "dynamodb:PutItem"),
            ("promote_model", "dynamodb:PutItem"),
            ("promote_model", "s3:GetObject"),
            ("promote_model", "sagemaker:DescribeModelPackage"),
        ),
        "where the gate lets the first model pass, which it need not: tests/model/test_life.py",
    ),
    ("score_forecasts", "dynamodb:PutItem"): "the time of a training out of turn: tests/unit/test_score_forecasts.py",
    ("score_forecasts", "sagemaker:StartPipelineExecution"): "on drift alone: tests/unit/test_score_forecasts.py",
}
"""Calls that a healthy run does not make, and why the right is needed or which test makes them."""

BY_HAND: Final = ("fill_history",)
"""Not part of a run: tests/infra/test_history.py tells its rights, tests/local/test_fill_history.py runs it."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """`caller` may do `action` on what matches `resource`, in terms of the template's logical ids."""

    caller: str
    action: str
    resource: str

    def covers(self, call: Call) -> bool:
        return (self.caller, self.action) == (call.caller, call.action) and fnmatchcase(call.resource, self.resource)


def rights(template: Json) -> set[Right]:
    """Of every function and task of the project."""
    resources = template["Resources"]
    callers = dict(_callers(resources))
    return {
        Right(callers[role["Ref"]], action, place)
        for resource in resources.values()
        if resource["Type"] == "AWS::IAM::Policy"
        for role in resource["Properties"]["Roles"]
        if role["Ref"] in callers
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
        for action in _listed(statement["Action"])
        for place in map(_place, _listed(statement["Resource"]))
    }


def named(calls: Iterable[Call], deployed: Deployed) -> set[Call]:
    """The same calls on the template's logical ids."""
    logical = {resource.created.ref: name for name, resource in deployed.resources.items()}
    return {Call(call.caller, call.action, _logical(call.resource, logical)) for call in calls}


def unused(granted: set[Right], calls: set[Call], failures: str) -> list[Right]:
    """What is granted without need. `failures` is the bucket that Lambda itself writes failed batches to."""
    return sorted(
        right
        for right in granted
        if right.action not in BY_AWS
        and right.caller not in BY_HAND
        and (right.caller, right.action) not in RARE
        and not right.resource.startswith(failures)
        and not any(right.covers(call) for call in calls)
    )


def refused(granted: set[Right], calls: set[Call]) -> list[Call]:
    """What was called and would be refused on AWS."""
    callers = {right.caller for right in granted}
    return sorted(call for call in calls if call.caller in callers and not any(right.covers(call) for right in granted))


def _callers(resources: Json) -> Iterable[tuple[str, str]]:
    """Roles, and the names of those who run in them."""
    for resource in resources.values():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::Lambda::Function":
            variables = properties.get("Environment", {}).get("Variables", {})
            if name := variables.get("POWERTOOLS_SERVICE_NAME"):
                yield properties["Role"]["Fn::GetAtt"][0], name
        elif resource["Type"] == "AWS::ECS::TaskDefinition":
            [container] = properties["ContainerDefinitions"]
            told = {each["Name"]: each["Value"] for each in container["Environment"]}
            yield properties["TaskRoleArn"]["Fn::GetAtt"][0], told["POWERTOOLS_SERVICE_NAME"]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _place(resource: Any) -> str:
    """A policy's resource as calls name it."""
    match resource:
        case str():
            return resource.rpartition(":")[2] if ":" in resource else resource
        case {"Fn::GetAtt": [str(name), *_]}:
            return name
        case {"Fn::Join": [_, parts]}:
            text = "".join(part if isinstance(part, str) else _place(part) for part in parts)
            return text.rpartition(":")[2]
        case {"Ref": str(name)}:
            return name
    raise ValueError(f"a policy names a resource in a way that is new here: {json.dumps(resource)}")


def _logical(resource: str, logical: Mapping[str, str]) -> str:
    if resource.startswith("arn:"):
        return resource.rpartition(":")[2]
    name, slash, rest = resource.partition("/")
    return logical.get(name, name) + slash + rest
