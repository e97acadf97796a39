"""Runs of ids: what a bar or a feed holds, told in a few numbers however many trades they are."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import chain

from btc.trades import Trades

Ranges = tuple[tuple[int, int], ...]
"""Runs of ids, (first, last) both held, ascending, never touching."""


def runs(ids: Sequence[int]) -> Ranges:
    """Ascending distinct ids as the runs they form."""
    if ids[-1] - ids[0] == len(ids) - 1:
        return ((ids[0], ids[-1]),)
    return union((identity, identity) for identity in ids)


def count(ranges: Ranges) -> int:
    """How many ids the runs hold."""
    return sum(last - first + 1 for first, last in ranges)


def spell(ranges: Ranges) -> str:
    """Runs as text, `100-250,260-270`, as tables and files keep them."""
    return ",".join(f"{first}-{last}" for first, last in ranges)


def read(text: str) -> Ranges:
    """The runs that `spell` wrote."""
    return tuple((int(first), int(last)) for first, _, last in (run.partition("-") for run in text.split(",") if run))


def union(*several: Iterable[tuple[int, int]]) -> Ranges:
    """The ids of all the runs together; runs that touch become one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(chain(*several)):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def unseen(ranges: Ranges, trades: Trades) -> Trades:
    """The trades whose ids lie in none of the runs; trades come in the order of their ids."""
    if not ranges or trades.ids[0] > ranges[-1][1] or trades.ids[-1] < ranges[0][0]:
        return trades
    firsts = [first for first, _ in ranges]
    around = bisect_right(firsts, trades.ids[0]) - 1
    if around >= 0 and trades.ids[-1] <= ranges[around][1]:
        return trades[:0]

    def held(identity: int) -> bool:
        run = bisect_right(firsts, identity) - 1
        return run >= 0 and identity <= ranges[run][1]

    return trades.take([row for row, identity in enumerate(trades.ids) if not held(identity)])
