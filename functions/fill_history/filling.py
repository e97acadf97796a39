"""A market's past into its bars: trades by the stream, as live ones; klines straight into the table.

Whatever moment this is killed at, the cursor lies behind what was delivered: what comes twice by that is known by its
ids, or is the same kline again.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from btc.aws.state import StateTable
from btc.aws.streams import TradeStream
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.feeds.continuity import Continuity
from btc.history import Cursor, Fault
from btc.trades import Market, Trades
from functions.fill_history.progress import Progress
from functions.fill_history.sources import Source, Step, Tell

PATIENCE_S: Final = 600.0
"""How long the stream may refuse before a fill gives up until its next start."""

MOST_TOLD: Final = 100
"""Rows set aside that are told one by one; all are counted."""

_SLICE: Final = 50
"""Trades are handed over in small parts: a record is sealed between two of them, and then is nearly full."""


class FaultyRowError(ValueError):
    """A row that cannot be read, where all must be."""


@dataclass(slots=True)
class Filling:
    """One fill, known by its `name`, from where its cursor stands."""

    name: str
    market: Market
    table: BarTable
    state: StateTable
    stream: TradeStream
    progress: Progress
    tell: Tell
    expires: int
    """When the online table forgets klines (µs)."""
    bytes_per_s: int = 0
    """What the stream may be given; 0: all it takes."""
    claims: bool = True
    """Whether watermarks follow the trades. The live feed goes on from the last watermark: none may leap over what it
    has still to fetch."""
    strict: bool = False
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    tally: Counter[str] = field(default_factory=Counter)
    """trades, klines (read), bars (written), set aside, missing (ids that no trade was told for)."""
    _began: float = 0.0

    def run(self, source: Source, cursor: Cursor) -> None:
        """To the end. Raises what the source does, FaultyRowError, UndeliveredError and ClientError."""
        continuity = Continuity(self.market, cursor.last_id, cursor.time)
        self._began = self.clock()
        begun = False
        for step in source.steps(cursor):
            if not begun:
                self.progress.begin(step.share)
                begun = True
            self._set_aside(step.faults)
            if isinstance(step.entries, Trades) or step.over:
                self._send(continuity, step)
            else:
                self._put(step.entries)
            cursor = replace(step.cursor, last_id=continuity.last_id, time=continuity.time)
            # Behind a hole that may still close, the ids do not say what is held.
            if not continuity.missing:
                self.state.keep_fill(self.name, cursor)
            self.progress.tick(len(step.entries), step.share)
        # A day that was not published yet is asked for again at the next start; what follows it comes again, unharmed.
        again = replace(cursor, since=cursor.absent, absent=0, piece="", rows=0)
        self.state.keep_fill(self.name, again if cursor.absent else replace(cursor, done=True))
        self.progress.end()

    def _send(self, continuity: Continuity, step: Step) -> None:
        if isinstance(step.entries, Trades) and step.entries.ids:
            trades = step.entries
            hole = continuity.missing
            continuity.add(trades)
            # All of them, not only those that are new: what lies out of order is no repeat, and the bars know.
            for first in range(0, len(trades), _SLICE):
                self.stream.put(trades[first : first + _SLICE])
            self.tally["trades"] += len(trades)
            if hole and continuity.missing == hole:
                self._give_up(continuity)
        while step.over and continuity.missing:
            self._give_up(continuity)
        if (mark := continuity.watermark(step.over or continuity.time - 1)) and self.claims:
            self.stream.put(mark)
        self.stream.flush(PATIENCE_S)
        self._keep_pace()

    def _give_up(self, continuity: Continuity) -> None:
        """The source has gone on without these ids: the bars will show that they are missing."""
        if hole := continuity.skip():
            self.tally["missing"] += hole[1] - hole[0] + 1
            self.tell("ids missing", extra={"market": str(self.market), "ids": list(hole)})

    def _keep_pace(self) -> None:
        """Live trades share the stream: the past leaves them room."""
        if self.bytes_per_s:
            ahead = self.stream.counters.bytes / self.bytes_per_s - (self.clock() - self._began)
            if ahead > 0:
                self.sleep(ahead)

    def _put(self, klines: Sequence[Bar] | Trades) -> None:
        bars = [bar for bar in klines if isinstance(bar, Bar)]
        self.tally["klines"] += len(bars)
        if bars:
            self.tally["bars"] += len(self.table.add_klines(bars, self.expires))

    def _set_aside(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            if self.strict:
                raise FaultyRowError(f"line {fault.line} {fault.text!r}: {fault.cause}")
            self.tally["set aside"] += 1
            if self.tally["set aside"] <= MOST_TOLD:
                self.tell("set aside", extra=fault._asdict())
