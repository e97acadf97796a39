"""Times are integers: microseconds since the epoch, UTC. ISO 8601 text stands only at the edges."""

from datetime import UTC, datetime, timedelta
from typing import Final

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def minute_of(time: int) -> int:
    """The start of the minute that holds `time` (µs)."""
    return time - time % MINUTE


def day_of(time: int) -> int:
    """The start of the UTC day that holds `time` (µs)."""
    return time - time % DAY


def from_datetime(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime; exact, no float in between."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone: times are UTC and say so")
    since = moment - EPOCH
    return since.days * DAY + since.seconds * SECOND + since.microseconds


def to_datetime(time: int) -> datetime:
    return EPOCH + timedelta(microseconds=time)


def iso(time: int) -> str:
    """`2026-11-22T20:28:00Z`, with the fraction of a second only where there is one."""
    return to_datetime(time).isoformat().replace("+00:00", "Z")


def parse_iso(text: str) -> int:
    """The time an ISO 8601 text tells, in µs; raises ValueError on text without a zone or no time at all."""
    return from_datetime(datetime.fromisoformat(text))


def date(time: int) -> str:
    """The UTC date, `2026-11-22`: the lake's partition."""
    return to_datetime(time).strftime("%Y-%m-%d")


FOREVER: Final = from_datetime(datetime(9999, 12, 31, tzinfo=UTC))
"""Later than any trade; its ISO text sorts after every other."""
