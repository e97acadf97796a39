"""What the API's gateway answers by itself, as problem details (RFC 9457)."""

from typing import NamedTuple

from cdk.settings import Stage

NO_KEY = "Send a valid API key in the header x-api-key."
NO_PATH = "There is nothing at this path, or nothing but what GET reads."
NO_SIGNATURE = (
    "What lies under /v1 asks for a request signed with IAM credentials (SigV4, service execute-api) "
    "beside the key in x-api-key, as `python -m btc.client --sign` sends it; elsewhere there is nothing."
)


class Problem(NamedTuple):
    """One of its answers."""

    title: str
    status: int | None = None
    """None: the one that the gateway has for the case."""
    detail: str | None = None
    """None: the gateway's own message."""
    retry_after_s: int | None = None
    """When to ask again."""


PROBLEMS = {
    "BAD_REQUEST_PARAMETERS": Problem("Bad Request", 400),
    "BAD_REQUEST_BODY": Problem("Bad Request", 400),
    "UNAUTHORIZED": Problem("Unauthorized", 401),
    "EXPIRED_TOKEN": Problem("Forbidden", 403),
    "INVALID_SIGNATURE": Problem("Forbidden", 403),
    "WAF_FILTERED": Problem("Forbidden", 403, "The firewall refuses this request."),
    "ACCESS_DENIED": Problem("Forbidden", 403),
    "INVALID_API_KEY": Problem("Forbidden", 403, NO_KEY),
    "MISSING_AUTHENTICATION_TOKEN": Problem("Not Found", 404, NO_PATH),  # what the gateway calls an unknown path
    "RESOURCE_NOT_FOUND": Problem("Not Found", 404, NO_PATH),
    "REQUEST_TOO_LARGE": Problem("Content Too Large", 413, "A body here may hold 10 MB at most."),
    "THROTTLED": Problem("Too Many Requests", 429, "Too many requests at once: wait a second before the next.", 1),
    # No header of the gateway's can count the seconds to midnight: an hour is what no client sleeps through.
    "QUOTA_EXCEEDED": Problem("Too Many Requests", 429, "This key has used up its requests for today (UTC).", 3600),
    "INTEGRATION_FAILURE": Problem("Bad Gateway", 502),
    "INTEGRATION_TIMEOUT": Problem("Gateway Timeout", 504),
    "DEFAULT_4XX": Problem("The request was refused"),
    "DEFAULT_5XX": Problem("The service failed"),
}


def problems(stage: Stage) -> dict[str, Problem]:
    """By the type of the gateway's response. It has one alone for an unknown path and a signature that is missing."""
    unsigned = {"MISSING_AUTHENTICATION_TOKEN": Problem("Forbidden", 403, NO_SIGNATURE)}
    return {**PROBLEMS, **(unsigned if stage.signed else {})}
