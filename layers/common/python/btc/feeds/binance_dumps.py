"""Binance's public dumps: zipped CSV a month or a day, trades or one-minute klines, each beside its checksum.

data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-08-08.zip      id, price, qty, quoteQty, time, isBuyerMaker, …
data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-08.zip        open time, open, high, low, close, volume, …

Spot files have no header. Their times are in ms, from 2025 on in µs: told apart by their size.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from btc.bars import Bar
from btc.feeds.binance import micros, pair_of
from btc.feeds.decimals import trade_of, units_of
from btc.feeds.downloads import DownloadError, Downloads
from btc.feeds.lines import Block, fault
from btc.history import Fault
from btc.klines import kline
from btc.times import DAY, day_of, from_datetime, to_datetime
from btc.trades import Market, Trade, Trades
from btc.units import UNIT

URL: Final = "https://data.binance.vision"

_LARGEST: Final = 2**63
_LATEST: Final = 10**17
_CHECKSUM: Final = re.compile(r"([0-9a-fA-F]{64})\s+\*?(\S+)\s*")
_POINT: Final = itemgetter(-9)
"""Where the decimal point stands: the dumps write all eight decimals."""
_FLAGS: Final = {"True", "False"}


class Kind(StrEnum):
    """What a dump holds."""

    TRADES = "trades"
    KLINES = "klines"


class Dump(NamedTuple):
    """One file: what a market did in [start, end), whole UTC days."""

    market: Market
    kind: Kind
    start: int
    end: int

    @property
    def path(self) -> str:
        pair = pair_of(self.market.symbol)
        monthly = self.end - self.start > DAY
        span = "monthly" if monthly else "daily"
        folder, label = (f"{pair}/1m", "1m") if self.kind is Kind.KLINES else (pair, "trades")
        date = f"{to_datetime(self.start):{'%Y-%m' if monthly else '%Y-%m-%d'}}"
        return f"data/spot/{span}/{self.kind}/{folder}/{pair}-{label}-{date}.zip"

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Dumps:
    """The dumps as a server publishes them."""

    url: str
    downloads: Downloads

    def plan(self, market: Market, kind: Kind, since: int, until: int) -> Iterator[tuple[Dump, str | None]]:
        """The files of [since, until) with their checksums in order of time; None for a day that is not published.

        A month that is asked for whole is one file, once it is published. Raises DownloadError.
        """
        day = day_of(since)
        while day < until:
            if to_datetime(day).day == 1 and (end := _next_month(day)) <= until:
                month = Dump(market, kind, day, end)
                if digest := self.checksum(month):
                    yield month, digest
                    day = end
                    continue
            dump = Dump(market, kind, day, day + DAY)
            yield dump, self.checksum(dump)
            day = dump.end

    def checksum(self, dump: Dump) -> str | None:
        """The SHA-256 that is published for a dump; None where there is none, and so no dump. Raises DownloadError."""
        with TemporaryDirectory() as folder:
            target = Path(folder, "CHECKSUM")
            if self.downloads.fetch(f"{self.url}/{dump.path}.CHECKSUM", target) is None:
                return None
            told = _CHECKSUM.fullmatch(target.read_text(errors="replace"))
        if told is None or told[2] != dump.name:
            raise DownloadError(f"{self.url}/{dump.path}.CHECKSUM is no checksum of that file")
        return told[1].lower()

    def fetch(self, dump: Dump, digest: str, target: Path) -> None:
        """The dump as `target`, if it is what its checksum says. Raises DownloadError."""
        found = self.downloads.fetch(f"{self.url}/{dump.path}", target)
        if found is None:
            raise DownloadError(f"{dump.name} is not there, though its checksum is")
        if found != digest:
            raise DownloadError(
                f"{dump.name} is damaged, or issued anew this moment: its SHA-256 is {found}, "
                f"published as {digest}; nothing of it was used, try again later"
            )


def read_trades(block: Block, market: Market) -> tuple[Trades, list[Fault]]:
    """The trades of these rows in their order, and the rows that are none."""
    try:
        return _columns(block.data, market), []
    except (ValueError, IndexError):
        # Something is not as it always is: row by row it shows which, and what is well still counts.
        rows, faults = [], []
        for number, line in block.lines():
            try:
                rows.append(_trade(market, line.split(",")))
            except ValueError as error:
                faults.append(fault(number, error, line))
        return Trades.of(market, rows), faults


def _columns(data: bytes, market: Market) -> Trades:
    """Whole columns at once, forty times as fast as rows; raises ValueError or IndexError on anything unusual."""
    text = data.decode("ascii")
    fields = text.replace("\n", ",").split(",")
    rows = text.count("\n")
    if len(fields) != 7 * rows + 1:
        raise ValueError("not seven columns")
    makers = fields[5::7]
    if not _FLAGS.issuperset(makers) or not _FLAGS.issuperset(fields[6::7]):
        raise ValueError("sides are told otherwise")
    ids, times = _whole(fields[0:-1:7]), _whole(fields[4::7])
    prices, sizes = _eight_decimals(fields[1::7]), _eight_decimals(fields[2::7])
    for column in (prices, sizes):
        if min(column) <= 0 or max(column) >= _LARGEST:
            raise ValueError("an amount that no record can hold")
    if max(ids) >= _LARGEST or max(times) >= _LATEST:
        raise ValueError("an id or a time that no record can hold")
    return Trades(market, ids, [*map(micros, times)], prices, sizes, bytes(map("False".__eq__, makers)))


def _whole(column: list[str]) -> list[int]:
    if not "".join(column).isdecimal():
        raise ValueError("not whole numbers")
    return [*map(int, column)]


def _eight_decimals(column: list[str]) -> list[int]:
    joined = " ".join(column)
    if set(map(_POINT, column)) != {"."} or joined.count(".") != len(column):
        raise ValueError("not eight decimals")
    digits = joined.replace(".", "")
    if not digits.replace(" ", "").isdecimal():
        raise ValueError("not decimal numbers")
    return [*map(int, digits.split(" "))]


def _trade(market: Market, row: list[str]) -> Trade:
    if len(row) != 7:
        raise ValueError(f"{len(row)} columns, not 7: id, price, qty, quoteQty, time, isBuyerMaker, isBestMatch")
    identity, price, size, _, time, maker, _ = row
    whole = identity.isdecimal() and time.isdecimal() and (identity + time).isascii()
    if not (whole and int(identity) < _LARGEST and int(time) < _LATEST):
        raise ValueError(f"{identity!r} or {time!r} is no id or no time")
    if maker not in _FLAGS:
        raise ValueError(f"{maker!r} does not tell who was the maker")
    # The buyer was the maker, and so the taker sold.
    return trade_of(market, int(identity), micros(int(time)), price, size, taker_buys=maker == "False")


def read_kline(market: Market, line: str) -> Bar:
    """The bar of one row of a klines dump; raises ValueError."""
    row = line.split(",")
    if len(row) != 12:
        raise ValueError(f"{len(row)} columns, not the 12 of a kline")
    start, opened, high, low, closed, volume, _, turnover, count, buys, *_ = row
    if not (start.isdecimal() and count.isdecimal()):
        raise ValueError(f"{start!r} or {count!r} is no time or no count")
    return kline(
        market,
        micros(int(start)),
        (units_of(opened), units_of(high), units_of(low), units_of(closed)),
        units_of(volume),
        # The venue's own sum, in eight decimals: a turnover has sixteen.
        turnover=units_of(turnover) * UNIT,
        buy_volume=units_of(buys),
        trade_count=int(count),
    )


def _next_month(day: int) -> int:
    return from_datetime((to_datetime(day) + timedelta(days=31)).replace(day=1))
