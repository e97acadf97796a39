"""Repeats are dropped, holes are known, and no watermark claims more than is held."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from btc.feeds.continuity import Continuity
from btc.trades import Trade, Trades
from tests.unit.market import BTC, NOON, tapes


def trades(*ids: int) -> Trades:
    return Trades.of(BTC, (Trade(BTC, identity, NOON + identity * 1000, 1, 1, True) for identity in ids))


def test_a_snapshot_that_joins_what_is_held_brings_only_what_is_new() -> None:
    held = Continuity(BTC)
    held.add(trades(1, 2, 3))

    assert held.add(trades(2, 3, 4, 5)).ids == [4, 5]
    assert held.missing is None
    assert held.last_id == 5


def test_a_hole_is_known_until_it_is_filled_and_holds_watermarks_back() -> None:
    held = Continuity(BTC)
    held.add(trades(1, 2))
    held.add(trades(6, 7))

    assert held.missing == (3, 5)
    mark = held.watermark(NOON + 60_000)
    assert mark is not None
    assert (mark.time, mark.last_id) == (NOON + 2000 - 1, 1)
    assert held.watermark(NOON + 61_000) is None

    assert held.add(trades(2, 3, 4, 5, 6)).ids == [3, 4, 5]
    assert held.missing is None
    mark = held.watermark(NOON + 62_000)
    assert mark is not None
    assert (mark.time, mark.last_id) == (NOON + 62_000, 7)


def test_a_watermark_names_the_last_trade_made_by_its_time_not_the_last_one_seen() -> None:
    held = Continuity(BTC)
    held.add(trades(1, 2, 3, 4))

    marks = [held.watermark(NOON + time) for time in (2500, 2600, 9000)]

    assert [mark.last_id for mark in marks if mark] == [2, 2, 4]
    assert held.watermark(NOON + 9000) is None


def test_a_hole_beyond_repair_is_left_behind_and_named() -> None:
    held = Continuity(BTC, last_id=1, time=NOON)
    held.add(trades(4))

    assert held.skip() == (2, 3)
    assert held.missing is None
    mark = held.watermark(NOON + 60_000)
    assert mark is not None
    assert mark.last_id == 4
    assert held.skip() is None


def test_a_loss_is_known_from_the_venues_word_before_a_later_trade_tells_it() -> None:
    held = Continuity(BTC)
    held.add(trades(1, 2))
    held.reach(2)
    assert held.missing is None

    held.reach(5)
    assert held.missing == (3, 5)
    assert held.add(trades(4)).ids == [4]
    assert held.missing == (3, 3)
    assert held.add(trades(3, 4)).ids == [3]
    assert held.missing == (5, 5)
    mark = held.watermark(NOON + 60_000)
    assert mark is not None
    assert mark.time < NOON + 4000
    assert held.add(trades(5)).ids == [5]
    assert held.missing is None


def test_no_claim_behind_a_hole_given_up_names_a_trade_before_it() -> None:
    for by_a_trade in (True, False):
        held = Continuity(BTC)
        held.add(trades(1, 2))
        if by_a_trade:
            held.add(trades(5))
        else:
            held.reach(4)
        assert held.skip() == (3, 4)
        mark = held.watermark(NOON + 4500)
        assert mark is not None
        assert mark.last_id == 4


def test_a_restart_claims_nothing_before_it_has_seen_a_trade_or_the_venues_clock() -> None:
    held = Continuity(BTC, last_id=7, time=NOON + 7000)

    assert held.watermark(NOON) is None
    held.add(trades(9))
    assert held.watermark(NOON + 60_000) is None
    held.add(trades(8))
    mark = held.watermark(NOON + 60_000)
    assert mark is not None
    assert mark.last_id == 9


@given(tapes(min_size=2), st.data())
def test_whatever_the_order_every_trade_passes_once_and_the_holes_are_the_ids_not_seen(
    tape: list[Trade], data: st.DataObject
) -> None:
    ids = [trade.trade_id for trade in tape]
    held = Continuity(BTC, last_id=ids[0] - 1, time=tape[0].time)
    passed: list[int] = []
    for part in data.draw(st.lists(st.lists(st.sampled_from(tape), min_size=1), min_size=1)):
        passed += held.add(Trades.of(BTC, part)).ids
        seen = set(passed)
        frontier = next((identity - 1 for identity in ids if identity not in seen), ids[-1])
        assert len(passed) == len(seen)
        assert held.last_id == frontier
        above = [identity for identity in seen if identity > frontier]
        assert held.missing == ((frontier + 1, min(above) - 1) if above else None)
        mark = held.watermark(tape[-1].time + 1)
        if mark:
            by_then = [trade.trade_id for trade in tape if trade.time <= mark.time]
            assert set(by_then) <= {*range(ids[0], frontier + 1)} or not above


@given(tapes(min_size=2), st.data())
def test_whoever_goes_on_from_a_watermark_meets_every_trade_that_has_not_passed(
    tape: list[Trade], data: st.DataObject
) -> None:
    """A task that ends anywhere leaves nothing out, as long as the next one begins at its last watermark."""
    held = Continuity(BTC, last_id=tape[0].trade_id - 1, time=tape[0].time - 1)
    passed: set[int] = set()
    mark = None
    for part in data.draw(st.lists(st.lists(st.sampled_from(tape), min_size=1), min_size=1)):
        passed |= set(held.add(Trades.of(BTC, part)).ids)
        if data.draw(st.booleans()):
            mark = held.watermark(held.time - 1) or mark

    missing = [trade for trade in tape if trade.trade_id not in passed]
    assert mark is None or all(trade.trade_id > mark.last_id and trade.time > mark.time for trade in missing)


def test_behind_a_long_hole_a_trade_costs_a_few_bytes() -> None:
    held = Continuity(BTC)
    held.add(trades(1))
    tracemalloc.start()
    for first in range(10, 100_010, 100):
        held.add(trades(*range(first, first + 100)))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held.missing == (2, 9)
    assert kept < 20 * 100_000
    assert held.add(trades(*range(2, 10))).ids == list(range(2, 10))
    mark = held.watermark(NOON + 10**9)
    assert mark is not None
    assert mark.last_id == 100_009
