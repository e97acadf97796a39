"""A day's bars made again from the tape alone, and what differs in those that are stored."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from btc import bars
from btc.bars import Bar, Source
from btc.ranges import spell
from btc.times import DAY, date, iso
from btc.trades import Market, Trades
from btc.units import SCALE, from_units

_SCALES: Final = {
    **dict.fromkeys(("open", "high", "low", "close", "volume", "buy_volume"), SCALE),
    "turnover": 2 * SCALE,
}
_FIELDS: Final = (*_SCALES, "trade_count", "ranges")


class Difference(NamedTuple):
    """One field of one minute: what the tape makes of it and what is stored; None for what is not there."""

    start: int
    field: str
    """`bar` where one side has none at all."""
    rebuilt: object
    stored: object

    def __str__(self) -> str:
        sides = (_told(self.field, value) for value in (self.rebuilt, self.stored))
        return f"{iso(self.start)}  {self.field}: the tape makes {' and the lake holds '.join(sides)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared of one market's day, in minutes, and every difference there is."""

    market: Market
    day: int
    trades: int
    minutes: int
    empty: int
    """Among them without trades."""
    attested: int
    """Among them those whose next id a watermark told, which the tape does not keep."""
    klines: int
    """Not compared: the venue's own bars, which no trade stands behind."""
    edge: int
    """Not compared: empty, and the tape holds no trade before them."""
    later: int
    """Not compared, since the day is not over: newer than the tape or the lake."""
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        return not self.differences

    def __str__(self) -> str:
        lines = [
            f"{'equal' if self.equal else 'different'}: {self.market} {date(self.day)}, {self.minutes:,} minutes"
            f" from {self.trades:,} trades, {self.empty:,} of them empty"
        ]
        notes = {
            "minutes whose next id only a watermark tells": self.attested,
            "minutes not rebuilt, since they are klines, which no trade stands behind": self.klines,
            "minutes not compared, since the tape holds no trade before them": self.edge,
            "minutes not compared, since they are newer than the tape or the lake": self.later,
        }
        lines += [f"{note}: {count:,}" for note, count in notes.items() if count]
        return "\n".join([*lines, *map(str, self.differences)])


def compare(trades: Trades, stored: Iterable[Bar], day: int, *, over: bool = True) -> Comparison:
    """The day's bars out of the trades of that day and of its neighbours, against those that are stored.

    What a stored bar knows of its neighbours from watermarks alone must not contradict the tape. Of a day that is not
    over, only minutes that both sides have reached are compared.
    """
    made = _Made(bars.prove(bars.merge({}, trades), []))
    kept = {bar.start: bar for bar in stored}
    rebuilt = {start: bar for start, bar in made.bars.items() if day <= start < day + DAY}
    until = day + DAY if over else min(made.last, max(kept, default=day) + 1)
    starts = [start for start in sorted({*rebuilt, *kept}) if start < until]
    differences: list[Difference] = []
    compared: list[tuple[Bar, Bar]] = []
    klines = edge = 0
    for start in starts:
        held, bar = kept.get(start), rebuilt.get(start)
        if bar is None and held is not None and not held.traded:
            bar = made.quiet(start)
            edge += bar is None
        elif bar is None and held is not None and held.source is Source.KLINES:
            klines += 1
        elif bar is None or held is None:
            differences.append(Difference(start, "bar", bar, held))
        if bar is not None and held is not None:
            compared.append((bar, held))
            differences += _differences(bar, held)
    return Comparison(
        market=trades.market,
        day=day,
        trades=sum(bar.trade_count or 0 for bar, _ in compared),
        minutes=len(compared),
        empty=sum(not bar.ranges for bar, _ in compared),
        attested=sum(bar.next_id != held.next_id and _attested(bar, held) for bar, held in compared),
        klines=klines,
        edge=edge,
        later=len({*rebuilt, *kept}) - len(starts),
        differences=tuple(sorted(differences, key=lambda difference: difference.start)),
    )


class _Made:
    """The bars that the tape makes, of the day and of its neighbours."""

    def __init__(self, made: Mapping[int, Bar]) -> None:
        self.bars = made
        self._traded = [start for start, bar in sorted(made.items()) if bar.ranges]

    @property
    def last(self) -> int:
        """The last minute with trades, which more may come to."""
        return self._traded[-1] if self._traded else 0

    def quiet(self, start: int) -> Bar | None:
        """The bar of a minute without trades that their ids alone do not prove empty; None without a trade before."""
        place = bisect_left(self._traded, start)
        if not place:
            return None
        after = self.bars[self._traded[place]].first_id if place < len(self._traded) else None
        return bars.flat(self.bars[self._traded[place - 1]], start, after)


def _differences(bar: Bar, held: Bar) -> Iterator[Difference]:
    if held.source is not bar.source:
        yield Difference(bar.start, "source", bar.source, held.source)
        return
    for field in _FIELDS:
        rebuilt, stored = getattr(bar, field), getattr(held, field)
        if rebuilt != stored:
            yield Difference(bar.start, field, rebuilt, stored)
    # Before the tape's first trade anything may lie.
    before_tape = bar.prior_id is None and (held.prior_id is None or held.prior_id < (bar.first_id or 0))
    if bar.prior_id != held.prior_id and not before_tape:
        yield Difference(bar.start, "prior_id", bar.prior_id, held.prior_id)
    if bar.next_id != held.next_id and not _attested(bar, held):
        yield Difference(bar.start, "next_id", bar.next_id, held.next_id)


def _attested(bar: Bar, held: Bar) -> bool:
    """Whether a watermark may have told of the stored next id: it lies between the bar and the tape's next trade."""
    last_id = bar.last_id if bar.ranges else bar.prior_id
    if held.next_id is None or last_id is None:
        return False
    return last_id < held.next_id and (bar.next_id is None or held.next_id < bar.next_id)


def _told(field: str, value: object) -> str:
    match value:
        case None:
            return "none"
        case Bar() if value.ranges:
            return f"{value.trade_count} trades, ids {spell(value.ranges)}"
        case Bar():
            return "an empty minute"
        case tuple():
            return spell(value) or "no ids"
        case int() if field in _SCALES:
            return f"{from_units(value, _SCALES[field]):f}"
    return str(value)
