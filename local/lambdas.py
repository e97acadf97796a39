"""Lambda functions as processes: invoked, timed out, crashed and started cold as Lambda would."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from local.environments import Environment, FunctionError, FunctionSpec, Outcome

__all__ = [
    "Function",
    "FunctionError",
    "FunctionSpec",
    "FunctionStoppedError",
    "Invoke",
    "PayloadTooLargeError",
    "Result",
]

EVENT_BYTES = 6 * 1024 * 1024  # Lambda's limit on a synchronous event


class PayloadTooLargeError(Exception):
    """The event is larger than Lambda takes: send fewer records or a smaller body."""


class FunctionStoppedError(Exception):
    """The function was invoked before `start` or after `stop`."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one invocation: `payload` (parsed JSON) or `error`. `duration_ms` is the handler's, without the
    initialisation that a `cold` one waited for."""

    request_id: str
    payload: Any
    error: FunctionError | None
    duration_ms: float
    cold: bool


Invoke = Callable[[Mapping[str, Any]], Result]


class Function:
    """One function: up to `concurrency` processes, each serving one event at a time, started when they are needed.

    `log` is the file that receives every line the processes print and a REPORT line an invocation, or a callable
    that takes each line. A process that exits or exceeds its time is replaced by a cold one at the next invocation.
    The memory size is told to the function and not enforced.
    """

    def __init__(self, spec: FunctionSpec, log: Path | Callable[[str], None], concurrency: int = 2) -> None:
        self.spec = spec
        self._log = _LineFile(log) if isinstance(log, Path) else log
        self._slots = threading.BoundedSemaphore(concurrency)
        self._lock = threading.Lock()
        self._idle: list[Environment] = []
        self._live: set[Environment] = set()
        self._running = False

    def start(self) -> Self:
        """Accept invocations. Processes start with the first of them, as on Lambda. Raises FileNotFoundError."""
        spec = self.spec
        for folder in (spec.asset, spec.runtime / "awslambdaric", *(layer / "python" for layer in spec.layers)):
            if not folder.is_dir():
                raise FileNotFoundError(
                    f"{spec.name} needs the folder {folder}: build its asset, layers and runtime first"
                )
        self._running = True
        return self

    def stop(self) -> None:
        """End every process; what is being invoked ends with Runtime.ExitError. Returns when the log is complete."""
        with self._lock:
            self._running = False
            live = list(self._live)
            self._live.clear()
            self._idle.clear()
        for environment in live:
            environment.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def invoke(self, event: Mapping[str, Any]) -> Result:
        """Run the handler on `event` (JSON-serialisable) and wait for it, or for a free process before that.

        Errors of the function are in the result. Raises PayloadTooLargeError beyond 6 MB and FunctionStoppedError.
        """
        content = json.dumps(event, separators=(",", ":")).encode()
        if len(content) > EVENT_BYTES:
            raise PayloadTooLargeError(
                f"{self.spec.name}: an event of {len(content)} bytes; Lambda takes {EVENT_BYTES}"
            )
        with self._slots:
            return self._run(content, str(uuid.uuid4()))

    def _run(self, event: bytes, request_id: str) -> Result:
        asked = time.perf_counter()
        environment, cold, init_error = self._ready_environment()
        began = time.perf_counter()
        outcome = Outcome(error=init_error, ends=True) if init_error else environment.invoke(event, request_id)
        duration_ms = (time.perf_counter() - began) * 1000
        self._release(environment, reusable=not outcome.ends)
        report = f"REPORT RequestId: {request_id}\tDuration: {duration_ms:.2f} ms"
        if cold:
            report += f"\tInit Duration: {(began - asked) * 1000:.2f} ms"
        if outcome.error:
            report += f"\tStatus: error\tError Type: {outcome.error.error_type}\t{outcome.error.message}"
        self._log(report)
        return Result(request_id, _payload(outcome), outcome.error, duration_ms, cold)

    def _ready_environment(self) -> tuple[Environment, bool, FunctionError | None]:
        """A warm process, or a cold one where there is none (or where it ended while it was idle)."""
        while environment := self._take_idle():
            if environment.wait_ready() is None and environment.alive:
                return environment, False, None
            self._release(environment, reusable=False)
        environment = self._create()
        return environment, True, environment.wait_ready()

    def _take_idle(self) -> Environment | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _create(self) -> Environment:
        if not self._running:
            raise FunctionStoppedError(f"{self.spec.name} is not running: call start() first")
        environment = Environment(self.spec, self._log)
        with self._lock:
            if self._running:
                self._live.add(environment)
                return environment
        environment.close()
        raise FunctionStoppedError(f"{self.spec.name} was stopped")

    def _release(self, environment: Environment, *, reusable: bool) -> None:
        with self._lock:
            owned = environment in self._live
            if owned and reusable:
                self._idle.append(environment)
                return
            self._live.discard(environment)
        if owned:  # else `stop` closes it
            environment.close()


class _LineFile:
    """Appends lines to a file, whole, from any thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()

    def __call__(self, line: str) -> None:
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _payload(outcome: Outcome) -> Any:
    """The handler's return value; text where a handler returned bytes that are not JSON."""
    if outcome.error:
        return None
    try:
        return json.loads(outcome.content)
    except ValueError:
        return outcome.content.decode("utf-8", "replace")
