"""One execution environment: a function's process under awslambdaric, seeing only what Lambda would show it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local.runtime_api import Answered, Exited, Failed, InitFailed, Invocation, Ready, RuntimeApi

EXECUTION_ENVIRONMENT = "AWS_Lambda_python3.13"  # the runtime that is deployed: awslambdaric behaves by its name
INIT_SECONDS = 60.0  # Lambda gives 10 s, but not to a dozen functions that start at once on two cores
RESPONSE_BYTES = 6 * 1024 * 1024 + 100  # Lambda's limit on a synchronous answer
_DRAIN_SECONDS = 5.0
_PYTHON = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """What a template says about a function, with its code unpacked: `asset` holds `handler`'s module, each layer a
    `python/` folder, `runtime` the managed runtime (see local.runtime). `environment` is what the template declares."""

    name: str
    arn: str
    asset: Path
    handler: str
    runtime: Path
    layers: tuple[Path, ...] = ()
    environment: Mapping[str, str]
    timeout_s: float = 3.0
    memory_mb: int = 128
    endpoint_url: str | None = None

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]


@dataclass(frozen=True, slots=True)
class FunctionError:
    """Why an invocation failed, as Lambda reports it to the invoker."""

    error_type: str
    message: str
    trace: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The content a function returned, or the error; `ends` when the process cannot be used again."""

    content: bytes = b""
    error: FunctionError | None = None
    ends: bool = False


class Environment:
    """A process that serves one invocation after another; `log` gets every line it prints. Not for two threads."""

    def __init__(self, spec: FunctionSpec, log: Callable[[str], None]) -> None:
        self._spec = spec
        self._log = log
        self._api = RuntimeApi()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{spec.name}-"))
        self._api.start()
        self._process = subprocess.Popen(
            # No site-packages (-S), no user's packages (-s), not the caller's folder (-P): PYTHONPATH says it all.
            [str(_PYTHON), "-s", "-S", "-P", "-m", "awslambdaric", spec.handler],
            cwd=spec.asset,
            env=process_environment(spec, self._api.address, self._folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C is ours to handle; and what it starts can be ended with it
        )
        self._reader = threading.Thread(target=self._read, name=f"{spec.name} log", daemon=True)
        self._reader.start()
        threading.Thread(target=self._wait, name=f"{spec.name} exit", daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait_ready(self) -> FunctionError | None:
        """Wait until the process asks for an event; the error if it cannot load its handler, ends or takes too long."""
        try:
            report = self._api.reports.get(timeout=INIT_SECONDS)
        except queue.Empty:
            return FunctionError("Sandbox.Timedout", f"Error: Init timed out after {INIT_SECONDS:.2f} seconds")
        match report:
            case Ready():
                return None
            case InitFailed(content):
                return _reported(content)
            case Exited(status):
                return _exited(status)
        raise RuntimeError(f"{self._spec.name} answered {report} before it was given an event")

    def invoke(self, event: bytes, request_id: str) -> Outcome:
        """Give a ready process one event (JSON) and wait for its answer, its death or its time limit."""
        limit = self._spec.timeout_s
        deadline_ms = int((time.time() + limit) * 1000)
        self._api.offer(Invocation(request_id, event, deadline_ms, self._spec.arn, _trace_id()))
        try:
            report = self._api.reports.get(timeout=limit)
        except queue.Empty:
            message = f"RequestId: {request_id} Error: Task timed out after {limit:.2f} seconds"
            return Outcome(error=FunctionError("Sandbox.Timedout", message), ends=True)
        match report:
            case Answered(content=content) if len(content) > RESPONSE_BYTES:
                message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES} bytes)."
                return Outcome(error=FunctionError("Function.ResponseSizeTooLarge", message))
            case Answered(content=content):
                return Outcome(content)
            case Failed(content=content):
                return Outcome(error=_reported(content))
            case Exited(status):
                return Outcome(error=_exited(status, f"RequestId: {request_id} "), ends=True)
        raise RuntimeError(f"{self._spec.name} reported {report} while it worked on {request_id}")

    def close(self) -> None:
        """End the process and what it started; return when the last line it printed is in the log."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):  # it may end between the two lines
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(_DRAIN_SECONDS)
        self._api.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._log(line.rstrip("\n"))

    def _wait(self) -> None:
        self._api.reports.put(Exited(self._process.wait()))


def process_environment(spec: FunctionSpec, runtime_api: str, folder: Path) -> dict[str, str]:
    """The variables a function sees: those its template declares and those Lambda sets, which win."""
    layers = [layer / "python" for layer in spec.layers]
    reserved = {
        "_HANDLER": spec.handler,
        "AWS_ACCESS_KEY_ID": spec.name,  # the emulator takes any, and can tell who asks
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_DEFAULT_REGION": spec.region,
        "AWS_REGION": spec.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_EXECUTION_ENV": EXECUTION_ENVIRONMENT,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d', time.gmtime())}/[$LATEST]{uuid.uuid4().hex}",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "HOME": str(folder),  # no configuration or credentials of the person who runs this
        "LAMBDA_RUNTIME_DIR": str(spec.runtime),
        "LAMBDA_TASK_ROOT": str(spec.asset),
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(str(path.resolve()) for path in (spec.asset, *layers, spec.runtime)),
        "PYTHONUTF8": "1",
        "TMPDIR": str(folder),
        "TZ": ":UTC",
    }
    if spec.endpoint_url is not None:
        reserved["AWS_ENDPOINT_URL"] = spec.endpoint_url
    return {**spec.environment, **reserved}


def _reported(content: bytes) -> FunctionError:
    error = json.loads(content)
    return FunctionError(
        error.get("errorType", ""), error.get("errorMessage", ""), tuple(error.get("stackTrace") or ())
    )


def _exited(status: int, prefix: str = "") -> FunctionError:
    if status == 0:
        return FunctionError("Runtime.ExitError", f"{prefix}Error: Runtime exited without providing a reason")
    reason = f"signal: {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    return FunctionError("Runtime.ExitError", f"{prefix}Error: Runtime exited with error: {reason}")


def _trace_id() -> str:
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Parent={uuid.uuid4().hex[:16]};Sampled=0"
