"""Frames that did not read, set aside in the log so that each can be had again, byte by byte."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from btc.feeds.feed import Malformed

FRAME_BYTES: Final = 96 * 1024
"""Of a frame; as base64 128 KiB, half of what CloudWatch takes as one event."""
CAUSE_CHARACTERS: Final = 1000
A_MINUTE: Final = 10
"""So many are kept; a venue that breaks altogether must not fill the log. All are counted."""


@dataclass(slots=True)
class SetAside:
    """What the log is told of malformed frames."""

    _minute: int = -1
    _kept: int = 0

    def entry(self, event: Malformed, now: float) -> dict[str, object] | None:
        """Cause and frame, for the log; None where this minute of the process's clock (s) has had its share."""
        if (minute := int(now // 60)) != self._minute:
            self._minute, self._kept = minute, 0
        self._kept += 1
        if self._kept > A_MINUTE:
            return None
        return {
            "cause": event.cause[:CAUSE_CHARACTERS],
            "bytes": len(event.frame),
            "frame_base64": b64encode(event.frame[:FRAME_BYTES]).decode(),
            "last_of_this_minute": self._kept == A_MINUTE,
        }
