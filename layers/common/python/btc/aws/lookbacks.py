"""Look-backs out of the online store, of which a process reads a bar again only while it may change."""

from dataclasses import dataclass, field
from typing import Final

from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.lookbacks import lacking, settled
from btc.times import MINUTE
from btc.trades import Market

QUERIES: Final = 4
"""Where more would be needed for what lies between settled bars, one reads over them."""


@dataclass(frozen=True, slots=True)
class LookBacks:
    """A market's bars before a moment, as the table holds them; a megabyte a market stays in memory.

    A look-back is a day and moves by a minute: read whole each time, it was most of what the online store cost.
    """

    table: BarTable
    settled: dict[Market, dict[int, Bar]] = field(default_factory=dict)

    def between(self, market: Market, start: int, end: int) -> list[Bar]:
        """The bars whose start lies in [start, end), whole minutes, oldest first; what lies before is forgotten."""
        held = {at: bar for at, bar in self.settled.get(market, {}).items() if at >= start}
        found = {at: held[at] for at in range(start, end, MINUTE) if at in held}
        spans = lacking(start, end, list(found))
        if len(spans) > QUERIES:
            spans = [(spans[0][0], spans[-1][1])]
        for first, until in spans:
            found |= {bar.start: bar for bar in self.table.between(market, first, until)}
        bars = [bar for _, bar in sorted(found.items())]
        self.settled[market] = held | {bar.start: bar for bar in settled(bars)}
        return bars
