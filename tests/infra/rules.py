"""What a reviewer asks of every resource of a kind, as questions to a template: each names what breaks the rule."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.infra.assembly import Json, resolved

PLAIN_HTTP = {"Bool": {"aws:SecureTransport": "false"}}
POLICIES = {
    "AWS::S3::Bucket": ("AWS::S3::BucketPolicy", "PolicyDocument"),
    "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "PolicyDocument"),
    "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "PolicyDocument"),
    "AWS::Kinesis::Stream": ("AWS::Kinesis::ResourcePolicy", "ResourcePolicy"),
}
"""What holds data and answers over the network, and where CloudFormation keeps its policy. A DynamoDB table has one
too, but no service of AWS's asks for more: its endpoints speak TLS alone."""
MOVING = {"GetRecords", "PutRecord", "PutRecords"}
EVERYTHING = {"AWS::S3::Bucket": "s3:*", "AWS::SQS::Queue": "sqs:*"}


def answers_plain_http(template: Json) -> list[str]:
    """Buckets, queues, topics and streams that no policy keeps from answering without TLS."""
    resources = template["Resources"]
    denied = {name for kind in POLICIES for name in _refusing(resources, kind)}
    return sorted(name for name, each in resources.items() if each["Type"] in POLICIES and name not in denied)


def _refusing(resources: Mapping[str, Json], kind: str) -> Iterator[str]:
    """The resources of a kind that somebody denies to everybody without TLS, whatever is asked of them."""
    policy, field = POLICIES[kind]
    names = [name for name, each in resources.items() if each["Type"] == kind]
    statements = [
        statement
        for each in resources.values()
        if each["Type"] == policy
        for statement in resolved(each["Properties"][field]["Statement"])
        if (statement["Effect"], statement.get("Condition")) == ("Deny", PLAIN_HTTP)
        and statement["Principal"] in ("*", {"AWS": "*"})
    ]
    for name in names:
        wanted = {f"<{name}.Arn>", f"<{name}.Arn>/*"} if kind == "AWS::S3::Bucket" else {f"<{name}.Arn>"}
        wanted = {f"<{name}>"} if kind == "AWS::SNS::Topic" else wanted
        if any(wanted <= set(_list(each["Resource"])) and _whole(kind, _list(each["Action"])) for each in statements):
            yield name


def _whole(kind: str, actions: Sequence[str]) -> bool:
    """Whether nothing can be moved but by one of these."""
    if kind == "AWS::Kinesis::Stream":
        return {f"kinesis:{action}" for action in MOVING} <= set(actions) and "*" not in "".join(actions)
    if kind == "AWS::SNS::Topic":
        return "sns:Publish" in actions
    return EVERYTHING[kind] in actions


def open_to_the_public(template: Json) -> list[str]:
    """Buckets that do not block each of the four ways to be public."""
    ways = {"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}
    return [
        name
        for name, each in template["Resources"].items()
        if each["Type"] == "AWS::S3::Bucket"
        and {way for way in ways if each["Properties"].get("PublicAccessBlockConfiguration", {}).get(way) is True}
        != ways
    ]


def logs_for_good(template: Json) -> list[str]:
    """Groups that never expire, and whoever writes to one that the template does not declare and so expires never.

    But for the groups of SageMaker's jobs: they have one name for the whole account, so that no stack may declare them.
    """
    resources = template["Resources"]
    expiring = {
        name
        for name, each in resources.items()
        if each["Type"] == "AWS::Logs::LogGroup" and each["Properties"].get("RetentionInDays")
    }
    groups = {name for name, each in resources.items() if each["Type"] == "AWS::Logs::LogGroup"}
    written = [(name, json.dumps(group)) for name, each in resources.items() for group in _groups(each)]
    astray = [name for name, group in written if not any(f'"{each}"' in group for each in expiring)]
    return sorted({*(groups - expiring), *astray})


def _groups(resource: Json) -> Iterator[Any]:
    """Where a resource logs to; None where AWS would make a group by itself."""
    properties = resource.get("Properties", {})
    match resource["Type"]:
        case "AWS::Lambda::Function":
            yield properties.get("LoggingConfig", {}).get("LogGroup")
        case "AWS::ECS::TaskDefinition":
            for container in properties["ContainerDefinitions"]:
                yield container.get("LogConfiguration", {}).get("Options", {}).get("awslogs-group")
        case "AWS::ApiGateway::Stage":
            yield properties.get("AccessLogSetting", {}).get("DestinationArn")
            # The gateway's own steps go to a group that it makes and nobody expires.
            if any(each.get("LoggingLevel", "OFF") != "OFF" for each in properties.get("MethodSettings", ())):
                yield None


def not_by_the_key(template: Json) -> list[str]:
    """What holds data and is not encrypted by the template's one key."""
    resources = template["Resources"]
    keys = [name for name, each in resources.items() if each["Type"] == "AWS::KMS::Key"]
    where = {
        "AWS::S3::Bucket": "BucketEncryption",
        "AWS::DynamoDB::Table": "SSESpecification",
        "AWS::Kinesis::Stream": "StreamEncryption",
        "AWS::Logs::LogGroup": "KmsKeyId",
        "AWS::Athena::WorkGroup": "WorkGroupConfiguration",
    }
    return sorted(
        name
        for name, each in resources.items()
        if each["Type"] in where
        and not any(f'"{key}"' in json.dumps(each["Properties"].get(where[each["Type"]])) for key in keys)
    )


def _on(switches: Json) -> set[str]:
    return {name for name, value in switches.items() if value is True}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
