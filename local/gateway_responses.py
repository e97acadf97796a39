"""API Gateway's own answers: the built-in ones, and those a template sets in their place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

_VARIABLE = re.compile(r"\$context\.([A-Za-z]+(?:\.[A-Za-z]+)*)")
_HEADER = "gatewayresponse.header."
_DEFAULT_TEMPLATE = '{"message":$context.error.messageString}'
_KNOWN = {
    "error.message",
    "error.messageString",
    "error.responseType",
    "extendedRequestId",
    "httpMethod",
    "identity.sourceIp",
    "identity.userAgent",
    "path",
    "protocol",
    "requestId",
    "requestTimeEpoch",
    "resourcePath",
    "stage",
}


class Failure(Enum):
    """Why the gateway answers itself: response type, status, message, and the value of x-amzn-ErrorType."""

    MISSING_AUTHENTICATION_TOKEN = (
        "MISSING_AUTHENTICATION_TOKEN",
        403,
        "Missing Authentication Token",
        "MissingAuthenticationTokenException",
    )
    BAD_REQUEST_PARAMETERS = (
        "BAD_REQUEST_PARAMETERS",
        400,
        "Missing required request parameters: [{}]",
        "BadRequestException",
    )
    INVALID_API_KEY = ("INVALID_API_KEY", 403, "Forbidden", "ForbiddenException")
    REQUEST_TOO_LARGE = ("REQUEST_TOO_LARGE", 413, "Request Too Long", "RequestTooLongException")
    INTEGRATION_TIMEOUT = ("INTEGRATION_TIMEOUT", 504, "Endpoint request timed out", "InternalServerErrorException")
    # A function's error or malformed answer has no response type of its own: only DEFAULT_5XX reaches it.
    INTEGRATION_FAILED = ("DEFAULT_5XX", 502, "Internal server error", "InternalServerErrorException")

    def __init__(self, response_type: str, status: int, message: str, error_type: str) -> None:
        self.response_type = response_type
        self.status = status
        self.message = message
        self.error_type = error_type


class UnsupportedTemplateError(Exception):
    """A gateway response uses a variable or parameter that is not known here."""


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """An AWS::ApiGateway::GatewayResponse: templates by content type, headers by name (quoted text or context.…)."""

    response_type: str
    status: int | None = None
    templates: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Self:
        """From CloudFormation's resolved properties. Raises UnsupportedTemplateError."""
        parameters = properties.get("ResponseParameters", {})
        for name, value in parameters.items():
            literal = value.startswith("'") and value.endswith("'")
            if not name.startswith(_HEADER) or not (literal or value.removeprefix("context.") in _KNOWN):
                raise UnsupportedTemplateError(
                    f"{properties['ResponseType']}: {name} = {value} cannot be answered here"
                )
        templates = properties.get("ResponseTemplates", {})
        for variable in (name for template in templates.values() for name in _VARIABLE.findall(template)):
            if variable not in _KNOWN:
                raise UnsupportedTemplateError(f"{properties['ResponseType']}: $context.{variable} is not known here")
        status = properties.get("StatusCode")
        headers = {name.removeprefix(_HEADER): value for name, value in parameters.items()}
        return cls(properties["ResponseType"], int(status) if status else None, templates, headers)


class Responses:
    """The answers in force: a type's own, else DEFAULT_4XX or DEFAULT_5XX, else the built-in."""

    def __init__(self, customised: Sequence[GatewayResponse]) -> None:
        self._customised = {response.response_type: response for response in customised}

    def render(
        self, failure: Failure, context: Mapping[str, str], told: str = ""
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Status, headers (with Content-Type) and body; `told` completes the message of a failure that has it so."""
        default = f"DEFAULT_{failure.status // 100}XX"
        response = self._customised.get(failure.response_type) or self._customised.get(default) or GatewayResponse("")
        message = failure.message.format(told)
        values = {
            **context,
            "error.message": message,
            "error.messageString": json.dumps(message),
            "error.responseType": failure.response_type,
        }
        templates = response.templates or {"application/json": _DEFAULT_TEMPLATE}
        content_type = "application/json" if "application/json" in templates else next(iter(templates))
        body = _VARIABLE.sub(lambda found: values[found[1]], templates[content_type])
        headers = {"Content-Type": content_type} | {
            name: value[1:-1] if value.startswith("'") else values[value.removeprefix("context.")]
            for name, value in response.headers.items()
        }
        return response.status or failure.status, list(headers.items()), body.encode()
