"""Each route as a method that returns what btc.answers describes."""

from collections.abc import Iterator
from typing import Final, Self, TypeVar
from urllib.parse import quote

import msgspec

from btc import answers
from btc.client import watching
from btc.client.connection import ApiError, Connection, UnreachableError
from btc.client.signing import Signer

__all__ = ["Api", "ApiError", "UnreachableError"]

PAGE: Final = 200

Kind = TypeVar("Kind", bound=answers.Answer)


class Api:
    """Raises ApiError where the API refuses, UnreachableError where it never answers or with what is no answer or at
    what is no address, UnusableError where it is told what cannot be a key or a timeout.

    Keeps its connection open until it is closed, as the end of a `with` block does.
    """

    def __init__(
        self, url: str, key: str = "", *, timeout_s: float = 10, attempts: int = 5, signer: Signer | None = None
    ) -> None:
        """`signer` for a deployment that asks for a signature beside the key."""
        self.connection = Connection(url, key, timeout_s=timeout_s, attempts=attempts, signer=signer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()

    def forecasts(self, symbol: str, *, venue: str | None = None) -> answers.Forecasts:
        return self._get(answers.Forecasts, _path("forecasts", symbol), venue=venue)

    def live(self, symbol: str, *, venue: str | None = None) -> answers.Live:
        """Where forecasts are pushed; the address opens once."""
        return self._get(answers.Live, _path("forecasts", symbol, "/live"), venue=venue)

    def watch(self, symbol: str, *, venue: str | None = None) -> Iterator[answers.Forecasts]:
        """The newest forecasts at once, and then each minute's as they are made, without end."""
        return watching.newer(
            watching.pushed(
                lambda: self.live(symbol, venue=venue).url,
                lambda: self.forecasts(symbol, venue=venue),
            )
        )

    def history(
        self,
        symbol: str,
        horizon: int,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        venue: str | None = None,
    ) -> answers.History:
        """One page; `past` walks through all of them."""
        path = _path("forecasts", symbol, "/history")
        return self._get(answers.History, path, horizon=horizon, limit=limit, cursor=cursor, venue=venue)

    def past(self, symbol: str, horizon: int, *, venue: str | None = None) -> Iterator[answers.PastForecast]:
        """Every forecast of a horizon that is still kept, newest first, a page at a time."""
        cursor = None
        while True:
            page = self.history(symbol, horizon, limit=PAGE, cursor=cursor, venue=venue)
            yield from page.forecasts
            cursor = page.next_cursor
            if cursor is None:
                return

    def bars(
        self,
        symbol: str,
        *,
        interval: str | None = None,
        start: str | None = None,
        end: str | None = None,
        venue: str | None = None,
    ) -> answers.Bars:
        """Prices are exact decimals."""
        return self._get(answers.Bars, _path("bars", symbol), interval=interval, start=start, end=end, venue=venue)

    def scores(self, symbol: str, *, venue: str | None = None) -> answers.LiveScores:
        return self._get(answers.LiveScores, _path("scores", symbol), venue=venue)

    def model(self) -> answers.Model:
        return self._get(answers.Model, "/v1/models/current")

    def health(self) -> answers.Health:
        return self._get(answers.Health, "/health")

    def _get(self, kind: type[Kind], path: str, **query: str | int | None) -> Kind:
        content = self.connection.get(path, {name: str(value) for name, value in query.items() if value is not None})
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.MsgspecError as error:
            raise UnreachableError(f"{path} answered what is no {kind.__name__}: {error}") from error


def _path(kind: str, symbol: str, of_it: str = "") -> str:
    """Whatever a symbol holds, it is one step of the path."""
    return f"/v1/{kind}/{quote(symbol, safe='')}{of_it}"
