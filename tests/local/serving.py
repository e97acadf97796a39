"""A local gateway to be asked over HTTP, and functions that stand behind it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from local.gateway_responses import GatewayResponse
from local.lambdas import FunctionError, Result
from local.rest import Gateway, Route
from local.sockets import Sockets

KEY = "a-key-of-twenty-characters"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


LARGE = b"x" * 128 * 1024
"""The longest message that a WebSocket API posts."""


def management(sockets: Sockets, attempts: int = 1) -> Any:
    """A client of the WebSocket API's connections."""
    return boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=sockets.endpoint.replace("ws", "http", 1) + "/live",
        region_name="us-east-1",
        aws_access_key_id="push_forecasts",
        aws_secret_access_key="local",
        config=Config(retries={"mode": "standard", "total_max_attempts": attempts}),
    )


def fill(client: Any, connection: str, message: bytes = LARGE) -> int:
    """Post until neither the buffers of a client that does not read nor the gateway's take more; how many then wait."""
    posted = refused = 0
    while refused < 3:
        try:
            client.post_to_connection(ConnectionId=connection, Data=message)
            posted, refused = posted + 1, 0
        except client.exceptions.LimitExceededException:
            refused += 1
            time.sleep(0.1)  # the gateway may be passing on what it has taken
    return posted


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
