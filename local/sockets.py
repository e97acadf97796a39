"""A WebSocket API that answers as API Gateway's: who comes is authorised, functions are told who comes and goes, and
the management API at the same address posts to who is there.
"""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from websockets.server import ServerProtocol

from local.callers import Call, Note
from local.http import Request, Server
from local.lambdas import FunctionStoppedError, Invoke
from local.peers import FullError, GoneError, Peer

MESSAGE_BYTES: Final = 128 * 1024
ALLOWED: Final = "Allow"


@dataclass(frozen=True, slots=True)
class SocketApi:
    """What the template says of it: its id and stage, the functions behind it, and the parameters of the query
    without which nobody is asked to authorise."""

    identity: str
    stage: str
    asked: tuple[str, ...]
    authorizer: Invoke
    connect: Invoke
    disconnect: Invoke


class Sockets:
    """Has an address from the first, and answers there once it is started; `note` gets the calls to its management."""

    def __init__(self, note: Note) -> None:
        self._server = Server(type("SocketRequest", (_SocketRequest,), {"sockets": self}))
        self._note = note
        self._api: SocketApi | None = None
        self._peers: dict[str, Peer] = {}

    @property
    def endpoint(self) -> str:
        """As the template's `ApiEndpoint`: without the stage."""
        return f"ws://{self._server.address}"

    @property
    def api(self) -> SocketApi:
        assert self._api, "start comes first"
        return self._api

    def start(self, api: SocketApi) -> None:
        self._api = api
        self._server.start()

    def stop(self) -> None:
        """Everybody is cut off."""
        for peer in list(self._peers.values()):
            peer.cut()
        self._server.stop()

    def cut(self) -> int:
        """Ends all connections as a failing network does; how many there were."""
        peers = list(self._peers.values())
        for peer in peers:
            peer.cut()
        return len(peers)

    def respond(self, request: _SocketRequest) -> None:
        target = urlsplit(request.path)
        root = f"/{self.api.stage}"
        if target.path.startswith(f"{root}/@connections/"):
            self._manage(request, unquote(target.path.removeprefix(f"{root}/@connections/")))
        elif target.path == root and request.headers.get("Upgrade", "").lower() == "websocket":
            self._open(request)
        else:
            request.tell(403, "Forbidden")

    def _open(self, request: _SocketRequest) -> None:
        """One connection, from its handshake to its end, in the request's own thread."""
        request.close_connection = True
        protocol = ServerProtocol(max_size=MESSAGE_BYTES)
        protocol.receive_data(request.head())
        [asked] = protocol.events_received()
        accepted = protocol.accept(asked)  # type: ignore[arg-type] # the first event is the handshake's request
        visit = _Visit(self.api, request)
        if accepted.status_code != 101:
            return request.tell(accepted.status_code, "Bad Request")
        if refused := self._refusal(visit):
            return request.tell(*refused)
        protocol.send_response(accepted)
        peer = self._peers[visit.identity] = Peer(request.connection, protocol)
        try:
            peer.read(request.rfile.read1)
        finally:
            del self._peers[visit.identity]
            peer.close()
            _invoked(self.api.disconnect, visit.event("DISCONNECT"))
        return None

    def _refusal(self, visit: _Visit) -> tuple[int, str] | None:
        """Status and words of the answer to somebody who may not come in."""
        if not all(visit.query.get(name) for name in self.api.asked):
            return 401, "Unauthorized"
        policy = _invoked(self.api.authorizer, visit.authorizer_event())
        if policy is None:
            return 500, "Internal server error"
        [statement] = policy["policyDocument"]["Statement"]
        if statement["Effect"] != ALLOWED:
            return 403, "User is not authorized to access this resource with an explicit deny"
        visit.authorizer = {"principalId": policy["principalId"], **policy.get("context", {})}
        answer = _invoked(self.api.connect, visit.event("CONNECT"))
        if answer is None or not 200 <= int(answer["statusCode"]) < 300:
            return (500, "Internal server error") if answer is None else (int(answer["statusCode"]), "refused")
        return None

    def _manage(self, request: _SocketRequest, identity: str) -> None:
        """`PostToConnection`, `DeleteConnection` and `GetConnection`, which all take the one right."""
        content, peer = request.body(), self._peers.get(identity)
        place = f"{self.api.identity}/{self.api.stage}/{request.command}/@connections/{identity}"
        self._note(Call(request.signer(), "execute-api:ManageConnections", place))
        if peer is None:
            return request.tell(410, "Gone", "GoneException")
        if request.command == "GET":
            return request.answer(200, {"Content-Type": "application/json"}, b"{}")
        if request.command == "DELETE":
            peer.say_goodbye()
            return request.answer(204, {}, b"")
        return _post(request, peer, content)


class _SocketRequest(Request):
    sockets: Sockets

    def respond(self) -> None:
        self.sockets.respond(self)

    def tell(self, status: int, words: str, error: str = "") -> None:
        headers = {"Content-Type": "application/json", **({"x-amzn-ErrorType": error} if error else {})}
        self.answer(status, headers, json.dumps({"message": words}).encode())

    def head(self) -> bytes:
        """What was read of it, to be read again."""
        lines = [self.requestline, *(f"{name}: {value}" for name, value in self.headers.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def signer(self) -> str:
        """Whose access key signed the request."""
        return self.headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0]


def _post(request: _SocketRequest, peer: Peer, content: bytes) -> None:
    if len(content) > MESSAGE_BYTES:
        return request.tell(413, "Message too long", "PayloadTooLargeException")
    try:
        peer.send(content)
    except GoneError:
        return request.tell(410, "Gone", "GoneException")
    except FullError:
        return request.tell(429, "Too many messages wait for this client", "LimitExceededException")
    return request.answer(200, {}, b"")


class _Visit:
    """One connection as the functions are told of it."""

    def __init__(self, api: SocketApi, request: _SocketRequest) -> None:
        self.identity = secrets.token_urlsafe(12)
        self.query = dict(parse_qsl(urlsplit(request.path).query, keep_blank_values=True))
        self.authorizer: Mapping[str, Any] = {}
        self._api = api
        self._headers = list(request.headers.items())
        self._source_ip = str(request.client_address[0])
        self._host = request.headers.get("Host", "")
        self._connected = int(time.time() * 1000)

    def authorizer_event(self) -> dict[str, Any]:
        arn = f"arn:aws:execute-api:us-east-1:123456789012:{self._api.identity}/{self._api.stage}/$connect"
        return {"type": "REQUEST", "methodArn": arn, "stageVariables": {}, **self._asked(), **self._context("CONNECT")}

    def event(self, kind: str) -> dict[str, Any]:
        """Of `$connect` or `$disconnect`."""
        asked = self._asked() if kind == "CONNECT" else {}
        return {**asked, **self._context(kind), "isBase64Encoded": False}

    def _asked(self) -> dict[str, Any]:
        return {
            "headers": dict(self._headers),
            "multiValueHeaders": {name: [value] for name, value in self._headers},
            "queryStringParameters": self.query,
            "multiValueQueryStringParameters": {name: [value] for name, value in self.query.items()},
        }

    def _context(self, kind: str) -> dict[str, Any]:
        context = {
            "routeKey": f"${kind.lower()}",
            "eventType": kind,
            "messageDirection": "IN",
            "stage": self._api.stage,
            "connectedAt": self._connected,
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime()),
            "requestTimeEpoch": int(time.time() * 1000),
            "identity": {"sourceIp": self._source_ip},
            "requestId": str(uuid.uuid4()),
            "extendedRequestId": str(uuid.uuid4()),
            "domainName": self._host,
            "connectionId": self.identity,
            "apiId": self._api.identity,
        }
        return {"requestContext": {**context, **({"authorizer": dict(self.authorizer)} if self.authorizer else {})}}


def _invoked(function: Invoke, event: Mapping[str, Any]) -> Any:
    """What a function answered; None where it failed or does not run."""
    try:
        result = function(event)
    except FunctionStoppedError:
        return None
    return None if result.error else result.payload
