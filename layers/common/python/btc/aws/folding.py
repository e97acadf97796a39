"""Trades and watermarks of one market into the bars of the online store: safe to repeat, to race and to interrupt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from btc import bars
from btc.aws.contention import PATIENCE, ContendedError
from btc.aws.state import Reached, StateTable
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.tape import Watermark
from btc.times import FOREVER, HOUR, minute_of
from btc.trades import Market, Trades

FAR: Final = HOUR
"""Minutes farther apart than this are folded one group after the other."""

Minute = tuple[int, Trades]
"""A minute's start, and trades of it in the order of their ids."""


def fold(
    table: BarTable, state: StateTable, trades: Sequence[Trades], watermarks: Sequence[Watermark], expires: int
) -> list[Bar]:
    """Merge trades of one market into its bars, join, prove and close them; returns the bars that changed.

    Each bar is written over the version that was read. But what a bar says of its neighbours comes from their rows,
    which another writer may change meanwhile: so the bars are read again after each write, until a read finds nothing
    left to do. Of two writers at once, the one that reads last sees what both have written. A watermark counts as done
    only after that last read: whoever dies before it leaves the closing to the next attempt, or the next watermark.
    Raises ContendedError where that never ends.
    """
    market = trades[0].market if trades else watermarks[0].market
    reached = state.reached(market)
    # A watermark within the minute already closed has nothing to tell.
    marks = [mark for mark in watermarks if reached is None or minute_of(mark.time) > minute_of(reached.closed_until)]
    minutes = [minute for part in trades for minute in part.in_order().by_minute()]
    if not minutes and not marks:
        return []
    # Every bar since the last closing may close now, however long ago its trades came.
    closing = (
        (minute_of(reached.closed_until) if reached else 0, max(minute_of(mark.time) for mark in marks))
        if marks
        else None
    )
    writer = _Writer(table, state, market, expires)
    groups = _apart(minutes, closing)
    return [bar for part, closes in groups for bar in writer.fold(part, marks if closes else [], reached)]


@dataclass(frozen=True, slots=True)
class _Writer:
    """Of one market's bars."""

    table: BarTable
    state: StateTable
    market: Market
    expires: int

    def fold(self, minutes: Sequence[Minute], marks: Sequence[Watermark], reached: Reached | None) -> list[Bar]:
        """The same for minutes that are near each other."""
        touched = [*(start for start, _ in minutes), *(minute_of(mark.time) for mark in marks)]
        last = max(touched)
        closed_until = reached.closed_until if reached else None
        newest = max(marks, key=lambda mark: mark.time, default=None)
        told = newest is None
        changed: dict[int, Bar] = {}
        for _ in range(PATIENCE):
            if marks:
                touched.append(minute_of(self._first_open() if closed_until is None else closed_until))
            stored = self.table.around(self.market, min(touched), last)
            known = {start: entry.bar for start, entry in stored.items()}
            proven = bars.prove(bars.merge_minutes(known, minutes), [*marks, *([reached.mark] if reached else [])])
            new = [bar for start, bar in proven.items() if bar != known.get(start) and start <= _horizon(known, last)]
            if not new and told:
                if newest:
                    self.state.settle(newest)
                return list(changed.values())
            written = self.table.replace(new, stored, self.expires)
            changed |= {bar.start: bar for bar in written}
            if len(written) == len(new):
                # Before the last look, so that a bar which comes in behind it is closed by its own writer.
                if newest and not told:
                    self.state.advance(newest, closed_until or 0)
                    told = True
                reached = self.state.reached(self.market)
        raise ContendedError(f"{self.market}: other writers changed the same bars {PATIENCE} times in a row")

    def _first_open(self) -> int:
        """Where bars begin that no watermark has closed, on a market that never had one: klines may lie before."""
        earliest = self.table.earliest(self.market, 0)
        return earliest.start if earliest else FOREVER


def _apart(minutes: Sequence[Minute], closing: tuple[int, int] | None) -> Iterator[tuple[list[Minute], bool]]:
    """The minutes in groups that lie far from each other, oldest first, and whether a group holds the closing's span.

    A batch may hold live trades and some of years ago: what lies between them is none of its business.
    """
    spans = [(start, start, (start, trades)) for start, trades in minutes]
    entries: list[tuple[int, int, Minute | None]] = [*spans, *([(*closing, None)] if closing else [])]
    group: list[Minute] = []
    closes, end = False, 0
    for first, last, minute in sorted(entries, key=lambda entry: entry[:2]):
        if (group or closes) and first > end + FAR:
            yield group, closes
            group, closes = [], False
        end = max(end, last)
        closes = closes or minute is None
        group += [minute] if minute else []
    yield group, closes


def _horizon(known: dict[int, Bar], last: int) -> int:
    """Where what was read ends: at the neighbour after minute `last`, whose own later neighbours are not known here."""
    end = max(known, default=0)
    return end if end > last and known[end].traded else FOREVER
