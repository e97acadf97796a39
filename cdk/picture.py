"""The architecture as a picture, drawn from the synthesised template: `python -m cdk.picture` writes it anew.

What there is and who feeds whom comes from the template: event sources, roles' rights, targets, integrations. Where
each stands is said here, so a new part fails until it has a place.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from cdk.drawing import Box, Line, svg

Json = Mapping[str, Any]

PICTURE: Final = Path(__file__).with_name("architecture.svg")
PLACES: Final[Mapping[str, tuple[float, float]]] = {
    "exchange": (0, 0),
    "ingest_trades": (1, 0),
    "TradesStream": (2, 0),
    "archive_trades": (3, 0),
    "LakeBucket": (4, 0),
    "LakeWorkgroup": (5, 0),
    "fill_history": (1, 1),
    "aggregate_bars": (2, 1),
    "archive_bars": (3, 1),
    "archive_forecasts": (4, 1),
    "ApiRest": (5, 1),
    "audit_bars": (1, 2),
    "BarsTable": (2, 2),
    "forecast": (3, 2),
    "ForecastsTable": (4, 2),
    "api": (5, 2),
    "TrainingModels": (2, 3),
    "score_forecasts": (3, 3),
    "ScoresTable": (4, 3),
    "MonitoringTopic": (0, 4),
    "promote_model": (1, 4),
    "TrainingGroup": (2, 4),
    "TrainingPipeline": (3, 4),
    "BarsState": (4, 4),
    "LiveApi": (6, 1),
    "push_forecasts": (6, 2),
    "connect_listeners": (5, 3),
    "LiveListeners": (6, 3),
    "FailuresBucket": (5, 4),
}
"""Column and row of each part."""
WRITES: Final = {
    *("kinesis:PutRecords", "dynamodb:PutItem", "dynamodb:UpdateItem", "s3:PutObject"),
    *("sagemaker:StartPipelineExecution", "sagemaker:CreateModelPackage", "execute-api:ManageConnections"),
}
READS: Final = {"dynamodb:Query", "dynamodb:GetItem", "dynamodb:BatchGetItem", "s3:GetObject"}
MARKS: Final = {"BarsState": "S", "FailuresBucket": "F"}
"""Nearly everything reaches these: a letter in a box stands for a line to them."""


class PlacelessError(ValueError):
    """The template has a part that the picture has no place for."""


class Arrow(NamedTuple):
    """Something goes from one part to another: pushed, or, where it is only read, asked for."""

    start: str
    end: str
    read: bool = False


class Parts:
    """What of a template is drawn."""

    def __init__(self, template: Json) -> None:
        self._resources: Json = template["Resources"]
        self._names = {
            logical: name for logical, resource in self._resources.items() if (name := _name(logical, resource))
        }
        self._owners = {
            role: self._names[logical]
            for logical, resource in self._resources.items()
            if logical in self._names
            for role in _references([resource["Properties"].get(key) for key in ("Role", "TaskRoleArn", "RoleArn")])
        }

    def boxes(self) -> Iterator[Box]:
        """Each part of the template with its place, and those outside. Raises PlacelessError."""
        if missing := sorted({*self._names.values()} - set(PLACES)):
            raise PlacelessError(f"{', '.join(missing)}: give it a place in cdk/picture.py")
        marks = self._marks()
        for logical, name in self._names.items():
            resource = self._resources[logical]
            lines = [_TITLES.get(name, name), *self._details(logical, resource)]
            yield Box(name, *PLACES[name], lines, _KINDS[resource["Type"]], "".join(sorted(marks.get(name, ()))))
        yield Box("exchange", *PLACES["exchange"], ["exchange", "WebSocket, REST"], "outside")

    def arrows(self) -> list[Arrow]:
        """In order, each once; where one writes and reads the same, it is drawn as writing."""
        pushed = {*self._pushed(), *(Arrow(*ends) for ends in _OUTSIDE)}
        joined = {frozenset(arrow[:2]) for arrow in pushed}
        asked = {arrow for arrow in self._rights(READS) if frozenset(arrow[:2]) not in joined}
        return sorted(each for each in pushed | asked if not {each.start, each.end} & set(MARKS))

    def _marks(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for arrow in [*self._rights(WRITES), *self._rights(READS)]:
            for end, other in (arrow[:2], arrow[1::-1]):
                if end in MARKS:
                    found.setdefault(other, set()).add(MARKS[end])
        return found

    def _pushed(self) -> Iterator[Arrow]:
        yield from self._rights(WRITES)
        for resource in self._resources.values():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::Lambda::EventSourceMapping":
                yield from self._between(properties["EventSourceArn"], properties["FunctionName"])
            elif resource["Type"] == "AWS::ApiGateway::Method":
                yield from self._between(properties.get("Integration", {}).get("Uri"), properties["RestApiId"])
            elif resource["Type"] == "AWS::ApiGatewayV2::Integration":
                yield from self._between(properties["IntegrationUri"], properties["ApiId"])
            elif "ModelPackageGroupName" in properties.get("EventPattern", {}).get("detail", {}):
                yield from (Arrow("TrainingGroup", target) for target in self._meant(properties["Targets"]))

    def _between(self, start: Any, end: Any) -> Iterator[Arrow]:
        for one in self._meant(start):
            for other in self._meant(end):
                if one != other:
                    yield Arrow(one, other)

    def _rights(self, actions: set[str]) -> Iterator[Arrow]:
        """What policies allow of these, from or to whoever has the role."""
        for resource in self._resources.values():
            if resource["Type"] != "AWS::IAM::Policy":
                continue
            owners = {
                self._owners[role] for role in _references(resource["Properties"]["Roles"]) if role in self._owners
            }
            for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
                told = statement["Action"]
                if actions & {told} if isinstance(told, str) else actions & {*told}:
                    for meant in self._meant(statement["Resource"]):
                        yield from (
                            Arrow(owner, meant) if actions is WRITES else Arrow(meant, owner, read=True)
                            for owner in sorted(owners)
                            if owner != meant
                        )

    def _meant(self, value: Any) -> list[str]:
        """The parts that a value refers to; SageMaker's are named as text."""
        named = {self._names[logical] for logical in _references(value) if logical in self._names}
        text = str(value)
        named |= {
            part
            for part, mark in (("TrainingPipeline", ":pipeline/"), ("TrainingGroup", ":model-package-group/"))
            if mark in text
        }
        return sorted(named)

    def _details(self, logical: str, resource: Json) -> list[str]:
        told, kind = resource["Properties"], resource["Type"].removeprefix("AWS::")
        fixed = {"S3::Bucket": "S3", "SageMaker::ModelPackageGroup": "Model Registry"}
        fixed |= {"ApiGateway::RestApi": "API Gateway, HTTPS", "SageMaker::Pipeline": "SageMaker pipeline"}
        fixed |= {"ApiGatewayV2::Api": "Gateway, WebSocket"}
        fixed |= {"Athena::WorkGroup": f"{self._count('Glue::Table')} tables in Glue"}
        fixed |= {"SNS::Topic": f"{self._count('CloudWatch::Alarm')} alarms, budget"}
        if kind == "Lambda::Function":
            line = f"Lambda, {told['MemorySize']} MB"
        elif kind == "ECS::TaskDefinition":
            line = f"Fargate, {int(told['Cpu']) / 1024:g} vCPU"
        elif kind == "Kinesis::Stream":
            line = f"Kinesis, {told['ShardCount']} shard"
        elif kind == "DynamoDB::Table":
            line = "DynamoDB, stream" if "StreamSpecification" in told else "DynamoDB"
        else:
            line = fixed[kind]
        by_hand = kind == "ECS::TaskDefinition" and not self._served(logical)
        return [line, *(["run by hand"] if by_hand else self._schedules(logical))]

    def _served(self, task: str) -> bool:
        """Whether a service keeps it running."""
        services = [each["Properties"] for each in self._resources.values() if each["Type"] == "AWS::ECS::Service"]
        return any(task in _references(each["TaskDefinition"]) for each in services)

    def _schedules(self, logical: str) -> list[str]:
        schedules = [
            each["Properties"] for each in self._resources.values() if each["Type"] == "AWS::Scheduler::Schedule"
        ]
        meant = self._names[logical]
        return [
            re.sub(r"rate\((.*)\)", r"every \1", each["ScheduleExpression"])
            for each in schedules
            if meant in self._meant(each["Target"])
        ]

    def _count(self, kind: str) -> int:
        return sum(each["Type"] == f"AWS::{kind}" for each in self._resources.values())


_KINDS: Final = {
    "AWS::ApiGateway::RestApi": "edge",
    "AWS::ApiGatewayV2::Api": "edge",
    "AWS::Athena::WorkGroup": "edge",
    "AWS::DynamoDB::Table": "data",
    "AWS::ECS::TaskDefinition": "compute",
    "AWS::Kinesis::Stream": "data",
    "AWS::Lambda::Function": "compute",
    "AWS::S3::Bucket": "data",
    "AWS::SNS::Topic": "edge",
    "AWS::SageMaker::ModelPackageGroup": "data",
    "AWS::SageMaker::Pipeline": "compute",
}
"""Types that are drawn, and how."""
_TITLES: Final = {
    "ApiRest": "REST API",
    "BarsState": "state (S)",
    "BarsTable": "bars",
    "FailuresBucket": "failures (F)",
    "ForecastsTable": "forecasts",
    "LakeBucket": "lake",
    "LakeWorkgroup": "Athena",
    "LiveApi": "push API",
    "LiveListeners": "listeners",
    "MonitoringTopic": "alarms' topic",
    "ScoresTable": "scores",
    "TrainingGroup": "versions",
    "TrainingModels": "models",
    "TrainingPipeline": "training",
    "TradesStream": "trades",
}
_OUTSIDE: Final = (("exchange", "ingest_trades"), ("exchange", "fill_history"), ("LakeBucket", "LakeWorkgroup"))


def _name(logical: str, resource: Json) -> str | None:
    """What a resource is called here; None for one that is not drawn."""
    if resource["Type"] not in _KINDS:
        return None
    name: str | None = re.sub(r"[0-9A-F]{8}$", "", logical)
    told = resource["Properties"]
    if resource["Type"] == "AWS::Lambda::Function":  # the CDK's own have no such variable
        name = told.get("Environment", {}).get("Variables", {}).get("POWERTOOLS_SERVICE_NAME")
    elif resource["Type"] == "AWS::ECS::TaskDefinition":
        variables = {each["Name"]: each["Value"] for each in told["ContainerDefinitions"][0]["Environment"]}
        name = variables["POWERTOOLS_SERVICE_NAME"]
    return name


def _references(value: Any) -> set[str]:
    """The logical ids that a value of a template refers to, however deep."""
    match value:
        case {"Ref": str(name)}:
            return {name}
        case {"Fn::GetAtt": [str(name), *_]}:
            return {name}
        case Mapping():
            return {name for part in value.values() for name in _references(part)}
        case list():
            return {name for part in value for name in _references(part)}
    return set()


def drawn(template: Json) -> str:
    """The picture of a template. Raises PlacelessError."""
    parts = Parts(template)
    return svg(list(parts.boxes()), [Line(each.start, each.end, each.read) for each in parts.arrows()])


def main() -> int:
    """Writes it anew."""
    from cdk.costs.stages import template  # noqa: PLC0415 - seconds, for whoever only reads a picture
    from cdk.settings import DEV  # noqa: PLC0415

    PICTURE.write_text(drawn(template(DEV)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
