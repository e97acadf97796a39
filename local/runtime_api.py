"""Lambda's Runtime API for one execution environment: hands out invocations, takes answers, over HTTP."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from http import HTTPStatus

from local.http import Request, Server

_ROOT = "/2018-06-01/runtime"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One event on its way into a function; `deadline_ms` is epoch milliseconds."""

    request_id: str
    event: bytes
    deadline_ms: int
    function_arn: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The process has initialised and asks for its next invocation."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The function returned `content` (JSON, unless the handler returned bytes)."""

    request_id: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The function raised; `content` is the error as JSON."""

    request_id: str
    content: bytes


@dataclass(frozen=True, slots=True)
class InitFailed:
    """The handler's module could not be loaded; the process ends after this."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Exited:
    """The process is gone: its exit status, negative for a signal."""

    status: int


Report = Ready | Answered | Failed | InitFailed | Exited


class RuntimeApi:
    """Serves one process. What it reports comes out of `reports`, in the order in which it happened."""

    def __init__(self) -> None:
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._next: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._current: str | None = None
        self._server = Server(type("RuntimeRequest", (_RuntimeRequest,), {"api": self}))

    @property
    def address(self) -> str:
        """host:port, the value of AWS_LAMBDA_RUNTIME_API."""
        return self._server.address

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._next.put(None)
        self._server.stop()

    def offer(self, invocation: Invocation) -> None:
        """Hand this to the process as soon as it asks."""
        self._next.put(invocation)

    def take(self) -> Invocation | None:
        """The next invocation, waited for; None once stopped."""
        self._current = None
        self.reports.put(Ready())
        invocation = self._next.get()
        self._current = invocation.request_id if invocation else None
        return invocation

    def accepts(self, request_id: str) -> bool:
        """Whether this is the invocation that is running (an answer to any other is refused)."""
        return request_id == self._current


class _RuntimeRequest(Request):
    api: RuntimeApi

    def respond(self) -> None:
        path = self.path.removeprefix(_ROOT)
        if self.command == "GET" and path == "/invocation/next":
            self._give_next()
        elif self.command == "POST" and path == "/init/error":
            self.api.reports.put(InitFailed(self.body()))
            self._accept()
        elif self.command == "POST" and path.startswith("/invocation/"):
            self._take_answer(*path.removeprefix("/invocation/").partition("/")[::2])
        else:
            self.body()
            self.answer(HTTPStatus.NOT_FOUND, {}, b"")

    def _give_next(self) -> None:
        invocation = self.api.take()
        if invocation is None:
            self.close_connection = True
            return
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        self.answer(HTTPStatus.OK, headers, invocation.event)

    def _take_answer(self, request_id: str, kind: str) -> None:
        content = self.body()
        if not self.api.accepts(request_id) or kind not in ("response", "error"):
            self.answer(HTTPStatus.BAD_REQUEST, {}, b'{"errorType":"InvalidRequestID"}')
            return
        self.api.reports.put(Answered(request_id, content) if kind == "response" else Failed(request_id, content))
        self._accept()

    def _accept(self) -> None:
        self.answer(HTTPStatus.ACCEPTED, {"Content-Type": "application/json"}, b'{"status":"OK"}')
