"""Trades as an exchange made them: normalised once, at the edge."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import lt
from typing import NamedTuple

from btc.times import MINUTE, minute_of


class Market(NamedTuple):
    """One symbol on one venue: the unit of order, of partition and of every table's key."""

    venue: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.venue}:{self.symbol}"

    @classmethod
    def parse(cls, text: str) -> "Market":
        """The market `kraken:BTC-USD` names; raises ValueError on anything else."""
        venue, colon, symbol = text.partition(":")
        if not (venue and colon and symbol):
            raise ValueError(f"{text!r} names no market: write venue:SYMBOL, as in kraken:BTC-USD")
        return cls(venue, symbol)


class Trade(NamedTuple):
    """One execution: `price` and `size` in 1e-8 units, `time` in µs UTC, `taker_buys` whatever side a venue reports."""

    market: Market
    trade_id: int
    time: int
    price: int
    size: int
    taker_buys: bool


@dataclass(frozen=True, slots=True)
class Trades:
    """Many trades of one market as columns of equal length: the shape of a record on the stream, and of a fold."""

    market: Market
    ids: Sequence[int]
    """A list, or the range of step one that says the same."""
    times: list[int]
    prices: list[int]
    sizes: list[int]
    taker_buys: bytes
    """One byte a trade: 1 where the taker bought, else 0."""

    @classmethod
    def of(cls, market: Market, trades: Iterable[Trade]) -> "Trades":
        """The columns of `trades`, in the order given."""
        rows = list(trades)
        return cls(
            market,
            [trade.trade_id for trade in rows],
            [trade.time for trade in rows],
            [trade.price for trade in rows],
            [trade.size for trade in rows],
            bytes(trade.taker_buys for trade in rows),
        )

    @classmethod
    def chain(cls, parts: Sequence["Trades"]) -> "Trades":
        """The columns of one market's parts, at least one, behind each other."""
        return cls(
            parts[0].market,
            [identity for part in parts for identity in part.ids],
            [time for part in parts for time in part.times],
            [price for part in parts for price in part.prices],
            [size for part in parts for size in part.sizes],
            b"".join(part.taker_buys for part in parts),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trades):
            return NotImplemented
        return (self.market, list(self.ids), self.times, self.prices, self.sizes, self.taker_buys) == (
            *(other.market, list(other.ids), other.times, other.prices, other.sizes, other.taker_buys),
        )

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Trade]:
        columns = zip(self.ids, self.times, self.prices, self.sizes, map(bool, self.taker_buys), strict=True)
        return (Trade(self.market, *row) for row in columns)

    def __getitem__(self, part: slice) -> "Trades":
        return Trades(
            self.market, self.ids[part], self.times[part], self.prices[part], self.sizes[part], self.taker_buys[part]
        )

    def take(self, rows: Sequence[int]) -> "Trades":
        """The trades at these positions, in this order."""
        return Trades(
            self.market,
            [self.ids[row] for row in rows],
            [self.times[row] for row in rows],
            [self.prices[row] for row in rows],
            [self.sizes[row] for row in rows],
            bytes(self.taker_buys[row] for row in rows),
        )

    def in_order(self) -> "Trades":
        """By id, each id once: repeats of a trade are the same trade."""
        if isinstance(self.ids, range) or all(map(lt, self.ids, self.ids[1:])):
            return self
        return self.take([row for _, row in sorted({identity: row for row, identity in enumerate(self.ids)}.items())])

    def by_minute(self) -> Iterator[tuple[int, "Trades"]]:
        """(start of a minute, its trades) for every minute touched; trades keep their order."""
        times = self.times
        if times == sorted(times):  # the quickest way to see it
            first = 0
            while first < len(times):
                start = minute_of(times[first])
                after = bisect_left(times, start + MINUTE, first)
                yield start, self if after - first == len(times) else self[first:after]
                first = after
            return
        # An exchange's clock may step back between two ids: then a minute's trades do not lie in one run.
        rows: dict[int, list[int]] = {}
        for row, time in enumerate(times):
            rows.setdefault(minute_of(time), []).append(row)
        for start in sorted(rows):
            yield start, self.take(rows[start])


def by_market(trades: Iterable[Trade]) -> Iterator[Trades]:
    """The trades as columns, one set of columns a market, in the order in which each market first appears."""
    groups: dict[Market, list[Trade]] = {}
    for trade in trades:
        groups.setdefault(trade.market, []).append(trade)
    return (Trades.of(market, group) for market, group in groups.items())
