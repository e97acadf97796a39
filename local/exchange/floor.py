"""The trading floor that both servers look at: the markets, the clock and the faults in force."""

import time
from dataclasses import dataclass, field

from btc.times import DAY, minute_of
from local.exchange.clock import Clock
from local.exchange.market import Market
from local.exchange.pairs import Pair, listed


@dataclass(slots=True)
class Faults:
    """What is wrong at the moment; changed by `POST /control`."""

    system: str = "online"
    throttled: int = 0
    muted_until: float = 0.0

    def mute(self, seconds: float) -> None:
        """Silences all sockets for wall seconds from now on."""
        self.muted_until = time.monotonic() + seconds

    def muted(self) -> bool:
        return time.monotonic() < self.muted_until


@dataclass(frozen=True, slots=True)
class Floor:
    """The markets by pair, on one clock."""

    clock: Clock
    markets: dict[Pair, Market]
    faults: Faults = field(default_factory=Faults)

    def market_of(self, pair: Pair) -> Market | None:
        """The pair's market; None where this exchange was opened without it."""
        return self.markets.get(pair)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What an exchange is opened with: a clock that starts at `now` (µs), and `history_days` traded before it."""

    now: int
    seed: int = 7
    symbols: tuple[str, ...] = ("BTC-USD",)
    history_days: float = 10
    trades_per_minute: float = 12
    speed: float = 1

    def open(self) -> Floor:
        """The floor, its history generated; raises UnlistedError, ValueError."""
        clock = Clock(self.now, self.speed)  # it runs while history is made: `now` may be life's own
        start = minute_of(self.now - round(self.history_days * DAY))
        markets = {
            pair: Market(pair, seed=self.seed, start=start, trades_per_minute=self.trades_per_minute)
            for pair in map(listed, self.symbols)
        }
        for market in markets.values():
            market.until(self.now)
        return Floor(clock, markets)
