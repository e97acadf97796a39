"""What of a market's bars is not proven, and which trades would prove it; finding it asks nobody.

Three things are wrong with bars that should be whole: ids are missing between them; a watermark has passed them and
they are open; or their ids join and they do not say so, as a crash or a race may leave them. The first kind needs
trades that nobody holds, the others need theirs once more, so that aggregate_bars looks again.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from btc.bars import Bar, Source, prove
from btc.tape import Watermark
from btc.times import MINUTE, minute_of
from btc.trades import Market

TRIES: Final = 8
"""How often a hole is asked for while its age doubles; as often at first, run after run."""


@dataclass(frozen=True, slots=True)
class Span:
    """Trades to fetch, by their ids.

    `since` (µs) lies before them, and the minutes that they may prove lie in [since, until).
    """

    market: Market
    first_id: int
    last_id: int
    since: int
    until: int
    lost: bool
    """Nobody holds them; else they are held, and the bars they are in have to be looked at again."""

    def __len__(self) -> int:
        return self.last_id - self.first_id + 1


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in the minutes up to a watermark."""

    unproven: tuple[int, ...]
    """The starts of the minutes that are absent or not complete, oldest first."""
    klines: int
    """Minutes told by klines alone, and those that nothing but klines keeps from being proven."""
    unclosed: int
    """Bars still open behind the watermark."""
    spans: tuple[Span, ...]
    """The newest first: forecasts look at the newest bars, and every venue still has their trades."""

    def outside(self, spans: Iterable[Span]) -> int:
        """How many unproven minutes lie in none of these spans."""
        edges = [(span.since, span.until) for span in spans]
        return sum(not any(since <= start < until for since, until in edges) for start in self.unproven)


def audit(bars: Sequence[Bar], mark: Watermark, start: int) -> Audit:
    """The audit of the minutes from `start` up to the watermark.

    `bars` are all those from `start` on, behind the nearest with trades before it, oldest first. Where there is none
    before it, the market begins with the first bar that has ids: nothing has to join it on its left.
    """
    end = minute_of(mark.time)
    known = {bar.start: bar for bar in bars}
    held = [bar for bar in bars if bar.ranges]
    begin = max(start, held[0].start) if held else start
    gaps = [gap for gap in _gaps(held, mark) if gap.until > start]
    told = [gap for gap in gaps if _told_by_klines(gap, known)]
    holes = [gap for gap in gaps if gap not in told]
    beside = {edge for gap in told for edge in (gap.since, gap.until - MINUTE)}
    beside -= {at for hole in holes for at in range(hole.since, hole.until, MINUTE)}
    minutes = range(begin, end, MINUTE)
    unproven = [at for at in minutes if not _is_proven(known.get(at), first=bool(held) and at == held[0].start)]
    klines = [bar for bar in bars if start <= bar.start < end and bar.source is Source.KLINES]
    excused = beside | {bar.start for bar in klines}
    return Audit(
        unproven=tuple(at for at in unproven if at not in excused),
        klines=len(klines) + sum(at in beside for at in unproven),
        unclosed=sum(not bar.closed for bar in bars if begin <= bar.start < end),
        spans=tuple(sorted((*holes, *_unjoined(known, held, mark, minutes)), key=lambda span: -span.since)),
    )


def due(span: Span, now: int, every: int) -> bool:
    """Whether a run at `now`, one of those that come `every` so many µs, should ask the venue for this span.

    What a venue lacks at first it may have a little later, and hardly ever after that: a hole is asked for at each run
    until it is TRIES runs old, and TRIES times more each time its age doubles. Nothing is kept from run to run.
    """
    runs = (now - span.until) // every
    pause = 1 << (max(runs // TRIES, 1).bit_length() - 1)
    # Holes of one age take turns, told apart by their ids.
    return not span.lost or (now // every + span.first_id) % pause == 0


def _is_proven(bar: Bar | None, *, first: bool) -> bool:
    if bar is None:
        return False
    if first and bar.prior_id is None and bar.first_id is not None:
        return replace(bar, prior_id=bar.first_id - 1).complete
    return bar.complete


def _gaps(held: Sequence[Bar], mark: Watermark) -> Iterator[Span]:
    """The ids that no bar holds, from the first one held up to the last one that the watermark knows of."""
    runs = sorted((first, last, bar.start) for bar in held for first, last in bar.ranges if first <= mark.last_id)
    runs.append((mark.last_id + 1, mark.last_id + 1, minute_of(mark.time)))
    for (_, last, left), (first, _, right) in pairwise(runs):
        if first > last + 1:
            # Ids may step back in time: then the left one lies in the later minute.
            since, until = min(left, right), max(left, right) + MINUTE
            yield Span(mark.market, last + 1, first - 1, since, until, lost=True)


def _told_by_klines(gap: Span, known: dict[int, Bar]) -> bool:
    """Whether klines stand in for all the minutes between the two that a gap lies between."""
    between = [known.get(at) for at in range(gap.since + MINUTE, gap.until - MINUTE, MINUTE)]
    return bool(between) and all(bar is not None and bar.source is Source.KLINES for bar in between)


def _unjoined(known: dict[int, Bar], held: Sequence[Bar], mark: Watermark, minutes: range) -> Iterator[Span]:
    """The trades of the bars that would change, or give rise to others, were they looked at once more."""
    starts = [bar.start for bar in held]
    stale = [
        at
        for at, bar in prove(known, [mark]).items()
        if at in minutes and bar != (was := known.get(at)) and (was is None or was.source is Source.TRADES)
    ]
    # A minute without trades is looked at with the bar before it.
    rows = sorted({row for at in stale if (row := bisect_right(starts, at) - 1) >= 0})
    while rows:
        count = next((n for n, (row, after) in enumerate(pairwise(rows), 1) if after != row + 1), len(rows))
        first, last = held[rows[0]], held[rows[count - 1]]
        rows = rows[count:]
        ids = [edge for bar in (first, last) for run in bar.ranges for edge in run]
        yield Span(mark.market, min(ids), max(ids), first.start, last.end, lost=False)
