"""CloudFormation's intrinsic functions, resolved against resources that exist."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")


class TemplateError(Exception):
    """The template says something that cannot be resolved or created here; the message names it."""


@dataclass(frozen=True, slots=True)
class Created:
    """A resource that exists: what `Ref` and `Fn::GetAtt` give for it."""

    ref: str
    attributes: Mapping[str, str] = field(default_factory=dict)


class NoValue:
    """AWS::NoValue: the property that holds it is left out."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves values of one template. `resource` gives the resource of a logical id, creating it where need be."""

    template: Mapping[str, Any]
    pseudo: Mapping[str, str]
    """`AWS::Region` and its like."""
    parameters: Mapping[str, str]
    resource: Callable[[str], Created]

    def value(self, given: Any) -> Any:
        """`given` with every intrinsic in it resolved. Raises TemplateError by name."""
        if isinstance(given, list):
            return [item for item in map(self.value, given) if item is not NoValue]
        if not isinstance(given, dict):
            return given
        if len(given) == 1:
            [(name, argument)] = given.items()
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::"):
                return self._call(name.removeprefix("Fn::"), argument)
        values = {key: self.value(item) for key, item in given.items()}
        return {key: item for key, item in values.items() if item is not NoValue}

    def condition(self, name: str) -> bool:
        """Whether the template's condition of this name holds."""
        conditions = self.template.get("Conditions", {})
        if name not in conditions:
            raise TemplateError(f"condition {name} is not in the template")
        return self._holds(conditions[name])

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NoValue
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        return self.resource(name).ref

    def _attribute(self, logical_id: str, attribute: str) -> str:
        attributes = self.resource(logical_id).attributes
        if attribute not in attributes:
            kind = self.template["Resources"][logical_id]["Type"]
            raise TemplateError(f"{kind} {logical_id} has no attribute {attribute} here: teach its creator to give it")
        return attributes[attribute]

    def _call(self, name: str, argument: Any) -> Any:  # noqa: C901, PLR0911 - one case a function
        match name:
            case "GetAtt":
                logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
                return self._attribute(logical_id, self.value(attribute))
            case "Join":
                separator, items = argument
                return separator.join(str(item) for item in self.value(items))
            case "Sub":
                return self._substitute(argument)
            case "Select":
                index, items = self.value(argument)
                return items[int(index)]
            case "Split":
                separator, text = self.value(argument)
                return text.split(separator)
            case "FindInMap":
                table, row, column = self.value(argument)
                return self.template["Mappings"][table][row][column]
            case "If":
                condition, then, otherwise = argument
                return self.value(then if self.condition(condition) else otherwise)
            case "Base64":
                return base64.b64encode(self.value(argument).encode()).decode()
            case "GetAZs":
                region = self.value(argument) or self.pseudo["AWS::Region"]
                return [f"{region}{letter}" for letter in "abc"]
            case "Equals" | "And" | "Or" | "Not":
                return self._holds({f"Fn::{name}": argument})
        raise TemplateError(f"Fn::{name} cannot be resolved here")

    def _substitute(self, argument: Any) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else argument
        values = self.value(given)

        def replacement(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in values:
                return str(values[name])
            logical_id, dot, attribute = name.partition(".")
            return self._attribute(logical_id, attribute) if dot else str(self._ref(name))

        return _PLACEHOLDER.sub(replacement, text)

    def _holds(self, condition: Any) -> bool:
        [(name, argument)] = condition.items()
        match name:
            case "Condition":
                return self.condition(argument)
            case "Fn::Equals":
                left, right = self.value(argument)
                return bool(left == right)
            case "Fn::Not":
                return not self._holds(argument[0])
            case "Fn::And":
                return all(map(self._holds, argument))
            case "Fn::Or":
                return any(map(self._holds, argument))
        raise TemplateError(f"{name} is no condition")
