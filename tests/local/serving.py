"""A local gateway to be asked over HTTP, and functions that stand behind it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.gateway_responses import GatewayResponse
from local.lambdas import FunctionError, Result
from local.rest import Gateway, Route

KEY = "a-key-of-twenty-characters"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Reply]
Serve = Callable[..., Ask]


def answering(payload: Any = None, error: FunctionError | None = None, duration_ms: float = 1.0) -> Any:
    return lambda _: Result("1", payload, error, duration_ms, cold=False)


def echo(event: Mapping[str, Any]) -> Result:
    return Result("1", {"statusCode": 200, "body": json.dumps(event)}, None, 1.0, cold=False)


def named(name: str) -> Any:
    return answering({"statusCode": 200, "body": json.dumps(name)})


@pytest.fixture
def serve() -> Iterator[Serve]:
    gateways: list[Gateway] = []

    def start(*routes: Route, responses: tuple[GatewayResponse, ...] = (), compressed_bytes: int | None = None) -> Ask:
        gateways.append(Gateway(routes, [KEY], "prod", responses, compressed_bytes))
        url = urlsplit(gateways[-1].start())

        def ask(
            path: str,
            method: str = "GET",
            body: bytes | None = None,
            key: str | None = KEY,
            root: str = url.path,
            **more: str,
        ) -> Reply:
            connection = http.client.HTTPConnection(url.netloc, timeout=10)
            headers = {name.replace("_", "-"): value for name, value in more.items()} | (
                {"x-api-key": key} if key else {}
            )
            connection.request(method, root + path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)

        return ask

    yield start
    for gateway in gateways:
        gateway.stop()
