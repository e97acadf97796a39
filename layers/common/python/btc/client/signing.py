"""AWS Signature Version 4, for deployments that ask for one beside the key; the standard library is all it needs.

As "Create a signed AWS API request" of the IAM user guide has it, for GET without a body.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Self
from urllib.parse import quote

from btc.client.credentials import printable

_SERVICE: Final = "execute-api"
_NOTHING: Final = hashlib.sha256(b"").hexdigest()
_ADDRESS: Final = re.compile(r"\.execute-api\.([a-z0-9-]+)\.amazonaws\.com")


class NoCredentialsError(ValueError):
    """The environment does not tell who signs, or for which region."""


@dataclass(frozen=True, slots=True)
class Signer:
    """IAM credentials, for one region."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str
    token: str = field(default="", repr=False)
    """Of credentials that are lent for a time."""

    @classmethod
    def of(cls, environment: Mapping[str, str], url: str) -> Self:
        """The credentials that AWS's own tools read there, in the region of the API's address, or theirs where that
        tells none. Raises NoCredentialsError and UnusableError."""
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        access_key, secret_key, token = (printable(environment.get(name, ""), name) for name in names)
        if not access_key or not secret_key:
            raise NoCredentialsError(
                "to sign takes AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: "
                'eval "$(aws configure export-credentials --format env)" sets them'
            )
        told = _ADDRESS.search(url)
        region = told[1] if told else environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION", "")
        region = printable(region, "AWS_REGION")
        if not region:
            raise NoCredentialsError("to sign takes the API's region, which its address does not tell: set AWS_REGION")
        return cls(access_key, secret_key, region, token)

    def headers(self, host: str, target: str, now: float) -> dict[str, str]:
        """What makes GET of `target` (path and query, encoded) at `host` a signed request; `now` in s UTC."""
        moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{moment[:8]}/{self.region}/{_SERVICE}/aws4_request"
        signed = {"host": host, "x-amz-date": moment}
        if self.token:
            signed["x-amz-security-token"] = self.token
        names = ";".join(signed)
        path, _, query = target.partition("?")
        lines = (
            "GET",
            quote(path, safe="/~"),  # encoded once more, as for all services but S3
            "&".join(sorted(query.split("&"))),
            *(f"{name}:{value}" for name, value in signed.items()),
            "",
            names,
            _NOTHING,
        )
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        signature = self._sign("\n".join(("AWS4-HMAC-SHA256", moment, scope, digest)), scope)
        del signed["host"]  # sent by whoever opens the connection
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return {**signed, "authorization": authorization}

    def _sign(self, text: str, scope: str) -> str:
        key = f"AWS4{self.secret_key}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        return key.hex()
