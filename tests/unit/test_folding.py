"""Folding into the store is safe to repeat, to race and to interrupt: bars come out as one writer would leave them."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btc import bars
from btc.aws import clients, folding
from btc.aws.contention import ContendedError
from btc.aws.state import Reached, StateTable
from btc.aws.tables import BarTable, Stored
from btc.bars import Bar, Source
from btc.tape import Watermark
from btc.times import FOREVER, MINUTE, minute_of
from btc.trades import Market, Trade, Trades
from tests.unit.aws import aws, fold
from tests.unit.market import BTC, NOON, tapes

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]


def table() -> BarTable:
    return BarTable("bars", clients.dynamodb())


def state() -> StateTable:
    return StateTable("state", clients.dynamodb())


def stored(market: Market = BTC) -> dict[int, Bar]:
    return {bar.start: bar for bar in table().between(market, 0, FOREVER)}


def trade(identity: int, minute: int, price: int = 100) -> Trade:
    return Trade(BTC, identity, NOON + minute * MINUTE + identity, price, 1, taker_buys=True)


class Turns:
    """Lets two writers take their steps at the store in a given order."""

    def __init__(self, order: Sequence[int]) -> None:
        self._order = deque(order)
        self._working = {0, 1}
        self._busy = False
        self._change = Condition()

    @contextmanager
    def of(self, writer: int) -> Iterator[None]:
        with self._change:
            assert self._change.wait_for(lambda: not self._busy and self._next() in (None, writer), timeout=30)
            self._busy = True
            if self._order:
                self._order.popleft()
        yield
        with self._change:
            self._busy = False
            self._change.notify_all()

    def leave(self, writer: int) -> None:
        with self._change:
            self._working.discard(writer)
            self._change.notify_all()

    def _next(self) -> int | None:
        while self._order and self._order[0] not in self._working:
            self._order.popleft()
        return self._order[0] if self._order else None


@dataclass(frozen=True)
class SteppedTable(BarTable):
    turns: Turns
    writer: int

    def around(self, market: Market, first: int, last: int) -> dict[int, Stored]:
        with self.turns.of(self.writer):
            return BarTable.around(self, market, first, last)

    def _put(self, bar: Bar, over: Stored | None, expires: int) -> bool:
        with self.turns.of(self.writer):
            return BarTable._put(self, bar, over, expires)


@dataclass(frozen=True)
class SteppedState(StateTable):
    turns: Turns
    writer: int

    def reached(self, market: Market) -> Reached | None:
        with self.turns.of(self.writer):
            return StateTable.reached(self, market)

    def advance(self, mark: Watermark, closed_until: int) -> None:
        with self.turns.of(self.writer):
            StateTable.advance(self, mark, closed_until)

    def settle(self, mark: Watermark) -> None:
        with self.turns.of(self.writer):
            StateTable.settle(self, mark)


def race(order: Sequence[int], *batches: tuple[Trades, Sequence[Watermark]]) -> None:
    """Fold the two batches at once, their steps at the store in this order (then in any)."""
    turns = Turns(order)
    failed: list[BaseException] = []

    def run(writer: int, trades: Trades, marks: Sequence[Watermark]) -> None:
        try:
            folding.fold(
                SteppedTable("bars", clients.dynamodb(), turns, writer),
                SteppedState("state", clients.dynamodb(), turns, writer),
                [trades] if len(trades) else [],
                marks,
                FOREVER,
            )
        except BaseException as error:
            failed.append(error)
        finally:
            turns.leave(writer)

    writers = [Thread(target=run, args=(writer, *batch)) for writer, batch in enumerate(batches)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert not failed, failed


# As many as a writer takes for a handful of bars; what is left over changes nothing.
ORDERS = st.lists(st.integers(0, 1), max_size=40)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tapes(min_size=2, max_size=8), st.data(), ORDERS)
def test_two_writers_at_once_leave_what_one_would_have_left(tape, data, order):
    for item in clients.dynamodb().scan(TableName="bars")["Items"]:
        clients.dynamodb().delete_item(TableName="bars", Key={key: item[key] for key in ("market", "start")})
    clients.dynamodb().delete_item(TableName="state", Key={"name": {"S": f"watermark:{BTC}"}})
    shares = data.draw(st.lists(st.sampled_from([(0,), (1,), (0, 1)]), min_size=len(tape), max_size=len(tape)))
    mine, theirs = (
        Trades.of(BTC, [trade for trade, share in zip(tape, shares, strict=True) if writer in share])
        for writer in (0, 1)
    )
    marks = [Watermark(BTC, minute_of(tape[-1].time) + 2 * MINUTE, tape[-1].trade_id)]

    race(order, (mine, marks), (theirs, data.draw(st.sampled_from([[], marks])) or ([] if len(theirs) else marks)))

    assert stored() == bars.prove(bars.merge({}, Trades.of(BTC, tape)), marks)


def test_a_repeated_batch_writes_nothing():
    fold([trade(1, 0), trade(2, 1)])

    assert fold([trade(1, 0), trade(2, 1)]) == []


def test_a_late_trade_is_merged_however_much_came_after_it():
    fold([trade(1, 0), trade(3, 2)])
    fold(mark=Watermark(BTC, NOON + 6 * MINUTE, 3))

    late = fold([trade(2, 0)])

    assert {bar.start for bar in late} == {NOON, NOON + MINUTE, NOON + 2 * MINUTE}
    assert stored() == bars.prove(
        bars.merge({}, Trades.of(BTC, [trade(1, 0), trade(2, 0), trade(3, 2)])), [Watermark(BTC, NOON + 6 * MINUTE, 3)]
    )


def test_a_closed_minute_with_a_late_trade_stays_closed_and_counts_it():
    fold([trade(1, 0)], Watermark(BTC, NOON + 2 * MINUTE, 1))
    late = fold([trade(2, 1)])

    assert [(bar.start, bar.trade_count, bar.closed, bar.complete) for bar in late] == [(NOON + MINUTE, 1, True, False)]


def test_a_bar_that_came_in_behind_a_writer_that_died_is_closed_by_its_next_attempt():
    mark = Watermark(BTC, NOON + 5 * MINUTE, 3)
    fold([trade(1, 0), trade(3, 3)])

    class Dies(StateTable):
        def advance(self, mark: Watermark, closed_until: int) -> None:
            # Another writer is done before it could know of the watermark, and nobody looks at its bar again.
            fold([trade(2, 1)])
            StateTable.advance(self, mark, closed_until)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        folding.fold(table(), Dies("state", clients.dynamodb()), [], [mark], FOREVER)
    assert not stored()[NOON + MINUTE].closed

    fold(mark=mark)

    whole = Trades.of(BTC, [trade(1, 0), trade(2, 1), trade(3, 3)])
    assert stored() == bars.prove(bars.merge({}, whole), [mark])


def test_endless_contention_is_told_by_name():
    fold([trade(1, 0)])

    class Raced(BarTable):
        """Reads a version nobody holds any more, each time."""

        def around(self, market: Market, first: int, last: int) -> dict[int, Stored]:
            found = BarTable.around(self, market, first, last)
            return {key: entry._replace(version=entry.version + 7) for key, entry in found.items()}

    with pytest.raises(ContendedError, match="kraken:BTC-USD"):
        folding.fold(Raced("bars", clients.dynamodb()), state(), [Trades.of(BTC, [trade(2, 0)])], [], FOREVER)


def kline(minute: int, trade_count: int = 9) -> Bar:
    start = NOON + minute * MINUTE
    return Bar(BTC, start, 90, 110, 80, 100, 5, None, None, trade_count, closed=True, source=Source.KLINES)


def keep(*klines: Bar) -> None:
    kept: Mapping[int, Stored] = {}
    table().replace(klines, kept, FOREVER)


def test_a_kline_gives_way_to_the_first_trade_of_its_minute_and_is_never_complete():
    keep(kline(0), kline(1), kline(2))
    fold([trade(2, 1)])

    held = stored()
    assert [held[NOON + minute * MINUTE].source for minute in range(3)] == ["klines", "trades", "klines"]
    assert held[NOON + MINUTE].trade_count == 1
    assert not any(bar.complete for bar in held.values())


def test_nothing_joins_across_a_minute_that_only_a_kline_tells_of():
    keep(kline(1))
    fold([trade(1, 0), trade(7, 2)])

    held = stored()
    assert held[NOON + MINUTE] == kline(1)
    assert held[NOON + 2 * MINUTE].prior_id == 1
    assert not held[NOON + 2 * MINUTE].complete


def test_a_minute_that_ids_prove_empty_needs_no_kline():
    keep(kline(1, trade_count=0))
    fold([trade(1, 0), trade(2, 2)])

    assert stored()[NOON + MINUTE].source is Source.TRADES
    assert stored()[NOON + MINUTE].complete


def test_a_first_watermark_does_not_hold_the_klines_that_lie_before_all_trades():
    keep(*(kline(minute) for minute in range(-50, -1)))
    fold([trade(1, 0), trade(2, 2)])
    read: list[int] = []

    class Watched(BarTable):
        def around(self, market: Market, first: int, last: int) -> dict[int, Stored]:
            found = BarTable.around(self, market, first, last)
            read.append(len(found))
            return found

    mark = Watermark(BTC, NOON + 4 * MINUTE, 2)
    folding.fold(Watched("bars", clients.dynamodb()), state(), [], [mark], FOREVER)

    assert max(read) < 10
    assert all(bar.closed for bar in stored().values())
    assert state().reached(BTC) == Reached(mark, mark.time)


def test_what_lies_between_live_trades_and_those_of_long_ago_is_not_read():
    day = 1440
    fold([trade(identity, identity - 1000) for identity in range(1001, 1401)])
    fold(mark=Watermark(BTC, NOON + 401 * MINUTE, 1400))
    read: list[int] = []

    class Watched(BarTable):
        def around(self, market: Market, first: int, last: int) -> dict[int, Stored]:
            found = BarTable.around(self, market, first, last)
            read.append(len(found))
            return found

    old, live = trade(5, -7 * day), trade(1401, 401)
    mark = Watermark(BTC, NOON + 402 * MINUTE, 1401)
    folding.fold(Watched("bars", clients.dynamodb()), state(), [Trades.of(BTC, [old, live])], [mark], FOREVER)

    held = stored()
    assert max(read) < 10
    assert held[NOON - 7 * day * MINUTE].closed
    assert held[NOON + 401 * MINUTE].complete
    assert state().reached(BTC) == Reached(mark, mark.time)
