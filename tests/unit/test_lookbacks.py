"""A look-back is what the table holds, whatever came late, and settled minutes of it are not read again."""

from dataclasses import dataclass, field, replace
from random import Random

import pytest

from btc import bars
from btc.aws import clients
from btc.aws.lookbacks import QUERIES, LookBacks
from btc.aws.tables import BarTable, bar_item
from btc.bars import Bar, Source
from btc.lookbacks import SETTLING, lacking, settled
from btc.tape import Watermark
from btc.times import MINUTE, SECOND
from btc.trades import Market, Trade, Trades
from tests.unit.aws import aws, fold
from tests.unit.market import BTC, NOON

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]
LENGTH = 90


@dataclass(frozen=True)
class Watched(BarTable):
    """Knows which spans it was asked for."""

    asked: list[tuple[int, int]] = field(default_factory=list)

    def between(self, market: Market, start: int, end: int) -> list[Bar]:
        self.asked.append(((start - NOON) // MINUTE, (end - NOON) // MINUTE))
        return BarTable.between(self, market, start, end)


def trade(identity: int, minute: int, second: int = 0) -> Trade:
    return Trade(BTC, identity, NOON + minute * MINUTE + second * SECOND, 100 + identity % 7, 1, taker_buys=True)


def proven(minutes: int = LENGTH) -> list[Bar]:
    """Joined bars of one trade each, from NOON on."""
    tape = Trades.of(BTC, [trade(row + 1, row) for row in range(-1, minutes)])
    made = bars.prove(bars.merge({}, tape), [Watermark(BTC, NOON + minutes * MINUTE, minutes)])
    return [bar for start, bar in sorted(made.items()) if start >= NOON]


def store(*changed: Bar) -> None:
    for bar in changed:
        clients.dynamodb().put_item(TableName="bars", Item={**bar_item(bar), "version": {"N": "1"}})


def watched() -> tuple[Watched, LookBacks]:
    table = Watched("bars", clients.dynamodb())
    return table, LookBacks(table)


@pytest.mark.parametrize("seed", range(4))
def test_a_look_back_is_always_what_the_table_holds(seed: int) -> None:
    """Trades come late, behind their watermark too, twice, and long after the hole that they leave was seen."""
    random = Random(seed)
    _, look_backs = watched()
    tape = [trade(3 * row + part + 1, row, 20 * part) for row in range(LENGTH) for part in range(3)]
    tape = [each for each in tape if (each.time - NOON) // MINUTE % 17 or not each.trade_id % 3]
    tape = [each._replace(trade_id=row + 1) for row, each in enumerate(tape)]
    waiting: list[tuple[int, Trade]] = []
    last = 0
    for minute in range(LENGTH):
        here = [each for each in tape if (each.time - NOON) // MINUTE == minute]
        waiting += [(minute + random.choice([0] * 30 + [1, 3, 25]), each) for each in here]
        come = [each for due, each in waiting if due <= minute]
        waiting = [(due, each) for due, each in waiting if due > minute]
        last = max([last, *(each.trade_id for each in come)])
        mark = Watermark(BTC, NOON + (minute + 1) * MINUTE, last) if last and random.random() < 0.9 else None
        if come or mark:
            fold(come + random.sample(come, len(come) // 3), mark)
        end = NOON + (minute + 1 - random.choice([0, 0, 0, 4])) * MINUTE
        start = end - random.choice([60, 60, 60, 75]) * MINUTE

        assert look_backs.between(BTC, start, end) == BarTable("bars", clients.dynamodb()).between(BTC, start, end)
    assert look_backs.settled[BTC]


def test_a_trade_that_comes_minutes_behind_its_watermark_is_read() -> None:
    fold([trade(row + 1, row) for row in range(40)], Watermark(BTC, NOON + 45 * MINUTE, 40))
    _, look_backs = watched()
    before = look_backs.between(BTC, NOON, NOON + 45 * MINUTE)
    fold([trade(41, 39, 30)])
    after = look_backs.between(BTC, NOON, NOON + 45 * MINUTE)

    assert all(bar.complete for bar in before[1:])
    assert after == BarTable("bars", clients.dynamodb()).between(BTC, NOON, NOON + 45 * MINUTE) != before


def test_a_minute_later_only_the_newest_minutes_are_read() -> None:
    store(*proven())
    table, look_backs = watched()
    for later in range(SETTLING + 2):
        table.asked.clear()
        look_backs.between(BTC, NOON + later * MINUTE, NOON + (70 + later) * MINUTE)

    assert table.asked == [(70 + later - SETTLING - 1, 70 + later)]


def test_a_repair_of_what_was_not_proven_is_read() -> None:
    whole = proven()
    store(*whole[:40], *whole[41:])
    table, look_backs = watched()
    look_backs.between(BTC, NOON, NOON + LENGTH * MINUTE)
    store(whole[40])

    assert look_backs.between(BTC, NOON, NOON + LENGTH * MINUTE) == whole
    assert table.asked[1:] == [(0, SETTLING), (40 - SETTLING, 41 + SETTLING), (LENGTH - SETTLING, LENGTH)]


def test_many_holes_are_read_over_at_once() -> None:
    holes = range(25, 25 * (QUERIES + 1), 25)
    store(*(bar for row, bar in enumerate(proven(150)) if row not in holes))
    table, look_backs = watched()
    for _ in range(2):
        look_backs.between(BTC, NOON, NOON + 150 * MINUTE)

    assert table.asked == [(0, 150)] * 2


def test_klines_open_bars_and_a_broken_row_of_ids_are_never_settled() -> None:
    whole = proven()
    settled_rows = {bar.start for bar in settled(whole)}
    assert settled_rows == {bar.start for bar in whole[SETTLING:-SETTLING]}
    for spoilt in (
        replace(whole[45], source=Source.KLINES, ranges=(), prior_id=None, next_id=None),
        replace(whole[45], closed=False),
        replace(whole[45], next_id=whole[45].next_id + 1),
        replace(whole[45], ranges=((1000, 1000),), prior_id=999, next_id=1001),
    ):
        kept = {bar.start for bar in settled([*whole[:45], spoilt, *whole[46:]])}
        near = {bar.start for bar in whole[45 - SETTLING + 1 : 45 + SETTLING]}
        assert kept < settled_rows
        assert not kept & near


def test_what_is_lacking_are_the_spans_between_what_is_held() -> None:
    assert lacking(0, 5 * MINUTE, []) == [(0, 5 * MINUTE)]
    assert lacking(0, 5 * MINUTE, [0, MINUTE, 3 * MINUTE]) == [(2 * MINUTE, 3 * MINUTE), (4 * MINUTE, 5 * MINUTE)]
    assert lacking(0, MINUTE, [0]) == []


def test_markets_are_kept_apart_and_what_lies_before_is_forgotten() -> None:
    other = Market("kraken", "ETH-USD")
    store(*proven(), *(replace(bar, market=other, open=7) for bar in proven()))
    _, look_backs = watched()
    for market in (BTC, other):
        look_backs.between(market, NOON, NOON + 80 * MINUTE)
        later = look_backs.between(market, NOON + 30 * MINUTE, NOON + LENGTH * MINUTE)
        assert {bar.market for bar in later} == {market}

    assert all(min(kept) >= NOON + 30 * MINUTE for kept in look_backs.settled.values())
