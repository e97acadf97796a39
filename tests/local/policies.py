"""Roles of the template beside the calls that were made: what is granted and not used, what is used and not granted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from local.callers import Call, read_calls
from local.resources import Deployed
from local.session import Session
from local.stack import Stack
from local.template import ROOT

Json = Mapping[str, Any]

_HASH: Final = re.compile(r"(?<=\w)[0-9A-F]{8}(?=/|$)")

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

ANYWHERE: Final = "dynamodb:ListStreams"
"""What AWS takes for no resource in particular."""

RARE: Final = {
    (
        "archive_bars",
        "s3:ListBucket",
        "LakeBucket",
    ): "S3 refuses a day that is not there, instead of saying so",
    ("archive_forecasts", "s3:ListBucket", "LakeBucket"): "the same",
    ("push_forecasts", "dynamodb:DeleteItem", "LiveListeners"): "of those who are gone: tests/local/test_live.py",
    ("audit_bars", "kinesis:PutRecords", "TradesStream"): "for holes alone: tests/unit/test_audit_bars.py",
    **dict.fromkeys(
        (
            ("forecast", "s3:GetObject", "TrainingModels/models/*"),
            ("forecast", "dynamodb:PutItem", "BarsState"),
            ("promote_model", "dynamodb:PutItem", "BarsState"),
            ("promote_model", "s3:GetObject", "TrainingModels/models/*"),
            ("promote_model", "sagemaker:DescribeModelPackage", "model-package/predict-bitcoin-local/*"),
        ),
        "where the gate lets the first model pass, which it need not: tests/model/test_life.py",
    ),
    ("score_forecasts", "dynamodb:PutItem", "BarsState"): "a training out of turn: tests/unit/test_score_forecasts.py",
    (
        "score_forecasts",
        "sagemaker:StartPipelineExecution",
        "pipeline/predict-bitcoin-local",
    ): "on drift alone: the same",
}
"""Rights that a healthy run does not use, and why each is needed or which test uses it."""

NARROWED: Final = {
    ("forecast", "dynamodb:PutItem", "BarsState"): {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["calibration:*"]}
    },
    **{
        (caller, f"dynamodb:{action}", "BarsState"): {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [key]}}
        for caller, action, key in (
            ("aggregate_bars", "PutItem", "watermark:*"),
            ("promote_model", "PutItem", "champion"),
            ("score_forecasts", "PutItem", "retraining"),
            ("score_forecasts", "UpdateItem", "scoring"),
        )
    },
    ("api", "dynamodb:PutItem", "LiveListeners"): {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["ticket"]}},
    ("fill_history", "dynamodb:GetItem", "BarsState"): {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["history:*", "watermark:*"]}
    },
    ("fill_history", "dynamodb:PutItem", "BarsState"): {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["history:*"]}
    },
}
"""Rights on a part of a table, which calls are not recorded with: a condition holds them to it."""

BY_HAND: Final = ("fill_history",)
"""Not part of a run: tests/infra/test_history.py tells its rights, tests/local/test_fill_history.py runs it."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """`caller` may do `action` on what matches `resource`, in terms of the template's logical ids."""

    caller: str
    action: str
    resource: str
    condition: str = ""
    """As JSON."""

    @property
    def named(self) -> tuple[str, str, str]:
        """Without what the CDK puts behind a logical id."""
        return self.caller, self.action, _HASH.sub("", self.resource)

    def fits(self, call: Call) -> bool:
        """Whether the call needs this right and none that is narrower: a folder of a bucket, or the thing itself."""
        return (self.caller, self.action) == (call.caller, call.action) and self.resource in _needed(call)

    def covers(self, call: Call) -> bool:
        return (self.caller, self.action) == (call.caller, call.action) and fnmatchcase(call.resource, self.resource)


def rights(template: Json) -> set[Right]:
    """Of every function and task of the project, whichever way they are given. Raises ValueError on a way in which
    nothing here tells what is given.
    """
    resources = template["Resources"]
    callers = dict(_callers(resources))
    return {
        Right(callers[role], action, place, _condition(statement))
        for role, policy in _policies(resources)
        if role in callers
        for statement in _document(callers[role], policy)["Statement"]
        if statement["Effect"] == "Allow"
        for action in _listed(statement["Action"])
        for place in map(_place, _listed(statement["Resource"]))
    }


def _policies(resources: Json) -> Iterable[tuple[str, Json]]:
    """Roles and what gives them rights: policies of their own, those that name them, and those that they name."""
    for logical_id, resource in resources.items():
        properties = resource.get("Properties", {})
        match resource["Type"]:
            case "AWS::IAM::Policy" | "AWS::IAM::ManagedPolicy":
                yield from ((role["Ref"], properties) for role in properties.get("Roles", ()))
            case "AWS::IAM::RolePolicy":
                yield properties["RoleName"]["Ref"], properties
            case "AWS::IAM::Role":
                yield from ((logical_id, policy) for policy in properties.get("Policies", ()))
                for arn in properties.get("ManagedPolicyArns", ()):
                    named = resources.get(arn.get("Ref")) if isinstance(arn, dict) else None
                    yield logical_id, named["Properties"] if named else {"ManagedPolicyArn": arn}


def _document(caller: str, policy: Json) -> Json:
    if "PolicyDocument" not in policy:
        raise ValueError(f"{caller} has a policy that the template does not hold: {json.dumps(policy)}")
    document: Json = policy["PolicyDocument"]
    return document


def read_by_aws(template: Json) -> set[tuple[str, str]]:
    """Functions, and the logs and streams that AWS writes and reads for them in their role's name."""
    resources = template["Resources"]
    names = dict(_functions(resources))
    logs = {
        (names[name], _place(resources[name]["Properties"]["LoggingConfig"]["LogGroup"]))
        for name in names
        if "LoggingConfig" in resources[name]["Properties"]
    }
    sources = {
        (names[each["Properties"]["FunctionName"]["Ref"]], _place(each["Properties"]["EventSourceArn"]))
        for each in resources.values()
        if each["Type"] == "AWS::Lambda::EventSourceMapping"
    }
    return logs | sources


def named(calls: Iterable[Call], deployed: Deployed) -> set[Call]:
    """The same calls on the template's logical ids."""
    logical = {resource.created.ref: name for name, resource in deployed.resources.items()}
    return {Call(call.caller, call.action, _logical(call.resource, logical)) for call in calls}


def unused(granted: set[Right], calls: set[Call], by_aws: set[tuple[str, str]], failures: str) -> list[Right]:
    """What is granted without need, or on more than is needed. Lambda writes failed batches to `failures`."""
    return sorted(
        right
        for right in granted
        if right.caller not in BY_HAND
        and right.named not in RARE
        and not (right.action in BY_AWS and ((right.caller, right.resource) in by_aws or _unplaced(right)))
        and (right.action, right.resource) not in {("s3:ListBucket", failures), ("s3:PutObject", f"{failures}/*")}
        and not any(right.fits(call) for call in calls)
    )


def loosened(granted: set[Right]) -> list[Right]:
    """Rights on a part of a table that lack the condition which says so."""
    return sorted(
        right
        for right in granted
        if right.named in NARROWED and right.condition != json.dumps(NARROWED[right.named], sort_keys=True)
    )


def refused(granted: set[Right], calls: set[Call]) -> list[Call]:
    """What was called and would be refused on AWS."""
    callers = {right.caller for right in granted}
    return sorted(call for call in calls if call.caller in callers and not any(right.covers(call) for right in granted))


def _needed(call: Call) -> set[str]:
    """The narrowest resources that a statement can name for the call: what has a name of its own, or what holds it."""
    parts = call.resource.split("/")
    holding = parts[:2] if call.action.startswith("s3:") else parts[:-1]
    return {call.resource, *(["/".join([*holding, "*"])] if 1 < len(holding) < len(parts) else [])}


def _unplaced(right: Right) -> bool:
    return right.action == ANYWHERE and right.resource == "*"


def _condition(statement: Json) -> str:
    return json.dumps(statement["Condition"], sort_keys=True) if "Condition" in statement else ""


def _functions(resources: Json) -> Iterable[tuple[str, str]]:
    """Logical ids of the project's functions, and their names."""
    for logical_id, resource in resources.items():
        if resource["Type"] == "AWS::Lambda::Function":
            variables = resource["Properties"].get("Environment", {}).get("Variables", {})
            if name := variables.get("POWERTOOLS_SERVICE_NAME"):
                yield logical_id, name


def _callers(resources: Json) -> Iterable[tuple[str, str]]:
    """Roles, and the names of those who run in them."""
    for logical_id, name in _functions(resources):
        yield resources[logical_id]["Properties"]["Role"]["Fn::GetAtt"][0], name
    for resource in resources.values():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::ECS::TaskDefinition":
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


Rights = tuple[Stack, set[Right], set[Call], Callable[[set[Right]], list[Right]]]


def asked(session: Session) -> Rights:
    """What is granted, and what has been called by all functions, those of the clock and of every route included; and
    what tells the rights that are more than these calls need.
    """
    stack = session.stack
    history = "/v1/forecasts/BTC-USD/history?horizon=5"
    for path in ("/v1/bars/BTC-USD", history, "/v1/scores/BTC-USD", "/v1/models/current", "/health"):
        session.get(path)
    audit = json.loads((ROOT / "tests" / "events" / "audit_bars.json").read_text())
    assert stack.functions["audit_bars"].invoke(audit).error is None
    failures = stack.deployed.outputs["FailuresBucket"]
    [bucket] = [name for name, each in stack.deployed.resources.items() if each.created.ref == failures]
    calls = named(read_calls(stack.log("calls")), stack.deployed)
    template = stack.deployed.assembly.template
    by_aws = read_by_aws(template)
    return stack, rights(template), calls, lambda granted: unused(granted, calls, by_aws, bucket)
