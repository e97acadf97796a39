"""Large files over HTTP onto this machine's disk, hashed on their way, asked for again where a connection breaks."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import urllib3

_BUSY: Final = {408, 425, 429, *range(500, 600)}
_SIZE: Final = 1 << 20


class DownloadError(RuntimeError):
    """A file that cannot be had, after all patience; the message tells where it was looked for, and why not."""


@dataclass(frozen=True, slots=True)
class Downloads:
    """Files of any server, each tried `tries` times with growing pauses."""

    tries: int = 6
    sleep: Callable[[float], None] = time.sleep
    http: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=5, read=30), retries=False, headers={"User-Agent": "predict-bitcoin-price"}
        )
    )

    def fetch(self, url: str, target: Path) -> str | None:
        """The file at `url` as `target`; its SHA-256 in hexadecimal, None where the server has no such file (404).

        Raises DownloadError.
        """
        cause = ""
        for attempt in range(self.tries):
            if attempt:
                self.sleep(min(2.0**attempt, 30.0))
            try:
                answer = self.http.request("GET", url, preload_content=False)
                try:
                    if answer.status == 404:
                        return None
                    if answer.status == 200:
                        return _write(answer, target)
                    cause = f"HTTP {answer.status}"
                finally:
                    answer.close()
                if answer.status not in _BUSY:
                    break
            except urllib3.exceptions.HTTPError as error:
                cause = f"{type(error).__name__}: {error}"
        raise DownloadError(f"{_shown(url)} cannot be had: {cause}")


def _write(answer: urllib3.BaseHTTPResponse, target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for part in answer.stream(_SIZE, decode_content=False):
            digest.update(part)
            file.write(part)
    return digest.hexdigest()


def _shown(url: str) -> str:
    """Without its query, which may hold a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
