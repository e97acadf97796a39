"""What the synthesised template declares, created in the emulator: nothing is defined twice.

Every type of resource is named here once: created through its service's API, kept as a declaration for what runs
here in its place (functions, routes, rules), or inert. A type that is new to the template fails loudly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from local import creators
from local.intrinsics import Created, Resolver, TemplateError
from local.streams import Emulator
from local.template import Assembly

ACCOUNT: Final = "123456789012"
PARTITION: Final = "aws"

Properties = dict[str, Any]

INERT: Final = frozenset(
    {
        "AWS::ApiGateway::Account",
        "AWS::CDK::Metadata",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::CompositeAlarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::EC2::InternetGateway",
        "AWS::EC2::Route",
        "AWS::EC2::RouteTable",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::Subnet",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPC",
        "AWS::EC2::VPCEndpoint",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::ECS::Cluster",
        "AWS::ECS::ClusterCapacityProviderAssociations",
        "AWS::ECS::Service",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::Kinesis::ResourcePolicy",
        "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup",
        "AWS::Logs::MetricFilter",
        "AWS::Logs::ResourcePolicy",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
        "AWS::WAFv2::WebACL",
        "AWS::WAFv2::WebACLAssociation",
    }
)
"""Permissions, networks, alarms and logs: nothing that runs here asks for them. They have a name and an ARN alone."""

DECLARED: Final = frozenset(
    {
        "AWS::ApiGateway::ApiKey",
        "AWS::ApiGateway::Deployment",
        "AWS::ApiGateway::GatewayResponse",
        "AWS::ApiGateway::Method",
        "AWS::ApiGateway::RequestValidator",
        "AWS::ApiGateway::Resource",
        "AWS::ApiGateway::RestApi",
        "AWS::ApiGateway::Stage",
        "AWS::ApiGateway::UsagePlan",
        "AWS::ApiGateway::UsagePlanKey",
        "AWS::ApiGatewayV2::Api",
        "AWS::ApiGatewayV2::Authorizer",
        "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Route",
        "AWS::ApiGatewayV2::Stage",
        "AWS::ECS::TaskDefinition",
        "AWS::Events::Rule",
        "AWS::Lambda::Alias",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::Function",
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::Version",
        "AWS::Scheduler::Schedule",
        "AWS::Scheduler::ScheduleGroup",
    }
)
"""What this machine runs itself, from the properties: the emulator would only keep them."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the template with every intrinsic in its properties resolved."""

    logical_id: str
    type: str
    properties: Properties
    created: Created


@dataclass(slots=True)
class Deployed:
    """The template, created: its resources by logical id and its outputs."""

    assembly: Assembly
    resources: dict[str, Resource] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)

    def of_type(self, kind: str) -> list[Resource]:
        """The resources of one type, in the template's order."""
        order = list(self.assembly.template["Resources"])
        found = [resource for resource in self.resources.values() if resource.type == kind]
        return sorted(found, key=lambda resource: order.index(resource.logical_id))

    def only(self, kind: str) -> Resource:
        """The one resource of a type; raises TemplateError where there is none or more."""
        found = self.of_type(kind)
        if len(found) != 1:
            raise TemplateError(f"the local stack needs exactly one {kind}, the template has {len(found)}")
        return found[0]


def deploy(
    assembly: Assembly, emulator: Emulator, tell: Callable[[str], None] = lambda _: None, *, sockets: str = ""
) -> Deployed:
    """Create everything the template declares; `tell` hears each logical id as it is created.

    `sockets` is where a WebSocket API that it declares is to be found.

    Raises TemplateError on what cannot be resolved, on references in a circle and on types not known here.
    """
    return _Deployment(assembly, emulator, tell, sockets).run()


class _Deployment:
    """Creates resources as they are first referred to, so that each finds what it needs."""

    def __init__(self, assembly: Assembly, emulator: Emulator, tell: Callable[[str], None], sockets: str) -> None:
        self._assembly = assembly
        self._declared: Mapping[str, Any] = assembly.template["Resources"]
        self._emulator = emulator
        self._tell = tell
        self._sockets = sockets
        self._deployed = Deployed(assembly)
        self._under_way: list[str] = []
        self._resolver = Resolver(
            assembly.template,
            pseudo_parameters(assembly.stack, emulator.region),
            _parameters(assembly.template),
            self._created,
        )

    def run(self) -> Deployed:
        unknown = {entry["Type"] for entry in self._declared.values()} - INERT - DECLARED - set(creators.CREATORS)
        if unknown:
            raise TemplateError(
                f"{', '.join(sorted(unknown))}: local/resources.py does not know what these become here"
            )
        for logical_id, entry in self._declared.items():
            if "Condition" not in entry or self._resolver.condition(entry["Condition"]):
                self._created(logical_id)
        for name, output in self._assembly.template.get("Outputs", {}).items():
            self._deployed.outputs[name] = str(self._resolver.value(output["Value"]))
        return self._deployed

    def _created(self, logical_id: str) -> Created:
        if (known := self._deployed.resources.get(logical_id)) is not None:
            return known.created
        if logical_id not in self._declared:
            raise TemplateError(f"{logical_id} is referred to and is not in the template")
        if logical_id in self._under_way:
            raise TemplateError(f"resources refer to each other in a circle: {' → '.join(self._under_way)}")
        self._under_way.append(logical_id)
        try:
            resource = self._create(logical_id, self._declared[logical_id])
        finally:
            self._under_way.pop()
        self._deployed.resources[logical_id] = resource
        return resource.created

    def _create(self, logical_id: str, entry: Mapping[str, Any]) -> Resource:
        kind = entry["Type"]
        properties = {} if kind in INERT else self._resolver.value(entry.get("Properties", {}))
        name = physical_name(self._assembly.stack, logical_id, kind)
        if kind in creators.CREATORS:
            self._tell(logical_id)
            created = creators.CREATORS[kind](creators.Request(self._emulator, name, ACCOUNT, properties))
        else:
            created = declaration(kind, name, self._named(entry), self._emulator.region, properties)
        if kind == "AWS::ApiGatewayV2::Api":
            created = Created(name, {"ApiEndpoint": self._sockets})
        return Resource(logical_id, kind, properties, created)

    def _named(self, entry: Mapping[str, Any]) -> str | None:
        """The name an inert or declared resource gives itself, whose other properties are not looked at."""
        given = entry.get("Properties", {})
        names = [
            given[key] for key in ("FunctionName", "RoleName", "TopicName", "LogGroupName", "Name") if key in given
        ]
        return str(self._resolver.value(names[0])) if names else None


def declaration(kind: str, name: str, given: str | None, region: str, properties: Properties) -> Created:
    """What `Ref` and `Fn::GetAtt` give for a resource that exists in this process or in name only."""
    _, service, noun = kind.split("::")
    ref = given or name
    path = {
        "Function": f"function:{ref}",
        "LayerVersion": f"layer:{ref}:1",
        "Topic": ref,
        "LogGroup": f"log-group:{ref}",
    }
    where = "" if service == "IAM" else region
    arn = f"arn:{PARTITION}:{service.lower()}:{where}:{ACCOUNT}:{path.get(noun, f'{noun.lower()}/{ref}')}"
    attributes = {"Arn": arn, "Id": ref, "Name": ref, "GroupId": ref, "VpcId": ref, "SubnetId": ref, "RoleId": ref}
    if noun == "RestApi":
        attributes |= {"RootResourceId": f"{ref}-root", "RestApiId": ref}
    if noun == "ApiKey":
        attributes["APIKeyId"] = ref
    if noun in ("LayerVersion", "Topic", "TaskDefinition", "ManagedPolicy"):
        ref = arn
    if noun == "Topic":
        attributes |= {"TopicArn": arn, "TopicName": given or name}
    if noun == "Deployment":
        attributes["DeploymentId"] = ref
    if noun == "Stage":
        ref = str(properties["StageName"])
    if noun == "Version":
        attributes["Version"] = "1"
    return Created(ref, attributes)


def pseudo_parameters(stack: str, region: str) -> dict[str, str]:
    return {
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": PARTITION,
        "AWS::Region": region,
        "AWS::StackId": f"arn:{PARTITION}:cloudformation:{region}:{ACCOUNT}:stack/{stack}/local",
        "AWS::StackName": stack,
        "AWS::URLSuffix": "amazonaws.com",
    }


def physical_name(stack: str, logical_id: str, kind: str) -> str:
    """The name of a resource that gives itself none; a bucket's is lower-case and short."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", re.sub(r"[0-9A-F]{8}$", "", logical_id)).lower()
    if kind == "AWS::S3::Bucket":
        return f"{stack.lower()}-{words}"[:55].rstrip("-") + "-local"
    return f"{stack}-{logical_id}"


def _parameters(template: Mapping[str, Any]) -> dict[str, str]:
    """Defaults; a parameter without one is answered with its own name, as nothing here depends on it."""
    return {name: str(entry.get("Default", name)) for name, entry in template.get("Parameters", {}).items()}


def parsed(document: str | Mapping[str, Any]) -> Any:
    """A JSON document that a template holds as text or as an object."""
    return json.loads(document) if isinstance(document, str) else document
