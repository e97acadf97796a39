"""The venues this system listens to: for each its live feed and its history."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from btc.feeds.binance import Binance
from btc.feeds.binance_rest import BinanceRest
from btc.feeds.coinbase import Coinbase
from btc.feeds.coinbase_rest import CoinbaseRest
from btc.feeds.feed import Feed, History
from btc.feeds.kraken import Kraken
from btc.feeds.kraken_rest import KrakenRest
from btc.feeds.rest import Attend


class UnknownVenueError(ValueError):
    """No feed speaks this venue's language."""

    def __init__(self, venue: str) -> None:
        super().__init__(f"no feed for the venue {venue!r}: choose one of {', '.join(sorted(VENUES))}")


@dataclass(frozen=True, slots=True)
class Venue:
    """One exchange: the type of its feed, and that of its history."""

    feed: Callable[[], Feed]
    rest: type[BinanceRest] | type[CoinbaseRest] | type[KrakenRest]

    def history(
        self, url: str = "", sleep: Callable[[float], None] = time.sleep, attend: Attend = lambda ask: ask()
    ) -> History:
        """The venue's history at its public address and pace, or at `url`, a server of our own without a limit."""
        rest = self.rest(sleep=sleep, attend=attend)
        return replace(rest, url=url, interval=0.0) if url else rest


VENUES: Final = {
    "binance": Venue(Binance, BinanceRest),
    "coinbase": Venue(Coinbase, CoinbaseRest),
    "kraken": Venue(Kraken, KrakenRest),
}


def venue_of(name: str) -> Venue:
    """The venue of this name; raises UnknownVenueError."""
    if name not in VENUES:
        raise UnknownVenueError(name)
    return VENUES[name]
