"""Questions to a venue's REST API, one at a time, at the pace the venue grants, patient with its refusals."""

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec
import urllib3

from btc.feeds.feed import HistoryError

_BUSY: Final = {408, 418, 425, 429, *range(500, 600)}

_JSON: Final = msgspec.json.Decoder(msgspec.Raw)

Answer = TypeVar("Answer")
Attend = Callable[[Callable[[], urllib3.BaseHTTPResponse]], urllib3.BaseHTTPResponse]


class NotTradesError(ValueError):
    """A document that is not what was asked for: no page of trades, or no time."""


class BusyError(Exception):
    """The venue could not answer now; it may after so many seconds."""

    def __init__(self, cause: str, pause: float = 0.0) -> None:
        super().__init__(cause)
        self.cause = cause
        self.pause = pause


@dataclass(slots=True)
class Rest(ABC):
    """One rate limit for all questions; `interval` seconds lie between them.

    Refusals for a while (HTTP 408, 418, 425, 429 and 5xx, what `judge` calls busy, broken connections) are asked again
    with growing, jittered pauses, or the longer one that the venue wants, for `patience` seconds in all. What is
    refused for good, or too long, raises HistoryError.
    """

    url: str
    interval: float
    patience: float = 300.0
    longest_pause: float = 30.0
    http: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=3, read=4), retries=False, headers={"User-Agent": "predict-bitcoin-price"}
        )
    )
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    attend: Attend = lambda ask: ask()
    """Waits for an answer, for whoever may be called away meanwhile."""
    retries: int = 0
    """How often an answer had to be asked for again, in all."""
    _ready_at: float = 0.0
    _failures: int = 0
    _failing_since: float = 0.0
    _retry_due: float = 0.0

    def wait(self) -> float:
        """Seconds until the venue may be asked again."""
        return max(self._ready_at - self.clock(), 0.0)

    def ask(self, path: str, read: Callable[[bytes], Answer]) -> Answer | None:
        """What `read` finds in the answer, or None where the venue may give one later.

        Waits for the rate limit first. Raises HistoryError.
        """
        if pause := self.wait():
            self.sleep(pause)
        self._ready_at = self.clock() + self.interval
        try:
            answer = read(self._get(path))
        except BusyError as error:
            self._postpone(error)
            return None
        except ValueError as error:
            raise HistoryError(f"{self.url} refuses its history: {error}") from error
        self._failures = 0
        return answer

    def insist(self, path: str, read: Callable[[bytes], Answer]) -> Answer:
        """The answer, however often it must be asked for. Raises HistoryError."""
        while (answer := self.ask(path, read)) is None:
            pass
        return answer

    @abstractmethod
    def judge(self, status: int, document: bytes) -> None:
        """Whether an answer is one: raises BusyError or, where the venue refuses for good, NotTradesError."""

    def pause_after(self, headers: Mapping[str, str]) -> float:  # noqa: ARG002 - not every venue counts aloud
        """Seconds to leave the venue in peace, by what an answer's headers say of the limit used."""
        return 0.0

    def headers(self) -> Mapping[str, str]:
        """What every question says beside itself."""
        return {}

    def _get(self, path: str) -> bytes:
        try:
            headers = {**self.http.headers, **self.headers()}
            answer = self.attend(lambda: self.http.request("GET", self.url + path, headers=headers))
        except urllib3.exceptions.HTTPError as error:
            raise BusyError(f"{type(error).__name__}: {error}") from error
        self._ready_at = max(self._ready_at, self.clock() + self.pause_after(answer.headers))
        if answer.status in _BUSY:
            raise BusyError(f"HTTP {answer.status}", _seconds(answer.headers.get("Retry-After")))
        self.judge(answer.status, answer.data)
        return answer.data

    def _postpone(self, error: BusyError) -> None:
        now = self.clock()
        # Only a venue that goes on refusing tries patience: not one that refused once, and hours later once more.
        if not self._failures or now - self._retry_due > self.longest_pause:
            self._failures = 0
            self._failing_since = now
        self._failures += 1
        self.retries += 1
        if now - self._failing_since > self.patience:
            raise HistoryError(
                f"no history from {self.url} for {now - self._failing_since:.0f} s "
                f"and {self._failures} tries, last: {error.cause}"
            ) from error
        pause = min(max(self.interval, 0.1) * 2**self._failures, self.longest_pause)
        self._ready_at = self._retry_due = now + max(error.pause, pause * (0.5 + self.jitter() / 2))
        # Nor does the time that the venue itself asked to be left in peace.
        self._failing_since += error.pause


def require_json(document: bytes) -> None:
    """Raises BusyError on what was cut short, or says in HTML that the venue is out."""
    try:
        _JSON.decode(document)
    except msgspec.DecodeError as error:
        raise BusyError(f"an answer that does not read: {error}") from error


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
