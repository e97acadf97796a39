"""Errors as a client sees them: RFC 9457 problem details, never a trace. This is the one place that maps them."""

from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct

CONTENT_TYPE: Final = "application/problem+json"


class ProblemDetails(Struct, frozen=True, omit_defaults=True):
    """The body of every error (RFC 9457), the gateway's own too."""

    type: str
    title: str
    detail: str
    request_id: Annotated[str, Meta(description="Tell it when you report a fault; none where a firewall refused")]
    status: int | None = None
    instance: Annotated[
        str | None, Meta(description="The path that was asked for, the stage in front; the gateway does not tell it")
    ] = None
    reason: Annotated[
        str | None, Meta(description="Why the gateway refused, in a word: INVALID_API_KEY, QUOTA_EXCEEDED and so on")
    ] = None


class Problem(NamedTuple):
    """What went wrong with a request, and what its sender can do about it."""

    status: int
    title: str
    detail: str

    def to_json(self, instance: str, request_id: str) -> str:
        """An `application/problem+json` body."""
        told = ProblemDetails("about:blank", self.title, self.detail, request_id, self.status, instance)
        return msgspec.json.encode(told).decode()


class UnknownMarketError(LookupError):
    """A symbol or venue this system does not follow."""


class BadRequestError(ValueError):
    """A parameter that does not read as what it should be."""


class NothingPushedError(LookupError):
    """This deployment has no channel that forecasts are pushed over."""


def problem_of(error: Exception) -> Problem:
    """The problem an exception stands for; what has no name of its own is ours to mend and tells nothing of itself."""
    if isinstance(error, UnknownMarketError | NothingPushedError):
        return Problem(404, "Not Found", str(error))
    if isinstance(error, BadRequestError):
        return Problem(400, "Bad Request", str(error))
    return Problem(
        500, "Internal Server Error", "the request failed here; try again, and tell us the request_id if it lasts"
    )
