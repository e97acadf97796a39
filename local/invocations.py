"""Lambda's Invoke API over the functions that run here, for clients that invoke by name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from local.http import BodyTooLargeError, Request, Server
from local.lambdas import EVENT_BYTES, Invoke, PayloadTooLargeError

_PATH: Final = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")


class Invocations:
    """Synchronous invocations of functions known by their deployed names and ARNs."""

    def __init__(self, functions: Mapping[str, Invoke]) -> None:
        """`functions`: by ARN."""
        self._functions = {name: invoke for arn, invoke in functions.items() for name in (arn, arn.split(":")[6])}
        self._server = Server(type("_InvokeRequest", (_Request,), {"service": self}))

    def start(self) -> str:
        """Accept requests; returns the endpoint's URL."""
        self._server.start()
        return f"http://{self._server.address}"

    def stop(self) -> None:
        self._server.stop()

    def respond(self, request: Request) -> tuple[int, dict[str, str], Any]:
        """Status, headers and the JSON-able body."""
        try:
            body = request.body(EVENT_BYTES)
            function = self._asked_for(request)
            result = function(json.loads(body or b"{}"))
        except (BodyTooLargeError, PayloadTooLargeError):
            return _refused(413, "RequestTooLargeException", f"an event may hold {EVENT_BYTES} bytes at most")
        except LookupError as error:
            return _refused(404, "ResourceNotFoundException", str(error))
        except ValueError as error:
            return _refused(400, "InvalidRequestContentException", str(error))
        if result.error is None:
            return 200, {"X-Amz-Executed-Version": "$LATEST"}, result.payload
        told = {"errorType": result.error.error_type, "errorMessage": result.error.message}
        return 200, {"X-Amz-Executed-Version": "$LATEST", "X-Amz-Function-Error": "Unhandled"}, told

    def _asked_for(self, request: Request) -> Invoke:
        """Raises LookupError where there is no such function, ValueError where it is not to be waited for."""
        path = _PATH.fullmatch(urlsplit(request.path).path)
        if request.command != "POST" or path is None or unquote(path[1]) not in self._functions:
            raise LookupError(f"no function to invoke at {request.path}")
        if (kind := request.headers.get("X-Amz-Invocation-Type", "RequestResponse")) != "RequestResponse":
            raise ValueError(f"no invocation of type {kind} is done here")
        return self._functions[unquote(path[1])]


class _Request(Request):
    service: Invocations

    def respond(self) -> None:
        status, headers, body = self.service.respond(self)
        self.answer(status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode())


def _refused(status: int, kind: str, message: str) -> tuple[int, dict[str, str], dict[str, str]]:
    return status, {"X-Amzn-ErrorType": kind}, {"Type": "User", "Message": message}
