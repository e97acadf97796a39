"""Which trades of a market are held without a hole, and so how far its feed may claim to be alive."""

from collections import deque

from btc import ranges
from btc.ranges import Ranges
from btc.tape import Watermark
from btc.trades import Market, Trades


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
        self._recent: deque[Trades] = deque()
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
            self._recent.append(new)
            self.last_id = ids[-1]
            self.time = max(self.time, new.times[-1])
            return new
        held = ranges.union([(0, self.last_id)], self._ahead)
        new = ranges.unseen(held, new)
        if new.ids:
            self._recent.append(new)
            self._hold(ranges.union(held, ranges.runs(new.ids)))
        return new

    def _hold(self, held: Ranges) -> None:
        before, self.last_id, self._ahead = self.last_id, held[0][1], held[1:]
        if self.last_id != before:
            times = (time for chunk in self._recent for time in _times_until(chunk, self.last_id))
            self.time = max([self.time, *times])

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
        later: deque[Trades] = deque()
        for chunk in self._recent:
            if max(chunk.times) <= time and chunk.ids[-1] <= self.last_id:
                self._settled = max(self._settled, chunk.ids[-1])
                continue
            later.append(chunk)
            by_then = (row for row, at in enumerate(chunk.times) if at <= time and chunk.ids[row] <= self.last_id)
            self._settled = max([self._settled, *(chunk.ids[row] for row in by_then)])
        self._recent = later


def _times_until(trades: Trades, last_id: int) -> list[int]:
    return [time for identity, time in zip(trades.ids, trades.times, strict=True) if identity <= last_id]
