"""The laws of the bar."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btc import bars
from btc.bars import Bar, Source
from btc.tape import Watermark
from btc.times import MINUTE, minute_of
from btc.trades import Market, Trade, Trades
from tests.unit.market import BTC, NOON, tapes


def fold(tape: Iterable[Trade], into: Mapping[int, Bar] | None = None) -> dict[int, Bar]:
    return bars.merge(into or {}, Trades.of(BTC, tape))


def alive(tape: list[Trade], until: int) -> Watermark:
    """What the feed says at `until`: the last trade it has made by then."""
    return Watermark(BTC, until, max(trade.trade_id for trade in tape if trade.time < until))


def cut(tape: list[Trade], data: st.DataObject) -> list[list[Trade]]:
    edges = sorted({0, len(tape), *data.draw(st.lists(st.integers(0, len(tape)), max_size=5))})
    return [tape[first:after] for first, after in pairwise(edges)]


def naive(tape: list[Trade]) -> dict[int, dict[str, int]]:
    """The same bars by the definition, a trade at a time."""
    minutes: dict[int, list[Trade]] = {}
    for trade in tape:
        minutes.setdefault(minute_of(trade.time), []).append(trade)
    return {
        start: {
            "open": trades[0].price,
            "high": max(trade.price for trade in trades),
            "low": min(trade.price for trade in trades),
            "close": trades[-1].price,
            "volume": sum(trade.size for trade in trades),
            "turnover": sum(trade.price * trade.size for trade in trades),
            "buy_volume": sum(trade.size for trade in trades if trade.taker_buys),
            "trade_count": len(trades),
        }
        for start, trades in minutes.items()
    }


@given(tapes())
def test_a_bar_is_what_its_definition_says(tape):
    folded = fold(tape)

    assert {
        start: {name: getattr(bar, name) for name in row}
        for start, bar in folded.items()
        for row in [naive(tape)[start]]
    } == naive(tape)


@given(tapes(), st.data())
def test_bars_do_not_depend_on_order_batches_or_repeats(tape, data):
    repeated = tape + data.draw(st.lists(st.sampled_from(tape), max_size=20))
    batches = cut(data.draw(st.permutations(repeated)), data)

    assert reduce(lambda known, batch: fold(batch, known), batches, {}) == fold(tape)


@given(tapes(), st.data())
def test_proof_and_closing_do_not_depend_on_order_batches_or_repeats(tape, data):
    end = minute_of(tape[-1].time) + 2 * MINUTE
    marks = [alive(tape, end)]
    shuffled = data.draw(st.permutations(tape + data.draw(st.lists(st.sampled_from(tape), max_size=10))))
    known: dict[int, Bar] = {}
    for batch in cut(shuffled, data):
        known = bars.prove(fold(batch, known), data.draw(st.sampled_from([[], marks])))

    assert bars.prove(known, marks) == bars.prove(fold(tape), marks)


@given(tapes())
def test_every_minute_of_a_whole_tape_is_there_closed_and_complete_but_the_first(tape):
    """Nothing joins the first minute on its left: what came before the tape is not known."""
    end = minute_of(tape[-1].time) + 3 * MINUTE
    proven = bars.prove(fold(tape), [alive(tape, end)])
    first = minute_of(tape[0].time)

    assert sorted(proven) == list(range(first, end, MINUTE))
    assert all(bar.closed for bar in proven.values())
    assert [start for start, bar in proven.items() if not bar.complete] == [first]


@given(tapes(min_size=3), st.data())
def test_a_lost_trade_leaves_its_minute_and_its_neighbours_unproven_until_it_comes(tape, data):
    lost = data.draw(st.sampled_from(tape[1:-1]))
    end = minute_of(tape[-1].time) + MINUTE
    holed = bars.prove(fold(trade for trade in tape if trade != lost), [alive(tape, end)])
    whole = bars.prove(fold(tape), [alive(tape, end)])

    around = {minute_of(tape[tape.index(lost) + step].time) for step in (-1, 0, 1)}
    assert not any(holed[start].complete for start in around if start in holed)
    assert minute_of(lost.time) not in holed or holed[minute_of(lost.time)] != whole[minute_of(lost.time)]
    assert bars.prove(fold([lost], holed), [alive(tape, end)]) == whole


@given(tapes(), st.integers(0, 10))
def test_no_bar_closes_before_a_watermark_passes_its_end(tape, minutes):
    until = minute_of(tape[0].time) + minutes * MINUTE + 1
    proven = bars.prove(fold(tape), [Watermark(BTC, until, tape[0].trade_id)])

    assert {start for start, bar in proven.items() if bar.closed} == {
        start for start in proven if start + MINUTE <= until
    }


@given(tapes(min_size=2))
def test_an_empty_minute_stands_flat_at_the_close_before_it(tape):
    proven = bars.prove(fold(tape), [])

    for start, bar in proven.items():
        if not bar.ranges:
            assert bar.complete
            assert {bar.open, bar.high, bar.low, bar.close} == {proven[start - MINUTE].close}
            assert (bar.volume, bar.turnover, bar.trade_count) == (0, 0, 0)


def test_a_watermark_alone_proves_a_quiet_market_empty():
    tape = [Trade(BTC, 7, NOON + 1, 100, 1, True)]
    proven = bars.prove(fold(tape), [Watermark(BTC, NOON + 4 * MINUTE, 7)])

    assert [(bar.complete, bar.trade_count) for _, bar in sorted(proven.items())][1:] == [(True, 0)] * 3


def test_a_watermark_that_has_seen_more_trades_proves_nothing_empty():
    tape = [Trade(BTC, 7, NOON + 1, 100, 1, True)]
    proven = bars.prove(fold(tape), [Watermark(BTC, NOON + 4 * MINUTE, 9)])

    assert list(proven) == [NOON]
    assert not proven[NOON].complete


def test_a_late_trade_reopens_a_minute_proven_empty_and_moves_the_flat_price_after_it():
    early, late = Trade(BTC, 7, NOON + 1, 100, 1, True), Trade(BTC, 8, NOON + MINUTE, 105, 1, True)
    quiet = bars.prove(fold([early]), [Watermark(BTC, NOON + 3 * MINUTE, 7)])
    reopened = bars.prove(fold([late], quiet), [Watermark(BTC, NOON + 3 * MINUTE, 8)])

    assert reopened[NOON + MINUTE].trade_count == 1
    assert reopened[NOON + 2 * MINUTE].close == 105
    assert all(reopened[start].complete for start in (NOON + MINUTE, NOON + 2 * MINUTE))


@given(tapes(min_size=5), st.sampled_from([5, 15, 60]))
def test_longer_bars_are_what_their_trades_would_make(tape, minutes):
    span = minutes * MINUTE
    proven = bars.prove(fold(tape), [alive(tape, minute_of(tape[-1].time) + span + MINUTE)])
    for start in {trade.time - trade.time % span for trade in tape}:
        longer = bars.combine(start, minutes, [bar for bar in proven.values() if start <= bar.start < start + span])
        inside = [trade for trade in tape if start <= trade.time < start + span]

        assert (longer.high, longer.low, longer.close) == (
            max([bar.high for bar in proven.values() if start <= bar.start < start + span]),
            min([bar.low for bar in proven.values() if start <= bar.start < start + span]),
            inside[-1].price,
        )
        assert (longer.volume, longer.trade_count) == (sum(trade.size for trade in inside), len(inside))
        assert longer.complete == (start > minute_of(tape[0].time))


def test_a_longer_bar_with_a_minute_absent_is_not_complete():
    tape = [Trade(BTC, 1 + row, NOON + row * MINUTE, 100, 1, True) for row in range(8)]
    proven = bars.prove(fold(tape), [alive(tape, NOON + 8 * MINUTE)])
    minutes = [proven[NOON + row * MINUTE] for row in range(1, 6)]

    assert bars.combine(NOON + MINUTE, 5, minutes).complete
    assert not bars.combine(NOON + MINUTE, 5, minutes[1:]).complete
    assert not bars.combine(NOON + MINUTE, 5, minutes[:-1]).complete


def test_a_longer_bar_with_a_minute_that_only_a_kline_tells_of_is_not_complete():
    traded = [
        fold([Trade(BTC, 1 + row, NOON + 2 * row * MINUTE, 100, 1, True)])[NOON + 2 * row * MINUTE] for row in (0, 1)
    ]
    joined = [replace(bar, prior_id=row, next_id=row + 2, closed=True) for row, bar in enumerate(traded)]
    kline = Bar(BTC, NOON + MINUTE, 90, 110, 80, 100, 5, None, None, None, closed=True, source=Source.KLINES)

    assert all(bar.complete for bar in joined)
    assert not bars.combine(NOON, 3, [joined[0], kline, joined[1]]).complete


def test_only_distinct_minutes_of_one_market_combine():
    bar = fold([Trade(BTC, 7, NOON + 1, 100, 1, True)])[NOON]

    for wrong in ([], [bar, bar], [bar, replace(bar, market=Market("kraken", "ETH-USD"), start=NOON + MINUTE)]):
        with pytest.raises(bars.NotMinutesError):
            bars.combine(NOON, 5, wrong)
    with pytest.raises(bars.NotMinutesError, match="beyond"):
        bars.combine(NOON + MINUTE, 5, [bar])


@given(tapes(min_size=2), st.data())
def test_what_two_stores_hold_of_a_minute_joins_to_what_their_trades_make(tape, data):
    part = data.draw(st.lists(st.sampled_from(tape), unique=True))
    rest = [trade for trade in tape if trade not in part]
    some, others = fold(part), fold(rest)

    for start, bar in fold(tape).items():
        held = [store[start] for store in (some, others) if start in store]
        assert reduce(bars.join, held) == bar
        assert bars.join(bar, held[0]) == bars.join(held[0], bar) == bar


def test_a_joined_bar_keeps_every_fact_about_its_neighbours():
    bar = fold([Trade(BTC, 7, NOON + 1, 100, 1, True)])[NOON]
    left, right = replace(bar, prior_id=6), replace(bar, next_id=8, closed=True)

    assert bars.join(left, right) == replace(bar, prior_id=6, next_id=8, closed=True)
    assert bars.join(left, right).complete


def test_trades_count_more_than_a_kline():
    bar = fold([Trade(BTC, 7, NOON + 1, 100, 1, True)])[NOON]
    kline = Bar(BTC, NOON, 90, 110, 80, 100, 5, None, None, None, closed=True, source=Source.KLINES)

    assert bars.join(bar, kline) == bars.join(kline, bar) == bar
    assert not kline.complete
    assert bars.combine(NOON, 1, [kline]).turnover is None


def test_a_neighbour_that_came_into_the_bar_is_none_any_more():
    late = fold([Trade(BTC, identity, NOON + identity, 100, 1, True) for identity in (2, 3, 4)])[NOON]
    before = fold([Trade(BTC, identity, NOON + identity, 100, 1, True) for identity in (2, 3)])[NOON]
    stored, online = replace(before, prior_id=1, next_id=4), replace(late, prior_id=1, next_id=5)

    assert bars.join(online, stored) == bars.join(stored, online) == online
    assert bars.join(online, stored).complete
