"""Whether the task does its work, by its own watermarks: `python -m functions.ingest_trades.health`, for ECS to ask.

A process that runs is not a feed that is alive. The task touches a file whenever it has put another watermark, of live
trades or of history; whoever asks looks at how old that is.
"""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from btc.aws.streams import TradeStream

STALE_S: Final = 600.0
"""Longer than any venue is silent while it trades, and than a reconnection takes."""
EVERY_S: Final = 5.0


def place() -> Path:
    """The file; in the container its folder is a volume, over a root that stays as it is."""
    return Path(tempfile.gettempdir()) / "ingest_trades.alive"


@dataclass(slots=True)
class Health:
    """Watches the stream's watermarks."""

    stream: "TradeStream"
    _watermarks: int = 0
    _next: float = 0.0

    def tick(self) -> None:
        now = time.monotonic()
        watermarks = self.stream.counters.watermarks
        if watermarks > self._watermarks and now >= self._next:
            self._watermarks, self._next = watermarks, now + EVERY_S
            place().touch()


def main() -> int:
    """0 where the last watermark is young enough, 1 with the reason on standard error where it is not."""
    try:
        age = time.time() - place().stat().st_mtime
    except FileNotFoundError:
        print("no watermark yet", file=sys.stderr)
        return 1
    if age > STALE_S:
        print(f"no watermark for {age:.0f} s", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
