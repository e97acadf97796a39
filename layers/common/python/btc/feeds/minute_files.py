"""Minutes out of files without ids: Kraken's downloads, Binance's klines, and any CSV that names its columns.

Kraken's OHLCVT       time, open, high, low, close, volume, trades      (no header; minutes without trades are absent)
Kraken's time & sales time, price, volume                               (no header; several rows a moment)
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import gcd
from operator import mul
from typing import Final, NamedTuple

from btc.bars import Bar
from btc.feeds.decimals import units_of
from btc.feeds.lines import Block, FileError, fault
from btc.history import Fault
from btc.klines import kline
from btc.times import MINUTE, SECOND, iso, minute_of, parse_iso
from btc.trades import Market
from btc.units import SCALE

TELLING: Final = 30
"""From so many bars on their distances tell whether they are minutes."""

_EPOCH: Final = {10: SECOND, 13: 1000, 16: 1}
"""µs in what a time of so many digits counts: seconds, ms, µs since 2001."""
_STARTS: Final = ("start", "time", "timestamp")
_PRICES: Final = ("open", "high", "low", "close")
_NEEDED: Final = (*_PRICES, "volume")
_NAIVE: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?")


class Minutes(NamedTuple):
    """What a run of a file's rows says, and how many of the file's rows are accounted for with it."""

    bars: list[Bar]
    faults: list[Fault]
    rows: int


@dataclass(slots=True)
class Rows:
    """A bar a row, oldest or newest first; a row against that order, or twice, is set aside."""

    read: Callable[[str], Bar]
    _last: int | None = None
    _forward: bool | None = None
    _told: int = 0
    _step: int = 0

    def of(self, blocks: Iterable[Block]) -> Iterator[Minutes]:
        """Raises FileError where the rows are no minutes, but longer bars."""
        for block in blocks:
            bars, faults = [], []
            for number, line in block.lines():
                try:
                    bars.append(self._in_order(self.read(line)))
                except ValueError as error:
                    faults.append(fault(number, error, line))
            self._require_minutes(bars)
            yield Minutes(bars, faults, block.last)

    def _in_order(self, bar: Bar) -> Bar:
        if self._last is not None:
            forward = bar.start > self._last
            if bar.start == self._last or self._forward not in (None, forward):
                raise ValueError(f"{iso(bar.start)} comes again, or out of order after {iso(self._last)}")
            self._forward = forward
        self._last = bar.start
        return bar

    def _require_minutes(self, bars: list[Bar]) -> None:
        self._told += len(bars)
        self._step = gcd(self._step, *(before.start - after.start for before, after in pairwise(bars)))
        if self._told >= TELLING and self._step > MINUTE:
            raise FileError(f"its bars lie {self._step // MINUTE} minutes apart: these are no minutes")


def kraken_bar(market: Market, line: str) -> Bar:
    """The bar of one row of an OHLCVT download; raises ValueError."""
    row = line.split(",")
    if len(row) != 7:
        raise ValueError(f"{len(row)} columns, not 7: time, open, high, low, close, volume, trades")
    start, *prices, volume, count = row
    if not count.isdecimal():
        raise ValueError(f"{count!r} is no count of trades")
    opened, high, low, closed = map(units_of, prices)
    return kline(market, epoch(start), (opened, high, low, closed), units_of(volume), trade_count=int(count))


@dataclass(slots=True)
class _Open:
    """The minute that is being read."""

    start: int
    prices: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Sales:
    """Kraken's time and sales: the rows of a minute are its bar, once a later minute begins.

    Without ids nobody can tell a row that comes twice: what is here is taken as it is, and proves nothing.
    """

    market: Market
    _open: _Open | None = None

    def of(self, blocks: Iterable[Block]) -> Iterator[Minutes]:
        whole = end = 0
        for block in blocks:
            bars, faults, end = [], [], block.last
            for number, line in block.lines():
                try:
                    time, price, size = _sale(line)
                    start = minute_of(time)
                    if self._open and start < self._open.start:
                        raise ValueError(f"{iso(time)} lies before the minute of the row before it")  # noqa: TRY301
                except ValueError as error:
                    faults.append(fault(number, error, line))
                    continue
                if self._open is None or start > self._open.start:
                    bars += self._close()
                    self._open, whole = _Open(start), number - 1
                self._open.prices.append(price)
                self._open.sizes.append(size)
            # Rows of the minute still open are read again after a break.
            yield Minutes(bars, faults, whole)
        yield Minutes(self._close(), [], end)

    def _close(self) -> list[Bar]:
        if self._open is None:
            return []
        prices, sizes = self._open.prices, self._open.sizes
        return [
            kline(
                self.market,
                self._open.start,
                (prices[0], max(prices), min(prices), prices[-1]),
                sum(sizes),
                turnover=sum(map(mul, prices, sizes)),
                trade_count=len(prices),
            )
        ]


def _sale(line: str) -> tuple[int, int, int]:
    """(time, price, size) of a row of time and sales."""
    row = line.split(",")
    if len(row) != 3:
        raise ValueError(f"{len(row)} columns, not 3: time, price, volume")
    price, size = units_of(row[1]), units_of(row[2])
    if price <= 0 or size <= 0:
        raise ValueError("price and volume must lie above zero")
    whole, _, fraction = row[0].partition(".")
    if fraction and not fraction.isdecimal():
        raise ValueError(f"{row[0]!r} is no time")
    return epoch(whole) + int(fraction[:6].ljust(6, "0") if fraction else 0), price, size


@dataclass(frozen=True, slots=True)
class Columns:
    """A header's columns by name: where each of a minute's numbers stands in a row."""

    market: Market
    at: dict[str, int]
    width: int
    utc: bool
    """Whether times without a zone are UTC; else they are refused."""

    @classmethod
    def of(cls, market: Market, header: str, *, utc: bool) -> "Columns":
        """Raises FileError where the header lacks a column, or names one twice."""
        names = [name.strip().lower() for name in next(csv.reader([header.removeprefix("\ufeff")]))]
        twice = sorted({name for name in names if names.count(name) > 1})
        starts = [name for name in names if name in _STARTS]
        absent = [name for name in _NEEDED if name not in names]
        if twice or absent or len(starts) != 1:
            wrong = f"{', '.join(absent)} absent" if absent else f"one of {', '.join(_STARTS)} is needed, once"
            wrong = f"{', '.join(twice)} twice" if twice else wrong
            raise FileError(f"its first line {header[:200]!r} is no header of minutes: {wrong}")
        at = {name: place for place, name in enumerate(names)}
        return cls(market, {**at, "start": at[starts[0]]}, len(names), utc)

    def read(self, line: str) -> Bar:
        """The bar of a row; an empty field that need not be there is not told. Raises ValueError."""
        row = [part.strip() for part in next(csv.reader([line]))]
        if len(row) != self.width:
            raise ValueError(f"{len(row)} columns where the header has {self.width}")

        def told(name: str) -> str:
            return row[self.at[name]] if name in self.at else ""

        opened, high, low, closed = (units_of(told(name)) for name in _PRICES)
        count, turnover, buys = told("trade_count"), told("turnover"), told("buy_volume")
        if count and not count.isdecimal():
            raise ValueError(f"{count!r} is no count of trades")
        return kline(
            self.market,
            self._start(told("start")),
            (opened, high, low, closed),
            units_of(told("volume")),
            turnover=_turnover(turnover) if turnover else None,
            buy_volume=units_of(buys) if buys else None,
            trade_count=int(count) if count else None,
        )

    def _start(self, text: str) -> int:
        if text.isdecimal():
            return epoch(text)
        return parse_iso(f"{text}+00:00" if self.utc and _NAIVE.fullmatch(text) else text)


def _turnover(text: str) -> int:
    """In 1e-16 units, as fine as a sum of products of price and size can be."""
    whole, _, fraction = text.partition(".")
    if len(fraction) <= 2 * SCALE and (whole + fraction).isdecimal():
        return int(whole + fraction.ljust(2 * SCALE, "0"))
    return units_of(text) * 10**SCALE


def named_minutes(market: Market, blocks: Iterator[Block], *, utc: bool) -> Iterator[Minutes]:
    """The bars of a CSV whose first line names its columns. Raises FileError."""
    first = next(blocks, None)
    if first is None:
        raise FileError("it is empty")
    header, _, rest = first.data.partition(b"\n")
    columns = Columns.of(market, header.decode(errors="backslashreplace"), utc=utc)

    def body() -> Iterator[Block]:
        if rest:
            yield Block(first.first + 1, rest)
        yield from blocks

    return Rows(columns.read).of(body())


def epoch(text: str) -> int:
    """µs of a time in whole seconds, ms or µs since 1970, told apart by its digits; raises ValueError."""
    if not text.isdecimal() or len(text) not in _EPOCH:
        raise ValueError(f"{text!r} is no time: 10 digits are seconds, 13 milliseconds, 16 microseconds")
    return int(text) * _EPOCH[len(text)]


FORMATS: Final = ("kraken-ohlcvt", "kraken-trades", "minutes")


def read_minutes(form: str, market: Market, blocks: Iterator[Block], *, utc: bool) -> Iterator[Minutes]:
    """The bars of a file of this form, one of FORMATS. Raises FileError."""
    if form == "kraken-ohlcvt":
        return Rows(partial(kraken_bar, market)).of(blocks)
    if form == "kraken-trades":
        return Sales(market).of(blocks)
    return named_minutes(market, blocks, utc=utc)
