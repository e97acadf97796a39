"""The pairs the simulated exchange lists, each under every name Kraken calls it by."""

from types import MappingProxyType
from typing import Final, NamedTuple

from btc.units import SCALE, UNIT


class UnlistedError(ValueError):
    """A symbol the simulated exchange does not list."""

    def __init__(self, symbol: str) -> None:
        super().__init__(f"{symbol!r} is not listed here: choose from {', '.join(PAIRS)}")


class Pair(NamedTuple):
    """A traded pair; prices step by one in the last of `price_decimals`."""

    symbol: str
    websocket: str
    rest: str
    aliases: frozenset[str]
    price_decimals: int
    first_price: float
    median_size: float

    @property
    def tick(self) -> int:
        """The smallest price step in 1e-8 units."""
        return int(UNIT // 10**self.price_decimals)

    def price(self, units: int, decimals: int | None = None) -> str:
        """The decimal text of a price with its trailing zeros, as `68580.0`."""
        return fixed(units, self.price_decimals if decimals is None else decimals)


def fixed(units: int, decimals: int = SCALE) -> str:
    """The decimal text of an integer in 1e-8 units with exactly so many decimals; finer digits are cut."""
    whole, fraction = divmod(units, UNIT)
    return f"{whole}.{fraction:0{SCALE}d}"[: decimals - SCALE or None]


_LISTED: Final = (
    Pair(
        symbol="BTC-USD",
        websocket="BTC/USD",
        rest="XXBTZUSD",
        aliases=frozenset({"XXBTZUSD", "XBTUSD", "BTCUSD", "XBT/USD", "BTC/USD"}),
        price_decimals=1,
        first_price=65_000.0,
        median_size=0.004,
    ),
    Pair(
        symbol="ETH-USD",
        websocket="ETH/USD",
        rest="XETHZUSD",
        aliases=frozenset({"XETHZUSD", "ETHUSD", "ETH/USD"}),
        price_decimals=2,
        first_price=2_200.0,
        median_size=0.08,
    ),
)
PAIRS: Final = MappingProxyType({pair.symbol: pair for pair in _LISTED})


def listed(symbol: str) -> Pair:
    """The pair of a canonical symbol; raises UnlistedError."""
    try:
        return PAIRS[symbol]
    except KeyError:
        raise UnlistedError(symbol) from None
