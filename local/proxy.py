"""Lambda proxy integration: the event that an HTTP request becomes and the HTTP answer that a return value becomes."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

_CONNECTION_HEADERS = {"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request, matched or not: what the proxy event and the gateway responses are made of."""

    request_id: str
    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Message
    source_ip: str
    stage: str
    resource: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    began: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over HTTP."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class MalformedAnswerError(Exception):
    """A function's answer is not what proxy integration requires; says what is wrong with it."""


def proxy_event(call: Call, body: bytes, api_key: str | None) -> dict[str, Any]:
    """The event of Lambda proxy integration, version 1.0 of its format. A body that is not UTF-8 goes in base64."""
    pairs = [*call.headers.items(), ("X-Forwarded-For", call.source_ip), ("X-Forwarded-Proto", "http")]
    text, encoded = _as_text(body)
    return {
        "resource": call.resource,
        "path": call.path,
        "httpMethod": call.method,
        "headers": dict(pairs),
        "multiValueHeaders": _grouped(pairs),
        "queryStringParameters": dict(call.query) or None,
        "multiValueQueryStringParameters": _grouped(call.query) or None,
        "pathParameters": dict(call.parameters) or None,
        "stageVariables": None,
        "requestContext": _request_context(call, api_key),
        "body": text,
        "isBase64Encoded": encoded,
    }


def _request_context(call: Call, api_key: str | None) -> dict[str, Any]:
    identity: dict[str, Any] = dict.fromkeys(
        (
            "accessKey",
            "accountId",
            "caller",
            "cognitoIdentityId",
            "cognitoIdentityPoolId",
            "principalOrgId",
            "user",
            "userArn",
        )
    )
    identity |= {"sourceIp": call.source_ip, "userAgent": call.headers.get("User-Agent")}
    if api_key is not None:
        identity |= {"apiKey": api_key, "apiKeyId": "local"}
    return {
        "accountId": "123456789012",
        "apiId": "local",
        "deploymentId": "local",
        "domainName": call.headers.get("Host"),
        "domainPrefix": "local",
        "extendedRequestId": call.request_id,
        "httpMethod": call.method,
        "identity": identity,
        "path": f"/{call.stage}{call.path}",
        "protocol": "HTTP/1.1",
        "requestId": call.request_id,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(call.began)),
        "requestTimeEpoch": int(call.began * 1000),
        "resourceId": call.resource,
        "resourcePath": call.resource,
        "stage": call.stage,
    }


def proxy_answer(call: Call, payload: Any) -> Answer:
    """The HTTP answer that a function's return value stands for. Raises MalformedAnswerError."""
    if not isinstance(payload, dict):
        raise MalformedAnswerError(f"an object is expected, not {type(payload).__name__}")
    body = payload.get("body")
    if body is not None and not isinstance(body, str):
        raise MalformedAnswerError(f"body is text, not {type(body).__name__}")
    try:
        content = (
            base64.b64decode(body or "", validate=True) if payload.get("isBase64Encoded") else (body or "").encode()
        )
    except binascii.Error as error:
        raise MalformedAnswerError(f"body is not base64: {error}") from error
    pairs = _answer_headers(payload)
    if not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.append(("Content-Type", "application/json"))
    return Answer(_status(payload.get("statusCode")), standard_headers(call, pairs), content)


def _status(given: Any) -> int:
    try:
        status = int(given)
    except (TypeError, ValueError) as error:
        raise MalformedAnswerError(f"statusCode is {given!r}") from error
    if not 200 <= status <= 599:
        raise MalformedAnswerError(f"statusCode is {given!r}")
    return status


def _answer_headers(payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`headers` and `multiValueHeaders` together; a name in both has the values of the latter."""
    single, multiple = payload.get("headers") or {}, payload.get("multiValueHeaders") or {}
    if not isinstance(single, dict) or not isinstance(multiple, dict):
        raise MalformedAnswerError("headers and multiValueHeaders are objects")
    values = {name: [value] for name, value in single.items()} | multiple
    pairs = []
    for name, entries in values.items():
        if not isinstance(entries, list) or not all(_is_header(entry) for entry in entries):
            raise MalformedAnswerError(f"header {name} is {entries!r}")
        if name.lower() not in _CONNECTION_HEADERS:
            pairs += [(name, str(entry).lower() if isinstance(entry, bool) else str(entry)) for entry in entries]
    return pairs


def _is_header(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and not {"\r", "\n"} & set(value))


def standard_headers(
    call: Call, pairs: Sequence[tuple[str, str]] = (("Content-Type", "application/json"),)
) -> list[tuple[str, str]]:
    """What every answer carries, after the headers it has of its own."""
    return [
        *pairs,
        ("x-amzn-RequestId", call.request_id),
        ("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())),
    ]


def _as_text(body: bytes) -> tuple[str | None, bool]:
    if not body:
        return None, False
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


def _grouped(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return groups
