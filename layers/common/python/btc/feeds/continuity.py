"""Which trades of a market are held without a hole, and so how far its feed may claim to be alive."""

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from btc import ranges
from btc.ranges import Ranges
from btc.tape import Watermark
from btc.trades import Market, Trades


@dataclass(frozen=True, slots=True)
class _Times:
    """When trades were made, ids ascending: all that is kept of them, since behind a long hole there may be many."""

    ids: Sequence[int]
    times: Sequence[int]
    latest: int

    @classmethod
    def of(cls, trades: Trades) -> Self:
        ids = trades.ids
        run = ids[-1] - ids[0] == len(ids) - 1
        return cls(range(ids[0], ids[-1] + 1) if run else array("q", ids), array("q", trades.times), max(trades.times))

    @property
    def last_id(self) -> int:
        return self.ids[-1]

    def newest(self, above: int, until: int) -> int:
        """The latest time among the ids in (above, until]; 0 where there are none."""
        first, after = bisect_right(self.ids, above), bisect_right(self.ids, until)
        return self.latest if after - first == len(self.ids) else max(self.times[first:after], default=0)

    def last_made(self, time: int, until: int) -> int:
        """The highest id up to `until` that was made by `time`; 0 where there is none."""
        after = bisect_right(self.ids, until)
        return max((self.ids[row] for row in range(after) if self.times[row] <= time), default=0)


class Continuity:
    """One market's ids as they arrive: repeats are dropped, holes are known, watermarks never cross one.

    `last_id` is the frontier: every trade from where this began up to it has been passed on; None before the first.
    """

    def __init__(self, market: Market, last_id: int | None = None, time: int = 0) -> None:
        """Begin behind the trade `last_id`, made at `time` (µs) or a little later; None: wherever trades begin."""
        self.market = market
        self.last_id = last_id
        self.time = time
        """The newest trade's time (µs) among those up to the frontier."""
        self._made = 0
        self._ahead: Ranges = ()
        self._recent: deque[_Times] = deque()
        self._settled = last_id
        self._marked = time

    @property
    def missing(self) -> tuple[int, int] | None:
        """The first hole: ids (first, last) that lie before others held already, or that the venue says it has made."""
        if self.last_id is None:
            return None
        if self._ahead:
            return self.last_id + 1, self._ahead[0][0] - 1
        return (self.last_id + 1, self._made) if self._made > self.last_id else None

    def reach(self, last_id: int) -> None:
        """The venue has made its trades up to `last_id`: those not held are missing."""
        self._made = max(self._made, last_id)

    def add(self, trades: Trades) -> Trades:
        """Those of the trades that are new, in the order of their ids."""
        new = trades.in_order()
        ids = new.ids
        if self.last_id is None:
            self.last_id = self._settled = ids[0] - 1
        if ids[0] == self.last_id + 1 and not self._ahead and ids[-1] - ids[0] == len(ids) - 1:
            self._recent.append(_Times.of(new))
            self.last_id = ids[-1]
            self.time = max(self.time, new.times[-1])
            return new
        held = ranges.union([(0, self.last_id)], self._ahead)
        new = ranges.unseen(held, new)
        if new.ids:
            self._recent.append(_Times.of(new))
            self._hold(ranges.union(held, ranges.runs(new.ids)))
        return new

    def _hold(self, held: Ranges) -> None:
        before, self.last_id, self._ahead = self.last_id, held[0][1], held[1:]
        assert before is not None
        newest = (part.newest(before, self.last_id) for part in self._recent)
        self.time = max([self.time, *newest])

    def skip(self) -> tuple[int, int] | None:
        """Give the first hole up as beyond repair and go on behind it; the bars know that its ids are missing."""
        hole = self.missing
        if hole:
            assert self._settled is not None
            self._hold(ranges.union([(0, hole[1])], self._ahead))
            # They were made, at a time nobody knows: a claim that stayed below them would call their minute whole.
            self._settled = max(self._settled, hole[1])
        return hole

    def watermark(self, time: int) -> Watermark | None:
        """The claim that the feed was alive up to `time` (µs); less far where ids are missing, None if nothing is new.

        It names the last trade made by that time, not the last one seen.
        """
        if self.last_id is None or self._settled is None:
            return None
        if self.missing:
            time = min(time, self.time - 1)
        if time <= self._marked:
            return None
        self._settle(time)
        self._marked = time
        return Watermark(self.market, time, self._settled)

    def _settle(self, time: int) -> None:
        assert self._settled is not None
        assert self.last_id is not None
        later: deque[_Times] = deque()
        for part in self._recent:
            if part.latest <= time and part.last_id <= self.last_id:
                self._settled = max(self._settled, part.last_id)
            else:
                later.append(part)
                self._settled = max(self._settled, part.last_made(time, self.last_id))
        self._recent = later
