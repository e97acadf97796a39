"""A synthesised stack, as tests ask about it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Assembly:
    """The template of one stage, and the folder it was written to."""

    folder: Path
    template: Json

    @classmethod
    def read(cls, folder: Path) -> "Assembly":
        [template] = folder.glob("*.template.json")
        return cls(folder, json.loads(template.read_text()))

    def of_type(self, kind: str) -> dict[str, Json]:
        """Resources of `AWS::kind` by logical id."""
        resources = self.template["Resources"].items()
        return {name: resource for name, resource in resources if resource["Type"] == f"AWS::{kind}"}

    def one(self, kind: str) -> Json:
        """The properties of the only resource of `AWS::kind`."""
        [resource] = self.of_type(kind).values()
        properties: Json = resource["Properties"]
        return properties

    @property
    def functions(self) -> dict[str, Json]:
        """The project's functions by the folder they are made of; the CDK's own are not among them."""
        named = {service_name(resource): resource for resource in self.of_type("Lambda::Function").values()}
        return {name: resource for name, resource in named.items() if name}

    def task(self, name: str) -> Json:
        """The properties of the task definition whose one container is `name`'s, as functions/ calls it."""
        for resource in self.of_type("ECS::TaskDefinition").values():
            properties: Json = resource["Properties"]
            [container] = properties["ContainerDefinitions"]
            if {"Name": "POWERTOOLS_SERVICE_NAME", "Value": name} in container["Environment"]:
                return properties
        raise KeyError(name)

    def logical_id(self, function: str) -> str:
        return next(k for k, v in self.of_type("Lambda::Function").items() if service_name(v) == function)

    def event_source(self, function: str) -> Json:
        """The properties of the only event-source mapping of a function."""
        return self._only("Lambda::EventSourceMapping", function)

    def invoked(self, function: str) -> Json:
        """How often a function is asked again for an event that it fails on, and where the event goes then."""
        return self._only("Lambda::EventInvokeConfig", function)

    def _only(self, kind: str, function: str) -> Json:
        """The properties of the only resource of a type that names the function."""
        target = {"Ref": self.logical_id(function)}
        every = (each["Properties"] for each in self.of_type(kind).values())
        [found] = [properties for properties in every if properties["FunctionName"] == target]
        return found

    def layers(self, function: str) -> list[Json]:
        references = self.functions[function]["Properties"]["Layers"]
        return [self.template["Resources"][reference["Ref"]] for reference in references]


def service_name(function: Json) -> str | None:
    name: str | None = function["Properties"].get("Environment", {}).get("Variables", {}).get("POWERTOOLS_SERVICE_NAME")
    return name


def place(resource: Json) -> Path:
    """Where the asset of a function or layer lies."""
    return Path(resource["Metadata"]["aws:asset:path"])


def resolved(value: Any) -> Any:
    """`value` with a stand-in for what only AWS can tell: `<LogicalId>`, `<AWS::Region>`, `<LogicalId.Attribute>`."""
    if isinstance(value, list):
        return [resolved(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    match value:
        case {"Ref": name}:
            text = f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]} | {"Fn::FindInMap": [name, _, attribute]}:
            text = f"<{name}.{attribute}>"
        case {"Fn::Join": [separator, parts]}:
            text = separator.join(map(str, resolved(parts)))
        case {"Fn::Select": [int(index), {"Fn::Split": [separator, text]}]}:
            text = f"<{str(resolved(text)).strip('<>')}|{separator}{index}>"
        case {"Fn::Sub": pattern}:
            text = re.sub(r"\$\{([^}]+)\}", r"<\1>", pattern)
        case _:
            return {key: resolved(part) for key, part in value.items()}
    return text
