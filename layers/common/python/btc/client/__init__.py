"""A typed client of the API, and `python -m btc.client`; the standard library and msgspec are all it needs."""

from btc.client.api import Api, ApiError, UnreachableError
from btc.client.credentials import UnusableError
from btc.client.signing import NoCredentialsError, Signer

__all__ = ["Api", "ApiError", "NoCredentialsError", "Signer", "UnreachableError", "UnusableError"]
