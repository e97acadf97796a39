"""Processes that take turns on one virtual clock: whoever is due next runs, alone, so that a seed tells everything."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from threading import Lock, Thread
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

FATAL: Final = (BotoCoreError, ClientError, AssertionError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What a process may die of, be it a fault's doing or a bug's: who waits for it asks, and the verdict tells."""


class Killed(BaseException):
    """Raised in a process that was ended from outside, at whatever it does next: nothing catches it, like SIGKILL."""


class Process:
    """One thread of the world; `error` is what it died of, unless it was killed; `halting` is its chance to halt."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.killed = False
        self.ended = False
        self.result: Any = None
        self.error: Exception | None = None
        self.halting = 0.0
        self._ticket = 0
        self._waiter: Process | None = None
        self._turn = Lock()
        self._turn.acquire()


class World:
    """The clock and those who live by it. The thread that makes it is one of its processes, the conductor."""

    def __init__(self) -> None:
        self.now = 0.0
        self._running = Process("conductor")
        self._due: list[tuple[float, int, Process]] = []
        self._tickets = count(1)
        self._processes: list[Process] = []

    def clock(self) -> float:
        return self.now

    @property
    def halting(self) -> float:
        """The chance that the process that runs halts at a write, for seconds."""
        return self._running.halting

    def spawn(self, name: str, body: Callable[[], Any], after: float = 0.0) -> Process:
        """A process that begins `after` seconds from now."""
        process = Process(name)
        self._processes.append(process)
        Thread(target=self._live, args=(process, body), name=name, daemon=True).start()
        self._schedule(process, self.now + after)
        return process

    def sleep(self, seconds: float) -> None:
        """Let the others go on for so long. Raises Killed."""
        me = self._running
        if not me.killed:
            self._schedule(me, self.now + max(seconds, 0.0))
            self._yield(me)
        if me.killed:
            raise Killed

    def wait(self, process: Process, seconds: float) -> bool:
        """Until the process has ended, for so long at most; whether it has. Raises Killed."""
        if not process.ended:
            process._waiter = self._running
            self.sleep(seconds)
            process._waiter = None
        return process.ended

    def kill(self, process: Process) -> None:
        """End the process: it does nothing more to the world."""
        process.killed = True
        if not process.ended and process is not self._running:
            self._schedule(process, self.now)

    def close(self) -> None:
        """Kill all that live, and return once they are gone."""
        for process in self._processes:
            self.kill(process)
            while not self.wait(process, 0.0):
                pass

    def _schedule(self, process: Process, moment: float) -> None:
        # A process is due once: an earlier ticket of its own no longer counts.
        process._ticket = next(self._tickets)
        heappush(self._due, (moment, process._ticket, process))

    def _yield(self, me: Process) -> None:
        following = self._following()
        if following is not me:
            following._turn.release()
            me._turn.acquire()

    def _following(self) -> Process:
        while True:
            moment, ticket, process = heappop(self._due)
            if ticket == process._ticket and not process.ended:
                self.now = max(self.now, moment)
                self._running = process
                return process

    def _live(self, process: Process, body: Callable[[], Any]) -> None:
        process._turn.acquire()
        try:
            if not process.killed:
                process.result = body()
        except Killed:
            pass
        except FATAL as error:
            process.error = error
        finally:  # whatever else it died of, its thread tells: the others go on
            process.ended = True
            if process._waiter:
                self._schedule(process._waiter, self.now)
            self._following()._turn.release()
