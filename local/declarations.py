"""What the deployed template says about the parts that run on this machine: functions, mappings, API, rules, task."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping as Map
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.gateway_responses import GatewayResponse
from local.intrinsics import TemplateError
from local.lambdas import FunctionSpec, Invoke
from local.mappings import Mapping
from local.objects import StoredObject
from local.resources import Deployed, Resource, parsed
from local.sockets import SocketApi

_INVOKED = re.compile(r"/functions/(arn:[^/]+)/invocations")
_QUERY = "method.request.querystring."
_SOCKET_QUERY = "route.request.querystring."
_ASSET_KEY = re.compile(r"([0-9a-f]{16,64})(?:\.\w+)*$")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of the REST API and what is behind it: the function of this ARN, or an object in S3."""

    path: str
    method: str
    behind: str | StoredObject
    api_key_required: bool
    required: tuple[str, ...]
    """Parameters of the query without which the gateway refuses."""


@dataclass(frozen=True, slots=True)
class Api:
    """The REST API: its methods, its stage, the values of its keys, its own words for errors, and from how many bytes
    on it compresses (None: never)."""

    endpoints: tuple[Endpoint, ...]
    stage: str
    keys: tuple[str, ...]
    responses: tuple[GatewayResponse, ...]
    compressed_bytes: int | None


@dataclass(frozen=True, slots=True)
class DeclaredSockets:
    """The WebSocket API: its id, its stage, the functions behind it by their ARNs, and the parameters of the query that
    its authorizer asks for."""

    identity: str
    stage: str
    authorizer: str
    connect: str
    disconnect: str
    asked: tuple[str, ...]

    @property
    def function_arns(self) -> set[str]:
        return {self.authorizer, self.connect, self.disconnect}

    def bound(self, functions: Map[str, Invoke]) -> SocketApi:
        """With the functions themselves."""
        behind = (functions[self.authorizer], functions[self.connect], functions[self.disconnect])
        return SocketApi(self.identity, self.stage, self.asked, *behind)


@dataclass(frozen=True, slots=True)
class Rule:
    """An EventBridge rule: the events it chooses, the functions they go to, and for each of these the queue of what it
    cannot be handed.
    """

    arn: str
    pattern: Map[str, Any]
    targets: Map[str, str]
    """ARNs of functions, with their queue's; empty for none."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule's expression and the function it invokes."""

    name: str
    expression: str
    function_arn: str


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A SageMaker pipeline as the emulator holds it."""

    name: str
    arn: str
    definition: str


def functions(deployed: Deployed, *, runtime: Path, endpoint_url: str) -> list[FunctionSpec]:
    """Every function with its code and layers where they lie on this machine; named after its code's folder."""
    layers = {
        layer.created.ref: _asset(deployed, layer, "Content") for layer in deployed.of_type("AWS::Lambda::LayerVersion")
    }
    specs = []
    for function in deployed.of_type("AWS::Lambda::Function"):
        properties = function.properties
        folder = _asset(deployed, function, "Code")
        specs.append(
            FunctionSpec(
                name=folder.name,
                arn=function.created.attributes["Arn"],
                asset=folder,
                handler=properties["Handler"],
                runtime=runtime,
                layers=tuple(layers[ref] for ref in properties.get("Layers", ())),
                environment=properties.get("Environment", {}).get("Variables", {}),
                timeout_s=float(properties.get("Timeout", 3)),
                memory_mb=int(properties.get("MemorySize", 128)),
                endpoint_url=endpoint_url,
            )
        )
    return specs


def mappings(deployed: Deployed) -> list[Mapping]:
    """Every event-source mapping, with its function as an ARN."""
    names = {function.created.ref: function for function in deployed.of_type("AWS::Lambda::Function")}
    found = []
    for resource in deployed.of_type("AWS::Lambda::EventSourceMapping"):
        named = resource.properties["FunctionName"]
        arn = names[named].created.attributes["Arn"] if named in names else named
        found.append(Mapping.from_properties({**resource.properties, "FunctionName": arn}))
    return found


def api(deployed: Deployed) -> Api:
    """The one REST API. A key without a value gets a random one, as on AWS."""
    rest = deployed.only("AWS::ApiGateway::RestApi")
    paths = _paths(deployed, rest)
    endpoints = []
    for method in deployed.of_type("AWS::ApiGateway::Method"):
        properties = method.properties
        integration = properties.get("Integration", {})
        behind = _invoked(integration.get("Uri", "")) or StoredObject.from_properties(integration)
        if behind is None:
            raise TemplateError(f"{method.logical_id}: an integration of this kind cannot be served here")
        endpoints.append(
            Endpoint(
                path=paths[properties["ResourceId"]],
                method=properties["HttpMethod"],
                behind=behind,
                api_key_required=properties.get("ApiKeyRequired") in (True, "true"),
                required=_required(deployed, properties),
            )
        )
    keys = deployed.of_type("AWS::ApiGateway::ApiKey")
    return Api(
        tuple(endpoints),
        deployed.only("AWS::ApiGateway::Stage").properties["StageName"],
        tuple(str(key.properties.get("Value") or secrets.token_hex(20)) for key in keys),
        tuple(
            GatewayResponse.from_properties(response.properties)
            for response in deployed.of_type("AWS::ApiGateway::GatewayResponse")
        ),
        rest.properties.get("MinimumCompressionSize"),
    )


def sockets(deployed: Deployed) -> DeclaredSockets | None:
    """The WebSocket API, where there is one."""
    if not deployed.of_type("AWS::ApiGatewayV2::Api"):
        return None
    authorizer = deployed.only("AWS::ApiGatewayV2::Authorizer").properties
    behind = {
        integration.created.ref: _invoked(integration.properties["IntegrationUri"])
        for integration in deployed.of_type("AWS::ApiGatewayV2::Integration")
    }
    routes = {
        route.properties["RouteKey"]: behind[str(route.properties["Target"]).removeprefix("integrations/")]
        for route in deployed.of_type("AWS::ApiGatewayV2::Route")
    }
    asked = _invoked(authorizer["AuthorizerUri"])
    if set(routes) != {"$connect", "$disconnect"} or not all((asked, *routes.values())):
        raise TemplateError("a WebSocket API here has a function for $connect, one for $disconnect, and an authorizer")
    return DeclaredSockets(
        deployed.only("AWS::ApiGatewayV2::Api").created.ref,
        deployed.only("AWS::ApiGatewayV2::Stage").properties["StageName"],
        authorizer=asked,
        connect=routes["$connect"],
        disconnect=routes["$disconnect"],
        asked=tuple(name.removeprefix(_SOCKET_QUERY) for name in authorizer["IdentitySource"]),
    )


def rules(deployed: Deployed) -> list[Rule]:
    """The rules that choose events; those on a schedule do not run here."""
    return [
        Rule(
            rule.created.attributes["Arn"],
            parsed(rule.properties["EventPattern"]),
            {
                target["Arn"]: target.get("DeadLetterConfig", {}).get("Arn", "")
                for target in rule.properties["Targets"]
                if ":lambda:" in target["Arn"]
            },
        )
        for rule in deployed.of_type("AWS::Events::Rule")
        if "EventPattern" in rule.properties
    ]


def on_failure(deployed: Deployed) -> dict[str, str]:
    """Where the events go that functions fail on: ARNs of buckets by those of functions."""
    arns = {each.created.ref: each.created.attributes["Arn"] for each in deployed.of_type("AWS::Lambda::Function")}
    return {
        arns[config.properties["FunctionName"]]: config.properties["DestinationConfig"]["OnFailure"]["Destination"]
        for config in deployed.of_type("AWS::Lambda::EventInvokeConfig")
    }


def schedules(deployed: Deployed) -> list[Schedule]:
    """What runs a function by the clock: schedules and rules; a schedule of anything else does not run here."""
    targets = [
        (resource, resource.properties["ScheduleExpression"], target["Arn"])
        for kind in ("AWS::Scheduler::Schedule", "AWS::Events::Rule")
        for resource in deployed.of_type(kind)
        if "ScheduleExpression" in resource.properties and resource.properties.get("State") != "DISABLED"
        for target in [resource.properties.get("Target"), *resource.properties.get("Targets", ())]
        if target
    ]
    return [Schedule(resource.created.ref, text, arn) for resource, text, arn in targets if ":lambda:" in arn]


def pipeline(deployed: Deployed) -> Pipeline:
    """The one training pipeline, its definition as text."""
    resource = deployed.only("AWS::SageMaker::Pipeline")
    definition = resource.properties["PipelineDefinition"]
    body = definition.get("PipelineDefinitionBody", definition) if isinstance(definition, dict) else definition
    text = body if isinstance(body, str) else json.dumps(body)
    return Pipeline(resource.created.ref, resource.created.attributes["PipelineArn"], text)


def task_environment(deployed: Deployed, name: str) -> dict[str, str]:
    """What the container of the task `name` is told, as ingest_trades or fill_history."""
    for task in deployed.of_type("AWS::ECS::TaskDefinition"):
        [container] = task.properties["ContainerDefinitions"]
        told = {entry["Name"]: str(entry["Value"]) for entry in container.get("Environment", ())}
        if told.get("POWERTOOLS_SERVICE_NAME") == name:
            return told
    raise TemplateError(f"no task definition is of {name}")


def _invoked(uri: Any) -> str:
    """The ARN of the function that a gateway's URI stands for; empty for any other."""
    found = _INVOKED.search(str(uri))
    return found.group(1) if found else ""


def _required(deployed: Deployed, method: Map[str, Any]) -> tuple[str, ...]:
    """The query parameters that a method's validator asks for; without a validator nothing is asked for."""
    validators = {each.created.ref: each.properties for each in deployed.of_type("AWS::ApiGateway::RequestValidator")}
    validator = validators.get(str(method.get("RequestValidatorId")), {})
    if validator.get("ValidateRequestParameters") not in (True, "true"):
        return ()
    return tuple(
        name.removeprefix(_QUERY)
        for name, needed in method.get("RequestParameters", {}).items()
        if name.startswith(_QUERY) and needed in (True, "true")
    )


def _paths(deployed: Deployed, rest: Resource) -> dict[str, str]:
    """The path of each API resource, by the id that methods refer to."""
    parts = {resource.created.ref: resource.properties for resource in deployed.of_type("AWS::ApiGateway::Resource")}

    def path(identity: str) -> str:
        if identity == rest.created.attributes["RootResourceId"]:
            return ""
        return f"{path(parts[identity]['ParentId'])}/{parts[identity]['PathPart']}"

    root = rest.created.attributes["RootResourceId"]
    return {root: "/", **{identity: path(identity) for identity in parts}}


def _asset(deployed: Deployed, resource: Resource, property_name: str) -> Path:
    """The folder of a function's or layer's code, by the asset hash in its S3 key."""
    key = str(resource.properties[property_name].get("S3Key", ""))
    match = _ASSET_KEY.search(key)
    asset = deployed.assembly.assets.get(match.group(1)) if match else None
    if asset is None or not asset.place.is_dir():
        raise TemplateError(f"{resource.logical_id}: no asset folder for its code {key!r}")
    return asset.place
