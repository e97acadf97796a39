"""A typed client of the API, and `python -m btc.client`; the standard library and msgspec are all it needs."""

from btc.client.api import Api, ApiError, UnreachableError

__all__ = ["Api", "ApiError", "UnreachableError"]
