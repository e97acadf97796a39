"""The online store keeps bars exact under repeats, races and quiet stretches."""

import pytest
from hypothesis import given

from btc import bars
from btc.aws import clients
from btc.aws.state import StateTable
from btc.aws.tables import BarTable, bar_item, bar_of
from btc.champions import Champion
from btc.tape import Watermark
from btc.times import MINUTE, SECOND
from btc.trades import Trade, Trades
from tests.unit.aws import aws, fold
from tests.unit.market import BTC, NOON, tapes

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]


def table() -> BarTable:
    return BarTable("bars", clients.dynamodb())


def trade(identity: int, minute: int, price: int = 100) -> Trade:
    return Trade(BTC, identity, NOON + minute * MINUTE + identity, price, 1, taker_buys=True)


@given(tapes())
def test_a_bar_comes_back_from_its_item_as_it_went(tape):
    proven = bars.prove(
        bars.merge({}, Trades.of(BTC, tape)), [Watermark(BTC, tape[-1].time + 3 * MINUTE, tape[-1].trade_id)]
    )

    assert [bar_of(bar_item(bar)) for bar in proven.values()] == list(proven.values())


def test_stored_bars_are_what_the_trades_make_of_them_in_memory():
    tape = [trade(1, 0), trade(2, 0, 90), trade(3, 5, 110), trade(4, 6)]
    mark = Watermark(BTC, NOON + 8 * MINUTE, 4)
    for part in tape[1:3], tape[:2], tape[2:]:
        fold(part)
    fold(mark=mark)

    assert {bar.start: bar for bar in table().between(BTC, NOON, NOON + 60 * MINUTE)} == bars.prove(
        bars.merge({}, Trades.of(BTC, tape)), [mark]
    )


def test_neighbours_are_found_across_a_long_quiet_stretch():
    fold([trade(1, 0)])
    fold(mark=Watermark(BTC, NOON + 300 * MINUTE, 1))
    fold([trade(2, 300)])

    stored = table().between(BTC, NOON, NOON + 400 * MINUTE)
    assert len(stored) == 301
    assert all(bar.complete for bar in stored[1:-1])
    assert {bar.next_id for bar in stored[1:-1]} == {2}


def test_the_bars_from_a_time_on_come_behind_the_nearest_that_holds_trades():
    fold([trade(1, 0), trade(2, 3)])
    fold(mark=Watermark(BTC, NOON + 30 * MINUTE, 2))

    minutes = [(bar.start - NOON) // MINUTE for bar in table().onwards(BTC, NOON + 20 * MINUTE)]
    assert minutes == [3, *range(20, 30)]
    assert len(table().onwards(BTC, NOON)) == 30


def test_an_item_says_when_it_expires():
    fold([trade(1, 0)], expires=NOON + MINUTE)
    item = clients.dynamodb().scan(TableName="bars")["Items"][0]

    assert int(item["expires"]["N"]) == (NOON + MINUTE) // SECOND


def test_the_feed_state_only_moves_forward():
    state = StateTable("state", clients.dynamodb())
    assert state.watermark(BTC) is None
    for mark in (Watermark(BTC, NOON + 5, 7), Watermark(BTC, NOON, 6)):
        state.advance(mark, NOON)

    assert state.watermark(BTC) == Watermark(BTC, NOON + 5, 7)


def test_the_champion_is_the_one_promoted_last():
    state = StateTable("state", clients.dynamodb())
    assert state.champion() is None
    first = Champion("2026-11-21-abc", "group/1", "s3://models/1", "2026-11-22T00:00:00Z", "2026-11-22T01:00:00Z")
    for champion in (first, first._replace(package="group/2")):
        state.promote(champion, {})

    assert state.champion().package == "group/2"
