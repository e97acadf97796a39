"""What the tape makes again is compared with what is stored, and every difference is named."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btc import bars
from btc.bars import Bar, Source
from btc.rebuild import compare
from btc.tape import Watermark
from btc.times import DAY, MINUTE, day_of, minute_of
from btc.trades import Trade, Trades
from tests.unit.market import BTC, NOON, tapes

DAY_START = day_of(NOON)


def trades(*minutes: int) -> list[Trade]:
    return [
        Trade(BTC, 100 + row, NOON + minute * MINUTE + row, 6_000_000_000_000 + row, 10**8 + row, row % 2 == 0)
        for row, minute in enumerate(minutes)
    ]


TAPE = trades(0, 0, 1, 3, 3, 4)
"""Minute 2 is empty."""


def lake(tape: list[Trade], *, quiet: int = 2) -> list[Bar]:
    """The closed bars the online store makes of trades and a watermark some quiet minutes after them."""
    until = minute_of(tape[-1].time) + (quiet + 1) * MINUTE
    proven = bars.prove(bars.merge({}, Trades.of(BTC, tape)), [Watermark(BTC, until, tape[-1].trade_id)])
    return [bar for bar in proven.values() if bar.closed]


def difference(tape: list[Trade], stored: list[Bar], **options):
    found = compare(Trades.of(BTC, tape), stored, DAY_START, **options).differences
    return [((each.start - NOON) // MINUTE, each.field, each.rebuilt, each.stored) for each in found]


def changed(stored: list[Bar], minute: int, **fields) -> list[Bar]:
    return [replace(bar, **fields) if bar.start == NOON + minute * MINUTE else bar for bar in stored]


@given(tapes(min_size=2), st.data())
def test_what_a_whole_tape_makes_is_what_the_online_store_made_of_it(tape, data):
    stored = lake(tape, quiet=data.draw(st.integers(0, 3)))
    days = {day_of(trade.time) for trade in tape}

    for day in days:
        found = compare(Trades.of(BTC, tape), [bar for bar in stored if day_of(bar.start) == day], day)
        assert found.equal, str(found)
    assert sum(
        compare(Trades.of(BTC, tape), [bar for bar in stored if day_of(bar.start) == day], day).trades for day in days
    ) == len(tape)


@given(tapes(min_size=3), st.data())
def test_a_trade_that_either_side_lost_is_always_found(tape, data):
    lost = data.draw(st.sampled_from(tape))
    rest = [trade for trade in tape if trade != lost]
    day = day_of(lost.time)

    def of_day(held):
        return [bar for bar in lake(held) if day_of(bar.start) == day]

    assert not compare(Trades.of(BTC, rest), of_day(tape), day).equal
    assert not compare(Trades.of(BTC, tape), of_day(rest), day).equal


def test_a_lost_trade_is_named_by_its_minute_and_every_field_it_changes():
    found = difference([trade for trade in TAPE if trade.trade_id != 104], lake(TAPE))

    assert {minute for minute, *_ in found} == {3, 4}
    assert [each for each in found if each[0] == 4] == [(4, "prior_id", 103, 104)]
    assert (3, "trade_count", 1, 2) in found
    assert (3, "ranges", ((103, 103),), ((103, 104),)) in found
    assert (3, "volume", TAPE[3].size, TAPE[3].size + TAPE[4].size) in found


def test_a_changed_price_is_named():
    assert difference(TAPE, changed(lake(TAPE), 3, high=7_000_000_000_000)) == [
        (3, "high", TAPE[4].price, 7_000_000_000_000)
    ]


def test_a_missing_bar_is_named_an_empty_one_too():
    stored = [bar for bar in lake(TAPE) if (bar.start - NOON) // MINUTE not in (2, 3)]

    (first, *_, nothing), second = (each for each in difference(TAPE, stored))
    assert (first, nothing) == (2, None)
    assert second[0::3] == (3, None)


def test_a_bar_too_many_is_named():
    extra = replace(lake(TAPE)[0], start=NOON - 5 * MINUTE)

    assert difference(TAPE, [extra, *lake(TAPE)]) == [(-5, "bar", None, extra)]


def test_an_empty_minute_at_another_price_is_named():
    assert [each[:2] for each in difference(TAPE, changed(lake(TAPE), 2, close=1))] == [(2, "close")]


def test_a_neighbour_that_is_not_there_is_named():
    assert difference(TAPE, changed(lake(TAPE), 1, next_id=105)) == [(1, "next_id", 103, 105)]
    assert difference(TAPE, changed(lake(TAPE), 1, prior_id=100)) == [(1, "prior_id", 101, 100)]


def test_a_difference_tells_the_minute_the_field_and_both_values():
    told = str(compare(Trades.of(BTC, TAPE), changed(lake(TAPE), 3, high=7_000_000_000_000), DAY_START))

    assert told.splitlines()[0] == "different: kraken:BTC-USD 2025-11-10, 7 minutes from 6 trades, 3 of them empty"
    assert told.splitlines()[-1] == (
        "2025-11-10T12:03:00Z  high: the tape makes 60000.00000004 and the lake holds 70000.00000000"
    )


def test_what_only_a_watermark_proves_is_counted_as_such():
    found = compare(Trades.of(BTC, TAPE), lake(TAPE, quiet=3), DAY_START)

    assert found.equal
    # The last bar with trades and the three empty minutes after it.
    assert (found.minutes, found.empty, found.attested) == (8, 4, 4)
    assert "only a watermark tells: 4" in str(found)


def test_klines_are_not_rebuilt_and_said_so():
    kline = Bar(BTC, NOON - MINUTE, 90, 110, 80, 100, 5, None, None, None, closed=True, source=Source.KLINES)
    found = compare(Trades.of(BTC, TAPE), [kline, *lake(TAPE)], DAY_START)

    assert (found.equal, found.klines) == (True, 1)
    assert "klines, which no trade stands behind: 1" in str(found)
    assert difference(TAPE, [replace(kline, start=NOON), *lake(TAPE)[1:]]) == [(0, "source", "trades", "klines")]


def test_the_neighbouring_days_give_the_edges():
    before = Trade(BTC, 99, DAY_START - 1, 100, 1, True)
    night = [before, *(trade._replace(time=trade.time - DAY // 2) for trade in TAPE)]
    stored = [bar for bar in lake(night) if bar.start >= DAY_START]

    assert stored[0].prior_id == 99
    assert difference(night, stored) == []
    assert difference(night[1:], stored) == []  # the tape before it has gone
    assert difference(night, changed(stored, -12 * 60, prior_id=98)) == [(-12 * 60, "prior_id", 99, 98)]


def test_of_a_day_that_is_not_over_only_what_both_have_reached_is_compared():
    stored = [bar for bar in lake(TAPE) if bar.start < NOON + 3 * MINUTE]

    found = compare(Trades.of(BTC, TAPE), stored, DAY_START, over=False)
    assert (found.equal, found.minutes, found.later) == (True, 3, 2)
    assert not compare(Trades.of(BTC, TAPE), stored, DAY_START, over=True).equal
    behind = compare(Trades.of(BTC, TAPE[:3]), lake(TAPE), DAY_START, over=False)
    assert (behind.equal, behind.minutes) == (True, 1)


def test_empty_minutes_before_the_first_trade_of_the_tape_are_not_compared():
    before = [replace(bar, start=bar.start - 10 * MINUTE) for bar in lake(TAPE) if not bar.ranges]

    assert compare(Trades.of(BTC, TAPE), before + lake(TAPE), DAY_START).edge == len(before)


@pytest.mark.parametrize("side", ["tape", "lake"])
def test_where_one_side_is_empty_every_bar_of_the_other_is_named(side):
    tape, stored = ([], lake(TAPE, quiet=0)) if side == "tape" else (TAPE, [])

    minutes = [minute for minute, field, *_ in difference(tape, stored) if field == "bar"]
    assert minutes == ([0, 1, 3, 4] if side == "tape" else [0, 1, 2, 3, 4])
