"""The function that joins days of the online store into the lake."""

from decimal import Decimal

import awswrangler as wr
import pytest

from btc import lake
from btc.aws import archiving, clients
from btc.aws.lake import Lake
from btc.aws.tables import BarTable, bar_item
from btc.settings import ArchiveBars
from btc.tape import Watermark
from btc.times import DAY, MINUTE, day_of, iso
from btc.trades import Trade
from tests.unit.aws import CONTEXT, aws, called, fold, load
from tests.unit.market import BTC, NOON

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]


@pytest.fixture
def archive(aws):
    module = load("archive_bars", ArchiveBars(bars_table="bars", lake_bucket="lake"))

    def run(changed):
        records = [{"eventName": "MODIFY", "dynamodb": {"NewImage": bar_item(bar)}} for bar in changed]
        module.handler({"Records": records}, CONTEXT)

    return run


def minutes_of(*minutes: int, closed_until: int):
    tape = [
        Trade(BTC, row, NOON + minute * MINUTE, 10_543_360_000_001, 123, True) for row, minute in enumerate(minutes)
    ]
    return fold(tape, Watermark(BTC, NOON + closed_until * MINUTE, tape[-1].trade_id))


def day(offset: int = 0):
    return wr.s3.read_parquet(f"s3://lake/{lake.bars_key(BTC, day_of(NOON) + offset * DAY)}")


def test_a_day_holds_its_closed_bars_exactly(archive):
    archive(minutes_of(1, 2, closed_until=2))

    assert list(day().open) == [Decimal("105433.60000001")]
    assert list(day().turnover) == [Decimal("105433.60000001") * Decimal("0.00000123")]
    assert list(day().columns) == list(lake.BARS)


def test_writing_twice_or_late_leaves_the_same_object(archive):
    changed = minutes_of(1, 2, 5, closed_until=6)
    archive(changed)
    first = clients.s3().list_objects_v2(Bucket="lake")["Contents"]
    archive(changed[:1])
    archive(changed)
    again = clients.s3().list_objects_v2(Bucket="lake")["Contents"]

    assert [(item["Key"], item["ETag"]) for item in first] == [(item["Key"], item["ETag"]) for item in again]
    assert len(day()) == 5


def test_bars_across_midnight_go_to_their_own_days(archive):
    archive(minutes_of(1, 12 * 60, closed_until=12 * 60 + 1))

    assert len(day()) == 12 * 60 - 1
    assert len(day(1)) == 1


def test_nothing_is_asked_of_aws_but_to_query_and_to_read_and_write_the_day(archive):
    changed = minutes_of(1, 2, closed_until=3)
    with called() as operations:
        archive(changed)
        archive(changed)

    assert operations == {"Query", "GetObject", "PutObject"}


def forget(*minutes: int):
    """What the table's time to live does."""
    for minute in minutes:
        key = {"market": {"S": str(BTC)}, "start": {"S": iso(NOON + minute * MINUTE)}}
        clients.dynamodb().delete_item(TableName="bars", Key=key)


def test_bars_that_only_the_lake_still_has_are_kept(archive):
    changed = minutes_of(1, 2, 3, closed_until=4)
    archive(changed)
    forget(1, 2)
    archive(changed[-1:])

    assert list(day().start.dt.minute) == [1, 2, 3]
    assert list(day().complete) == [False, True, True]


def test_a_late_trade_to_a_bar_that_only_the_lake_has_is_added_to_it(archive):
    first, late = (Trade(BTC, identity, NOON + MINUTE + identity, 100, 1, True) for identity in (1, 2))
    archive(fold([first], Watermark(BTC, NOON + 2 * MINUTE, 1)))
    forget(1)
    archive(fold([late], Watermark(BTC, NOON + 3 * MINUTE, 2)))

    assert list(day().ranges) == ["1-2", ""]
    assert list(day().trade_count) == [2, 0]


def test_an_expired_bar_changes_nothing(archive):
    changed = minutes_of(1, 2, closed_until=3)
    archive(changed)
    before = day()
    forget(1, 2)
    archive([])

    assert day().equals(before)


class Racing:
    """The table, and a second invocation that runs whole between this one's reading of it and its writing."""

    def __init__(self, other):
        self.other = other
        self.table = BarTable("bars", clients.dynamodb())

    def between(self, *edges):
        read = self.table.between(*edges)
        other, self.other = self.other, None
        if other:
            other()
        return read


@pytest.mark.parametrize("before", [False, True], ids=["no object yet", "an object"])
def test_of_two_invocations_at_once_neither_loses_the_others_bars(archive, before):
    changed = minutes_of(1, 2, closed_until=3)
    if before:
        archive(changed)
        forget(1)
    fold([Trade(BTC, 2, NOON + 3 * MINUTE, 100, 1, True)], Watermark(BTC, NOON + 4 * MINUTE, 2))

    def other():
        archive(fold([Trade(BTC, 3, NOON + 5 * MINUTE, 100, 1, True)], Watermark(BTC, NOON + 6 * MINUTE, 3)))
        forget(*range(1, 6))

    archiving.archive_bars(Lake("lake", clients.s3()), Racing(other), BTC, day_of(NOON))

    assert list(day().start.dt.minute) == [1, 2, 3, 4, 5]
    assert list(day().trade_count) == [1, 1, 1, 0, 1]
