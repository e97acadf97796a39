"""How long an answer holds, and whether a client has it already (RFC 9110, 9111)."""

from hashlib import blake2b

from btc.times import MINUTE, SECOND, minute_of


def etag(content: bytes) -> str:
    """A weak validator of an answer without its age: what differs in nothing else is the same."""
    return f'W/"{blake2b(content, digest_size=12).hexdigest()}"'


def matches(if_none_match: str, tag: str) -> bool:
    """Whether one of the validators that a client sent is `tag`, weakly compared; `*` is any."""
    given = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return "*" in given or tag.removeprefix("W/") in given


def control(now: int, *, settled: bool) -> str:
    """For an answer that changes with the next minute: until then. One that is not `settled` may change any moment."""
    seconds = (minute_of(now) + MINUTE - now) // SECOND if settled else 0
    return f"private, max-age={max(1, seconds)}"
