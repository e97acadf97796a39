"""HTTPS to the API: kept open, and patient where patience helps: when it is told to wait, and when a server fails."""

import gzip
import random
import time
import zlib
from collections.abc import Callable, Mapping
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Final
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec

from btc.client.credentials import UnusableError, printable
from btc.client.signing import Signer
from btc.problems import ProblemDetails

AGAIN: Final = frozenset({429, 500, 502, 503, 504})
LONGEST_S: Final = 60.0
"""A server that asks for more patience is not waited for."""
FIRST_S: Final = 0.5
LONGEST_ANSWER_S: Final = 3600.0
"""The gateway gives up long before that."""


class ApiError(Exception):
    """The API refused: `status`, and the problem's words with its request id."""

    def __init__(self, status: int, problem: ProblemDetails) -> None:
        super().__init__(f"{status} {problem.title}: {problem.detail} (request {problem.request_id})")
        self.status = status
        self.problem = problem


class UnreachableError(Exception):
    """Nothing at that address answered as the API does."""


class Connection:
    """One connection, for one thread. Asked to wait (429) or failing (5xx), the API is asked again `attempts` times."""

    def __init__(  # noqa: PLR0913 - what a connection is told
        self,
        url: str,
        key: str,
        *,
        timeout_s: float,
        attempts: int,
        signer: Signer | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < timeout_s <= LONGEST_ANSWER_S:
            raise UnusableError(
                f"a timeout of {timeout_s} s is none: give more than 0, and {LONGEST_ANSWER_S:.0f} at most"
            )
        place = _place(url)
        self._connect = HTTPSConnection if place.scheme == "https" else HTTPConnection
        self._place, self._root = place.netloc, place.path.rstrip("/")
        self._headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "btc-client/1"}
        if key := printable(key, "the API key"):
            self._headers["x-api-key"] = key
        self._timeout_s, self._attempts, self._clock = timeout_s, attempts, clock
        self._signer = signer
        self._open: HTTPConnection | None = None

    def get(self, path: str, query: Mapping[str, str]) -> bytes:
        """The body of a 200; `path` is encoded already. Raises ApiError and UnreachableError."""
        target = self._root + path + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                status, headers, content = self._ask(target)
            except (OSError, HTTPException, EOFError, zlib.error) as error:  # the last two: a body that was cut
                self.close()
                if last:
                    raise UnreachableError(f"{self._place}: {error or type(error).__name__}") from error
                time.sleep(pause(attempt, None, self._clock()))
                continue
            if status == 200:
                return content
            wait_s = pause(attempt, headers.get("Retry-After"), self._clock())
            if status not in AGAIN or last or wait_s > LONGEST_S:
                raise ApiError(status, _problem(status, content))
            time.sleep(wait_s)
        raise UnreachableError(f"{self._place} was not asked: attempts is {self._attempts}")

    def close(self) -> None:
        if self._open:
            self._open.close()
        self._open = None

    def _ask(self, target: str) -> tuple[int, Message, bytes]:
        fresh = self._open is None
        connection = self._open = self._open or self._connect(self._place, timeout=self._timeout_s)
        try:
            return _read(_answer(connection, target, {**self._headers, **self._signature(target)}))
        except (ConnectionError, HTTPException):
            # A connection that was kept may have been closed meanwhile: that is no failure of the API.
            self.close()
            if fresh:
                raise
            return self._ask(target)

    def _signature(self, target: str) -> dict[str, str]:
        """Of this moment: an old one is refused."""
        return self._signer.headers(self._place, target, self._clock()) if self._signer else {}


def _place(url: str) -> SplitResult:
    """Raises UnreachableError where it cannot be one of the API's."""
    try:
        place = urlsplit(url)
        host = (place.hostname or "").encode("idna")  # as it will be looked up: not every name can be
        known = place.scheme in ("http", "https") and bool(host) and place.port != 0 and url.isascii()
    except ValueError:
        known = False
    if not known:
        raise UnreachableError(f"{url!r} is no address: give the API's, as https://…/live")
    return place


def pause(attempt: int, retry_after: str | None, now: float) -> float:
    """Seconds before the next attempt: what the server asks for and up to half as much again, so that clients that
    were refused together do not come back together; without such a wish twice as long each time, half of it by chance.
    """
    if (asked := _seconds(retry_after, now)) is not None:
        return asked + random.uniform(0, 0.5 * max(asked, FIRST_S))  # noqa: S311 - spreads load, keeps no secret
    return FIRST_S * 2.0 ** (attempt - 1) * random.uniform(0.5, 1)  # noqa: S311


def _seconds(retry_after: str | None, now: float) -> float | None:
    """Retry-After as RFC 9110 has it: seconds, or a date."""
    if retry_after is None:
        return None
    if retry_after.strip().isascii() and retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    except ValueError:
        return None


def _answer(connection: HTTPConnection, target: str, headers: Mapping[str, str]) -> HTTPResponse:
    connection.request("GET", target, headers=dict(headers))
    return connection.getresponse()


def _read(answer: HTTPResponse) -> tuple[int, Message, bytes]:
    content = answer.read()
    if answer.headers.get("Content-Encoding") == "gzip":
        content = gzip.decompress(content)
    return answer.status, answer.headers, content


def _problem(status: int, content: bytes) -> ProblemDetails:
    """What an error's body says; what stands before the API does not speak of problems."""
    try:
        return msgspec.json.decode(content, type=ProblemDetails)
    except msgspec.MsgspecError:
        words = content[:200].decode("utf-8", "replace").strip() or "no more was said"
        return ProblemDetails("about:blank", "refused", words, "unknown", status)
