"""The trades that an audit misses, from the venue's history, for as long as there is time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from btc.audits import Audit, Span
from btc.feeds.feed import History, HistoryError
from btc.trades import Trades


class OutOfTimeError(Exception):
    """The venue would not answer before the time is up."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What came of a run."""

    trades: int = 0
    """Those that nobody held."""
    unrepairable: int = 0
    """Minutes that stay unproven: the venue lacks their trades, or lacked them when it was last asked."""
    left: int = 0
    """Spans that the time did not suffice for: the next run comes to them."""
    refusal: str | None = None
    """Why the venue's history could not be had."""


def repair(
    found: Audit,
    history: History,
    send: Callable[[Trades], None],
    *,
    due: Callable[[Span], bool],
    left: Callable[[], float],
) -> Repair:
    """Send the trades of the spans that are due, in their order; `left` tells the seconds that remain for it."""
    trades, refusal = 0, None
    hopeful: list[Span] = []
    waiting: list[Span] = []
    for span in filter(due, found.spans):
        if refusal:
            waiting.append(span)
            continue
        came = 0
        try:
            for part in fetch(history, span, left):
                send(part)
                came += len(part)
        except OutOfTimeError:
            waiting.append(span)
        except HistoryError as error:
            refusal = str(error)
            waiting.append(span)
        else:
            hopeful += [span] if came >= len(span) else []
        trades += came if span.lost else 0
    return Repair(trades, found.outside([*hopeful, *waiting]), len(waiting), refusal)


def fetch(history: History, span: Span, left: Callable[[], float]) -> Iterator[Trades]:
    """What the venue has of a span's trades, in the order of their ids. Raises OutOfTimeError, HistoryError."""
    backfill = history.after(span.market, span.first_id - 1, span.since)
    while True:
        if history.wait() >= left():
            raise OutOfTimeError
        page = backfill.step()
        if page is None:
            return
        rows = [row for row, identity in enumerate(page.ids) if span.first_id <= identity <= span.last_id]
        if rows:
            yield page.take(rows)
        if page.ids and page.ids[-1] >= span.last_id:
            return
