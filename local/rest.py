"""A REST API over HTTP that answers as API Gateway with Lambda proxy integration, usage-plan keys included."""

from __future__ import annotations

import gzip
import hmac
import logging
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from local.gateway_responses import Failure, GatewayResponse, Responses
from local.http import BodyTooLargeError, Request, Server
from local.lambdas import Invoke, PayloadTooLargeError
from local.proxy import Answer, Call, MalformedAnswerError, proxy_answer, proxy_event, standard_headers

logger = logging.getLogger(__name__)

BODY_BYTES = 10 * 1024 * 1024
INTEGRATION_MS = 29_000


@dataclass(frozen=True, slots=True)
class Route:
    """A method on a resource: `path` as in the template (`/v1/forecasts/{symbol}`, `/{proxy+}`), `method` in capitals
    or ANY, `function` what runs it."""

    path: str
    method: str
    function: Invoke
    api_key_required: bool = False
    required: tuple[str, ...] = ()
    """Parameters of the query that must be given and not be empty."""


class Gateway:
    """Serves `routes` under /`stage`, as the deployed API does. `keys` are the values of the API keys in its usage
    plans, looked at with each request. `gateway_responses` are the template's own words for errors; see
    GatewayResponse.from_properties. Answers of `compressed_bytes` and more are compressed for those who accept it;
    None: none are."""

    def __init__(
        self,
        routes: Sequence[Route],
        keys: Collection[str],
        stage: str,
        gateway_responses: Sequence[GatewayResponse] = (),
        compressed_bytes: int | None = None,
    ) -> None:
        self._resources = _resources(routes)
        self._keys = keys
        self._stage = stage
        self._compressed_bytes = compressed_bytes
        self._responses = Responses(gateway_responses)
        self._server = Server(type("GatewayRequest", (_GatewayRequest,), {"gateway": self}))

    def start(self) -> str:
        """Begin to serve; returns the URL, with its stage and without a slash at its end."""
        self._server.start()
        return f"http://{self._server.address}/{self._stage}"

    def stop(self) -> None:
        self._server.stop()

    def respond(self, request: _GatewayRequest) -> Answer:
        """The whole answer to a request, whose body is read here."""
        answer = self._answer(request)
        accepted = request.headers.get("Accept-Encoding", "")
        if self._compressed_bytes is None or len(answer.body) < self._compressed_bytes or not _takes_gzip(accepted):
            return answer
        return Answer(
            answer.status, [*answer.headers, ("Content-Encoding", "gzip")], gzip.compress(answer.body, 6, mtime=0)
        )

    def _answer(self, request: _GatewayRequest) -> Answer:
        target = urlsplit(request.path)
        query = parse_qsl(target.query, keep_blank_values=True)
        began = time.time()
        call = Call(
            request_id=str(uuid.uuid4()),
            method=request.command,
            path=target.path,
            query=query,
            headers=request.headers,
            source_ip=str(request.client_address[0]),
            stage=self._stage,
            began=began,
        )
        try:
            body = request.body(BODY_BYTES)
        except BodyTooLargeError:
            return self._refuse(call, Failure.REQUEST_TOO_LARGE)
        root = f"/{self._stage}"
        if target.path != root and not target.path.startswith(f"{root}/"):
            return Answer(403, standard_headers(call), b'{"message":"Forbidden"}')  # no such stage: nothing of ours
        return self._route(replace(call, path=target.path.removeprefix(root) or "/"), body)

    def _route(self, call: Call, body: bytes) -> Answer:
        matched = _match(self._resources, call.path)
        if matched is None:
            return self._refuse(call, Failure.MISSING_AUTHENTICATION_TOKEN)
        resource, methods, parameters = matched
        call = replace(call, resource=resource, parameters=parameters)
        route = methods.get(call.method) or methods.get("ANY")
        if route is None:
            return self._refuse(call, Failure.MISSING_AUTHENTICATION_TOKEN)
        key = call.headers.get("x-api-key")
        if route.api_key_required and not self._is_known(key):
            return self._refuse(call, Failure.INVALID_API_KEY)
        given = {name for name, value in call.query if value}
        if missing := [name for name in route.required if name not in given]:
            return self._refuse(call, Failure.BAD_REQUEST_PARAMETERS, ", ".join(missing))
        return self._integrate(call, route, proxy_event(call, body, key if route.api_key_required else None))

    def _integrate(self, call: Call, route: Route, event: dict[str, Any]) -> Answer:
        try:
            result = route.function(event)
        except PayloadTooLargeError:
            return self._refuse(call, Failure.REQUEST_TOO_LARGE)
        if result.duration_ms > INTEGRATION_MS:
            return self._refuse(call, Failure.INTEGRATION_TIMEOUT)
        if result.error is not None:
            logger.warning("%s %s: %s: %s", call.method, call.path, result.error.error_type, result.error.message)
            return self._refuse(call, Failure.INTEGRATION_FAILED)
        try:
            return proxy_answer(call, result.payload)
        except MalformedAnswerError as error:
            logger.warning("%s %s: malformed Lambda proxy response: %s", call.method, call.path, error)
            return self._refuse(call, Failure.INTEGRATION_FAILED)

    def _is_known(self, key: str | None) -> bool:
        given = (key or "").encode()
        return any(hmac.compare_digest(given, known.encode()) for known in self._keys)

    def _refuse(self, call: Call, failure: Failure, told: str = "") -> Answer:
        context = {
            "requestId": call.request_id,
            "extendedRequestId": call.request_id,
            "stage": call.stage,
            "path": f"/{call.stage}{call.path}",
            "resourcePath": call.resource,
            "httpMethod": call.method,
            "protocol": "HTTP/1.1",
            "requestTimeEpoch": str(int(call.began * 1000)),
            "identity.sourceIp": call.source_ip,
            "identity.userAgent": call.headers.get("User-Agent", ""),
        }
        status, headers, body = self._responses.render(failure, context, told)
        return Answer(status, [*standard_headers(call, headers), ("x-amzn-ErrorType", failure.error_type)], body)


class _GatewayRequest(Request):
    gateway: Gateway

    def respond(self) -> None:
        answer = self.gateway.respond(self)
        self.answer(answer.status, answer.headers, answer.body)


def _takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding names gzip, and not to refuse it."""
    codings = (part.partition(";") for part in accepted.split(","))
    return any(name.strip().lower() in ("gzip", "*") and quality.strip() != "q=0" for name, _, quality in codings)


def _resources(routes: Sequence[Route]) -> list[tuple[str, dict[str, Route]]]:
    """Each path with its methods, the more specific first: a fixed segment before {one} before {rest+}."""
    resources: dict[str, dict[str, Route]] = {}
    for route in routes:
        resources.setdefault(route.path, {})[route.method] = route
    return sorted(resources.items(), key=lambda item: [_generality(part) for part in _segments(item[0])])


def _generality(segment: str) -> int:
    return 2 if segment.endswith("+}") else 1 if segment.startswith("{") else 0


def _segments(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _match(
    resources: Sequence[tuple[str, dict[str, Route]]], path: str
) -> tuple[str, dict[str, Route], dict[str, str]] | None:
    """The most specific resource for a path. It alone decides: a method it lacks is not looked for elsewhere."""
    for template, methods in resources:
        parameters = _parameters(_segments(template), _segments(path))
        if parameters is not None:
            return template, methods, parameters
    return None


def _parameters(template: list[str], segments: list[str]) -> dict[str, str] | None:
    """The path parameters, decoded, if the template matches."""
    parameters: dict[str, str] = {}
    for place, part in enumerate(template):
        if place >= len(segments):
            return None
        if part.endswith("+}"):
            return parameters | {part[1:-2]: unquote("/".join(segments[place:]))}
        if part.startswith("{"):
            parameters[part[1:-1]] = unquote(segments[place])
        elif part != unquote(segments[place]):
            return None
    return parameters if len(template) == len(segments) else None
