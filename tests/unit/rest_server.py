"""A venue's REST API over real HTTP: answers by its script before it answers well."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Well = Callable[[str, dict[str, str]], Any]


class Server(ThreadingHTTPServer):
    """`well` gives the document for a path and its query; `script` holds (status, headers, document) to give first."""

    daemon_threads = True

    def __init__(self, well: Well) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.well = well
        self.script: list[tuple[int, Mapping[str, str], Any]] = []
        self.asked: list[str] = []
        self.headers: Mapping[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        parts = urlsplit(self.path)
        query = {name: value for name, [value] in parse_qs(parts.query).items()}
        well = (200, self.server.headers, self.server.well(parts.path, query))
        status, headers, document = self.server.script.pop(0) if self.server.script else well
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(well: Well) -> Iterator[Server]:
    server = Server(well)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
