"""A small threaded HTTP/1.1 server on a port of the system's choosing, for the services that AWS would run."""

from __future__ import annotations

import json
import socket
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_DRAIN_BYTES = 64 * 1024


class BodyTooLargeError(Exception):
    """The request's body is larger than the service accepts; it was read to its end and dropped."""


class Request(BaseHTTPRequestHandler, ABC):
    """One connection: subclasses override `respond`, which is called for every method."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # answers are written whole; waiting for an ACK would add 40 ms to each

    @abstractmethod
    def respond(self) -> None:
        """Answer the request."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):  # the base class looks for do_GET, do_POST, …: here one method takes them all
            return self.respond
        raise AttributeError(name)

    def body(self, limit: int | None = None) -> bytes:
        """The request's body; raises BodyTooLargeError beyond `limit` bytes, after reading (and dropping) the rest."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
            content = b"".join(parts)
            if limit is not None and len(content) > limit:
                raise BodyTooLargeError
            return content
        length = int(self.headers.get("Content-Length") or 0)
        if limit is not None and length > limit:
            # A peer that is still sending would see a reset instead of the answer.
            while length > 0 and (dropped := len(self.rfile.read(min(length, _DRAIN_BYTES)))):
                length -= dropped
            raise BodyTooLargeError
        return self.rfile.read(length)

    def answer(self, status: int, headers: Mapping[str, str] | list[tuple[str, str]], content: bytes) -> None:
        """Write the whole answer in one piece; a HEAD request gets the headers alone."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
        lines = [f"HTTP/1.1 {int(status)} {responses.get(status, '')}", *(f"{name}: {value}" for name, value in pairs)]
        head = "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode("latin-1", "replace")
        self.wfile.write(head if self.command == "HEAD" else head + content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no HTTP, or too long a line of it, is answered as AWS answers: JSON, no page of HTML."""
        self.close_connection = True
        self.command = getattr(self, "command", None) or ""
        words = json.dumps({"message": message or responses.get(code, explain or "")}).encode()
        self.answer(code, {"Content-Type": "application/json", "Connection": "close"}, words)

    def log_message(self, *_: object) -> None:
        """Silent: the services log what they do themselves."""


class Server:
    """Serves `request` (a subclass of Request, bound to its service) from a thread of its own until `stop`."""

    def __init__(self, request: type[Request]) -> None:
        self._listener = _Listener(("127.0.0.1", 0), request)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        """host:port"""
        return f"127.0.0.1:{self._listener.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            socket.create_connection(("127.0.0.1", self._listener.server_port)).close()  # wakes the accept it waits in
            self._thread.join()
        self._listener.server_close()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._listener.handle_request()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that hangs up is its own affair: a killed process does so every time. Anything else is told."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
