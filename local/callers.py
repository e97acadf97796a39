"""Who asked the emulator for what: one line a request, so that roles can be held to the calls that are made.

Whoever signs a request is known by its access key; a function's process has its own name for one.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TextIO
from urllib.parse import parse_qs, unquote

_CREDENTIAL: Final = re.compile(r"Credential=([^/]+)/\d{8}/[^/]+/([^/]+)/")
_NAMED_BY: Final = ("TableName", "StreamName", "ModelPackageName")
_BODY_BYTES: Final = 6 * 1024 * 1024

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """`caller` did `action` (as IAM names it) on `resource`: the name of a table or stream, bucket or
    bucket/key, pipeline/name, or an ARN."""

    caller: str
    action: str
    resource: str


class Note(Protocol):
    """Takes calls as they are made."""

    def __call__(self, *calls: Call) -> None: ...


def opened(log: Path) -> TextIO:
    """A log that several may write to, line by line."""
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("a", encoding="utf-8", buffering=1)


def noting(lines: TextIO) -> Note:
    """Writes calls down."""
    lock = threading.Lock()

    def note(*calls: Call) -> None:
        with lock:
            lines.writelines(json.dumps(asdict(call)) + "\n" for call in calls)

    return note


def recording(application: Application, lines: TextIO) -> Application:
    """The same application, which first writes down what it is asked."""
    note = noting(lines)

    def recorded(environ: Environ, start_response: Any) -> Iterable[bytes]:
        if calls := _calls(environ):
            note(*calls)
        return application(environ, start_response)

    return recorded


def read_calls(log: Path) -> set[Call]:
    """What has been written down; nothing where nobody has asked yet."""
    if not log.exists():
        return set()
    return {Call(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()}


def _calls(environ: Environ) -> list[Call]:
    """A batch is a call on each of its tables."""
    signed = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if signed is None:
        return []
    caller, service = signed.groups()
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        action = f"{service}:{target.rpartition('.')[2]}"
        return [Call(caller, action, name) for name in _named(_body(environ))]
    if service == "s3":
        return [_object_call(caller, environ)]
    return [Call(caller, f"{service}:{environ['REQUEST_METHOD']}", environ.get("PATH_INFO", ""))]


def _body(environ: Environ) -> Mapping[str, Any]:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not 0 < length <= _BODY_BYTES:
        return {}
    content = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(content)
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _named(body: Mapping[str, Any]) -> list[str]:
    if "PipelineName" in body:
        return [f"pipeline/{body['PipelineName']}"]
    if "RequestItems" in body:
        return sorted(body["RequestItems"])
    return [next((str(body[key]) for key in _NAMED_BY if key in body), "")]


def _object_call(caller: str, environ: Environ) -> Call:
    """S3 tells by method and path; a part of an upload takes the right to put the whole."""
    bucket, _, key = unquote(environ.get("PATH_INFO", "")).lstrip("/").partition("/")
    method = environ["REQUEST_METHOD"]
    listed = "list-type" in parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    if not key:
        return Call(caller, "s3:ListBucket" if listed or method in ("GET", "HEAD") else f"s3:{method}Bucket", bucket)
    verb = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "POST": "PutObject", "DELETE": "DeleteObject"}
    return Call(caller, f"s3:{verb[method]}", f"{bucket}/{key}")
