"""Which bars of a look-back are settled: nothing that may still come can change them, so that they are read once."""

from collections.abc import Iterator, Sequence
from typing import Final

from btc.bars import Bar
from btc.times import MINUTE

SETTLING: Final = 10
"""Minutes by which a trade's id and its time may disagree in their order: at no venue do they by one."""


def settled(bars: Sequence[Bar]) -> list[Bar]:
    """Of minute bars of one market, oldest first, those that stay as they are.

    A run of complete minutes that join each other holds every trade from its first id to its last. One that is new to
    it has an id before or behind them all, and belongs into the middle of the run only if its time is as far out of
    order: so what lies SETTLING minutes from both ends is settled, whatever is repaired, late or sent again elsewhere.
    Klines prove nothing and never are.
    """
    return [bar for run in _runs(bars) for bar in run[SETTLING:-SETTLING]]


def lacking(start: int, end: int, held: Sequence[int]) -> list[tuple[int, int]]:
    """The spans [first, until) of the minutes in [start, end) of which none is held; `held` are starts, ascending."""
    spans = []
    first = start
    for at in [*held, end]:
        if at > first:
            spans.append((first, at))
        first = at + MINUTE
    return spans


def _runs(bars: Sequence[Bar]) -> Iterator[list[Bar]]:
    """Complete and closed bars, one run of ids after the other."""
    run: list[Bar] = []
    for bar in bars:
        if run and not _joins(run[-1], bar):
            yield run
            run = []
        if bar.complete and bar.closed:
            run.append(bar)
    yield run


def _joins(before: Bar, bar: Bar) -> bool:
    """Whether both are complete, one minute follows the other, and no id is left between them."""
    follows = bar.start == before.end and bar.complete and bar.closed
    return follows and before.next_id is not None and bar.prior_id == before.next_id - 1
