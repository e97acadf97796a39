"""What the API's gateway answers by itself, as problem details (RFC 9457)."""

import json
from typing import Final, NamedTuple

from btc import routes
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

    def body(self, request_id: str = "$context.requestId", reason: str = "") -> str:
        """A template that the gateway fills in. It does so without quoting what it fills in: a path is whatever
        somebody sent, so the body tells none."""
        told = {
            "type": "about:blank",
            "title": self.title,
            **({"status": self.status} if self.status else {}),
            "detail": self.detail or "@",
            "request_id": request_id,
            **({"reason": reason} if reason else {}),
        }
        # `messageString` is the gateway's message with its quotation marks, so it takes the place of a value.
        return json.dumps(told).replace('"@"', "$context.error.messageString")

    def headers(self, stage: Stage) -> dict[str, str]:
        """Beside its type."""
        readable = {
            "Access-Control-Allow-Origin": stage.cors_origin,
            "Access-Control-Expose-Headers": routes.READABLE,
        }
        return {
            "Cache-Control": "no-store",
            **({"Retry-After": str(self.retry_after_s)} if self.retry_after_s else {}),
            **(readable if stage.cors_origin else {}),
        }


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
TOO_OFTEN: Final = Problem(
    "Too Many Requests", 429, "This address asks too often: wait as long as Retry-After says before the next.", 60
)
"""The firewall's answer to an address. As much patience as clients have."""
NO_PAGE: Final = Problem("Bad Gateway", 502, "The page cannot be read just now: load it again in a minute.")
"""Where S3 does not give the page's files."""


def problems(stage: Stage) -> dict[str, Problem]:
    """By the type of the gateway's response. It has one alone for an unknown path and a signature that is missing."""
    unsigned = {"MISSING_AUTHENTICATION_TOKEN": Problem("Forbidden", 403, NO_SIGNATURE)}
    return {**PROBLEMS, **(unsigned if stage.signed else {})}
