"""Where the next page of an answer begins, as text that a client hands back and has no need to read."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

from btc.problems import BadRequestError
from btc.times import FOREVER, iso, parse_iso


def encode(series: str, time: int) -> str:
    """The cursor of what lies before `time` (µs) in a series."""
    return urlsafe_b64encode(f"{series}<{iso(time)}".encode()).decode().rstrip("=")


def decode(series: str, cursor: str) -> int:
    """The time (µs) a cursor stands at; raises BadRequestError on any that was not made for this series."""
    try:
        made_for, _, text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition("<")
        time = parse_iso(text)
    except (Base64Error, ValueError, OverflowError) as error:
        raise BadRequestError("cursor is none that an answer gave: start again without one") from error
    if made_for != series or not 0 <= time < FOREVER or encode(series, time) != cursor:
        raise BadRequestError("cursor belongs to another request: start again without one")
    return time
