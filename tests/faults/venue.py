"""A simulated venue on the world's clock: connections that break as networks do, a history that refuses and forgets."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import urllib3

from btc.times import SECOND
from btc.trades import Market, Trade
from tests.faults.dialects import Dialect
from tests.faults.faults import Faults
from tests.faults.world import World

_HTML = b"<html><body>Service Unavailable</body></html>"


@dataclass(slots=True)
class Listing:
    """A market's tape, and when (s on the world's clock) each trade is shown to the public: never before the last."""

    trades: Sequence[Trade]
    shown: Sequence[float]


class Venue:
    """The engine: what it has shown at the world's time. Its own clock runs `speed` times as fast."""

    def __init__(self, world: World, faults: Faults, dialect: Dialect, origin: int, speed: float) -> None:
        self.world, self.faults, self.dialect = world, faults, dialect
        self.listings: dict[Market, Listing] = {}
        self.halts: list[tuple[float, float]] = []
        self.stalls: list[tuple[float, float]] = []
        self.cuts = faults.moments("socket cut")
        self.repeats = faults.moments("repeated snapshot")
        self._origin, self._speed = origin, speed

    def now(self) -> int:
        """The venue's clock (µs)."""
        return self._origin + int(self.world.now * self._speed * SECOND)

    def moment(self, time: int) -> float:
        """When (s on the world's clock) the venue's clock says `time` (µs)."""
        return (time - self._origin) / SECOND / self._speed

    def list(self, market: Market, trades: Sequence[Trade], delays: Sequence[int]) -> None:
        """Open a market; each trade is shown so many µs after it was made, and never before the one before it."""
        shown: list[float] = []
        for trade, delay in zip(trades, delays, strict=True):
            shown.append(max(self.moment(trade.time + delay), shown[-1] if shown else -1e9))
        self.listings[market] = Listing(trades, shown)

    def late(self, market: Market, lag: int) -> set[Trade]:
        """Trades that are shown, from the start on, more than `lag` µs after they were made."""
        held = self.listings[market]
        rows = zip(held.trades, held.shown, strict=True)
        return {trade for trade, shown in rows if shown > max(self.moment(trade.time + lag), 0.0)}

    def shown(self, behind: float = 0.0) -> Mapping[Market, Sequence[Trade]]:
        """What the public knew `behind` seconds ago."""
        at = self.world.now - behind
        return {market: held.trades[: bisect_right(held.shown, at)] for market, held in self.listings.items()}

    def halted(self) -> bool:
        return any(begin <= self.world.now < end for begin, end in self.halts)


class Http:
    """Stands where urllib3's pool stands: the venue's REST API, as badly as it is reached."""

    headers: Mapping[str, str] = {}

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def request(self, method: str, url: str, headers: Mapping[str, str]) -> Any:  # noqa: ARG002 - urllib3's own
        venue, faults = self._venue, self._venue.faults
        venue.world.sleep(faults.random.uniform(0.01, 0.1))
        if faults.strikes("REST broken connection"):
            venue.world.sleep(faults.random.choice([0.0, 3.0]))
            raise urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError())
        if faults.strikes("REST 429"):
            return _answer(429, b"{}", {"Retry-After": faults.random.choice(["1", "2", "soon"])})
        if faults.strikes("REST 5xx"):
            return _answer(*faults.random.choice([(500, b""), (503, _HTML), (520, _HTML), (200, _HTML), (200, b'[{"')]))
        if venue.halted():
            return _answer(503, _HTML)
        parts = urlsplit(url)
        rows = faults.random.randint(1, 12) if faults.strikes("REST short page") else 1000
        # One that is asked for the newest trade answers for the moment its clock told.
        behind = parts.path != "/api/v3/trades" and faults.strikes("REST behind")
        shown = venue.shown(faults.random.uniform(0, 3) if behind else 0.0)
        document = venue.dialect.history(parts.path, dict(parse_qsl(parts.query)), shown, rows, venue.now())
        return _answer(200, json.dumps(document).encode())


def _answer(status: int, data: bytes, headers: Mapping[str, str] | None = None) -> Any:
    return SimpleNamespace(status=status, data=data, headers=headers or {})
