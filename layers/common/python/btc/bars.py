"""One-minute bars that prove what they hold.

A bar depends on the SET of its trades only: the ranges of trade ids it holds decide which trades are new to it, so
order, batching, repetition and retries leave it the same. It is `complete` when the ids prove it: what it holds is one
unbroken run that joins the trade before its minute and the trade after it. A venue's own bar (a kline) has no ids: it
stands in for trades nobody has, proves nothing, and gives way to the first trade of its minute.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import compress
from operator import mul

from btc.ranges import Ranges, count, runs, union, unseen
from btc.tape import Watermark
from btc.times import FOREVER, MINUTE, minute_of
from btc.trades import Market, Trades


class Source(StrEnum):
    """What a bar was made from."""

    TRADES = "trades"
    KLINES = "klines"
    """The venue's own bar of that minute, or a file's: no ids, so never proven."""


class NotMinutesError(ValueError):
    """Bars were combined that are not the minutes of one market."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Open, high, low, close in 1e-8 units, volumes likewise, `turnover` (Σ price·size) in 1e-16; all exact.

    A minute without trades has no ranges and stands flat at the close before it.
    """

    market: Market
    start: int
    """µs UTC; the bar holds the trades of [start, end)."""
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    turnover: int | None = 0
    """None, like the two below, where a kline does not tell."""
    buy_volume: int | None = 0
    """The part of `volume` in which the taker bought."""
    trade_count: int | None = 0
    ranges: Ranges = ()
    prior_id: int | None = None
    """The last id known to lie before this minute."""
    next_id: int | None = None
    """The first id known to lie after this minute."""
    closed: bool = False
    """A watermark has passed the end."""
    minutes: int = 1
    source: Source = Source.TRADES

    @property
    def end(self) -> int:
        return self.start + self.minutes * MINUTE

    @property
    def first_id(self) -> int | None:
        return self.ranges[0][0] if self.ranges else None

    @property
    def last_id(self) -> int | None:
        return self.ranges[-1][1] if self.ranges else None

    @property
    def traded(self) -> bool:
        """Whether it stands for trades: those it holds by their ids, or those a kline tells of."""
        return bool(self.ranges) or (self.source is Source.KLINES and self.trade_count != 0)

    @property
    def complete(self) -> bool:
        """Whether the ids prove that no trade of this minute is missing, an empty minute's too."""
        if self.prior_id is None or self.next_id is None:
            return False
        if not self.ranges:
            return self.next_id == self.prior_id + 1
        return self.ranges == ((self.prior_id + 1, self.next_id - 1),)


def of(start: int, trades: Trades) -> Bar:
    """The bar of one minute's trades, which come in the order of their ids, each once, and are at least one."""
    prices, sizes = trades.prices, trades.sizes
    return Bar(
        market=trades.market,
        start=start,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=sum(sizes),
        turnover=sum(map(mul, prices, sizes)),
        buy_volume=sum(compress(sizes, trades.taker_buys)),
        trade_count=len(trades),
        ranges=runs(trades.ids),
    )


def flat(before: Bar, start: int, next_id: int | None) -> Bar:
    """The bar of a minute without trades: it stands at the close of the trade before it."""
    price = before.close
    return Bar(before.market, start, price, price, price, price, prior_id=before.last_id, next_id=next_id)


def add(bar: Bar, more: Bar) -> Bar:
    """Two bars of the same minute with no trade in common, as one; what is known beside the trades stays `bar`'s."""
    if not bar.ranges:
        return replace(more, prior_id=bar.prior_id, next_id=bar.next_id, closed=bar.closed)
    return replace(
        bar,
        open=min(bar, more, key=lambda part: part.ranges[0]).open,
        high=max(bar.high, more.high),
        low=min(bar.low, more.low),
        close=max(bar, more, key=lambda part: part.ranges[-1][1]).close,
        volume=bar.volume + more.volume,
        turnover=_sum((bar.turnover, more.turnover)),
        buy_volume=_sum((bar.buy_volume, more.buy_volume)),
        trade_count=_sum((bar.trade_count, more.trade_count)),
        ranges=union(bar.ranges, more.ranges),
    )


def join(newer: Bar, older: Bar) -> Bar:
    """What two stores hold of one minute, as one bar: trades before klines, all ids, every fact about their neighbours.

    Where both hold trades the other lacks and some in common, sums cannot be taken apart: the fuller bar stays, and
    its ranges tell what it holds.
    """
    if newer.source != older.source:
        return newer if newer.source is Source.TRADES else older
    if newer.source is Source.KLINES:
        return newer
    held = union(newer.ranges, older.ranges)
    fuller = max(newer, older, key=lambda bar: (count(bar.ranges), -1 if bar.prior_id is None else bar.prior_id))
    apart = count(held) == count(newer.ranges) + count(older.ranges)
    whole = add(newer, older) if apart and newer.ranges and older.ranges else fuller
    # What one store took for its neighbour may since have come into the bar: that says nothing any more.
    first_id, last_id = whole.first_id, whole.last_id
    priors = [bar.prior_id for bar in (newer, older) if bar.prior_id is not None]
    nexts = [bar.next_id for bar in (newer, older) if bar.next_id is not None]
    return replace(
        whole,
        prior_id=max((each for each in priors if first_id is None or each < first_id), default=None),
        next_id=min((each for each in nexts if last_id is None or each > last_id), default=None),
        closed=newer.closed or older.closed,
    )


def _sum(parts: Iterable[int | None]) -> int | None:
    """None where one of the parts is not known."""
    known = list(parts)
    return None if None in known else sum(part for part in known if part is not None)


def merge(bars: Mapping[int, Bar], trades: Trades) -> dict[int, Bar]:
    """The bars of one market, by start, with these trades in them; trades they hold already change nothing."""
    return merge_minutes(bars, trades.in_order().by_minute())


def merge_minutes(bars: Mapping[int, Bar], minutes: Iterable[tuple[int, Trades]]) -> dict[int, Bar]:
    """The same for trades that are cut into minutes already: (start, its trades in the order of their ids)."""
    merged = dict(bars)
    for start, part in minutes:
        bar = merged.get(start)
        if bar is None:
            merged[start] = of(start, part)
        elif len(new := unseen(bar.ranges, part)):
            merged[start] = add(bar, of(start, new))
    return merged


def prove(bars: Mapping[int, Bar], watermarks: Iterable[Watermark]) -> dict[int, Bar]:
    """The bars joined to their neighbours, closed where a watermark has passed, with the minutes proven empty between.

    `bars` are those of one market, by start: for each minute that has changed the nearest bar with trades on either
    side, and all between. A minute that has no trades and no proof that it had none gets no bar, or keeps its kline.
    """
    marks = sorted(watermarks, key=lambda mark: mark.time)
    alive = marks[-1].time if marks else 0
    traded = sorted((bar for bar in bars.values() if bar.ranges), key=lambda bar: bar.start)
    quiet_starts = sorted(bar.start for bar in bars.values() if not bar.ranges and bar.source is Source.TRADES)
    proven = dict(bars)
    for before, bar, after in zip([None, *traded], traded, [*traded[1:], None], strict=False):
        last_id = bar.ranges[-1][1]
        prior_id = before.last_id if before else bar.prior_id
        next_id = _next_id(bar, last_id, after, marks)
        if (prior_id, next_id) != (bar.prior_id, bar.next_id):
            proven[bar.start] = replace(bar, prior_id=prior_id, next_id=next_id)
        for start in _quiet_minutes(bar, last_id, after, marks, quiet_starts):
            quiet = bars.get(start) or flat(bar, start, None)
            proven[start] = replace(flat(bar, start, _next_id(quiet, last_id, after, marks)), closed=quiet.closed)
    return {
        start: bar if bar.closed or bar.end > alive else replace(bar, closed=True)
        for start, bar in sorted(proven.items())
    }


def _quiet_minutes(
    bar: Bar, last_id: int, after: Bar | None, marks: Sequence[Watermark], known: Sequence[int]
) -> set[int]:
    """The minutes between two neighbours that have a bar (`known`, ascending) or get one, as ids prove them empty."""
    until = max((minute_of(mark.time) for mark in marks if mark.last_id == last_id), default=bar.end)
    if after:
        until = after.start if after.ranges[0][0] == last_id + 1 else min(until, after.start)
    horizon = after.start if after else FOREVER
    return {*range(bar.end, until, MINUTE), *known[bisect_left(known, bar.end) : bisect_left(known, horizon)]}


def _next_id(bar: Bar, last_id: int, after: Bar | None, marks: Sequence[Watermark]) -> int | None:
    """The lowest id known to lie after the bar: its own record, the next bar with trades, or a watermark tells it."""
    known = [] if bar.next_id is None else [bar.next_id]
    if after:
        known.append(after.ranges[0][0])
    known += [mark.last_id + 1 for mark in marks[bisect_left(marks, bar.end, key=lambda mark: mark.time) :]]
    # A trade may come late, behind a watermark that did not know of it: what lies within the bar says nothing.
    return min((identity for identity in known if identity > last_id), default=None)


def combine(start: int, minutes: int, bars: Sequence[Bar]) -> Bar:
    """The bar of `minutes` minutes from `start` out of its minute bars; complete where each of them is there and is.

    Raises NotMinutesError without bars, or where they are not minutes of one market within that time.
    """
    parts = sorted(bars, key=lambda bar: bar.start)
    end = start + minutes * MINUTE
    if (
        not parts
        or len({(bar.market, bar.minutes) for bar in parts}) != 1
        or len({bar.start for bar in parts}) != len(parts)
    ):
        raise NotMinutesError(f"{len(parts)} bars are not the distinct minutes of one market")
    if parts[0].start < start or parts[-1].end > end:
        raise NotMinutesError(f"bars reach beyond the {minutes} minutes they should fill")
    whole = len(parts) == minutes
    # Ids that join across a minute told by a kline would hide that its trades are nobody's.
    proven = whole and all(bar.complete for bar in parts)
    return Bar(
        market=parts[0].market,
        start=start,
        open=parts[0].open,
        high=max(bar.high for bar in parts),
        low=min(bar.low for bar in parts),
        close=parts[-1].close,
        volume=sum(bar.volume for bar in parts),
        turnover=_sum(bar.turnover for bar in parts),
        buy_volume=_sum(bar.buy_volume for bar in parts),
        trade_count=_sum(bar.trade_count for bar in parts),
        ranges=union(*(bar.ranges for bar in parts)),
        prior_id=parts[0].prior_id if proven else None,
        next_id=parts[-1].next_id if proven else None,
        closed=whole and all(bar.closed for bar in parts),
        minutes=minutes,
        source=max((bar.source for bar in parts), key=lambda source: source is Source.KLINES),
    )
