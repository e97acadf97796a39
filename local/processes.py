"""Child processes that end with this one, whatever ends it, and take with them what they started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 16_384


class ProcessError(RuntimeError):
    """A process ended that should not have, or ended badly; the message holds the last it said."""


class Process:
    """A running program in a session of its own; what it prints goes to `log`, and its first line may be waited for."""

    def __init__(self, name: str, popen: subprocess.Popen[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._popen = popen

    @classmethod
    def start(  # noqa: PLR0913 - what a process is started with
        cls,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        folder: Path,
        announces: bool = False,
    ) -> Self:
        """Run `command` in `folder` with nothing but `environment`. With `announces` its standard output is kept back
        for `announcement`, and only its standard error goes to the log."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as lines:
            popen = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if announces else lines,
                stderr=lines,
                text=True,
                start_new_session=True,  # Ctrl-C reaches this process alone, which ends the others in order
                preexec_fn=_dies_with_parent(),  # noqa: PLW1509 - prctl alone runs there
            )
        return cls(name, popen, log)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    def announcement(self) -> str:
        """The one line that it prints once it is ready. Raises ProcessError when it ends without."""
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            self._popen.wait()
            raise self.failure("ended before it was ready")
        return line

    def check(self) -> None:
        """Raises ProcessError when it has ended: what is meant to serve on must not."""
        if not self.running:
            raise self.failure("ended while it should serve")

    def wait(self, timeout_s: float) -> int:
        """The exit status; raises subprocess.TimeoutExpired when it runs on."""
        return self._popen.wait(timeout_s)

    def failure(self, what: str) -> ProcessError:
        return ProcessError(f"{self.name} {what} (exit status {self.status})\n{tail(self.log)}")

    def stop(self, grace_s: float = 10.0) -> None:
        """SIGTERM, and SIGKILL to all that is left of its session after `grace_s`; returns once it is gone."""
        if self.running:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        if self._popen.stdout:
            self._popen.stdout.close()


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented, for a message; empty where nothing was said."""
    if not log.exists():
        return ""
    content = log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace")
    return "\n".join(f"    {line}" for line in content.splitlines()[-lines:])


def interpreter() -> list[str]:
    """This Python, without the caller's folder on its path."""
    return [sys.executable, "-P"]


def _dies_with_parent() -> partial[int] | None:
    """Linux alone can promise it; elsewhere an orphan ends when it misses its parent's sockets."""
    if not sys.platform.startswith("linux"):
        return None
    return partial(ctypes.CDLL(None, use_errno=True).prctl, _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
