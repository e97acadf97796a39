"""The function that rewrites a day of the lake from the online store."""

from decimal import Decimal

import awswrangler as wr
import pytest

from btc.aws import clients, lake
from btc.aws.tables import bar_item
from btc.settings import ArchiveBars
from btc.tape import Watermark
from btc.times import DAY, MINUTE, day_of
from btc.trades import Trade
from tests.unit.aws import CONTEXT, aws, fold, load
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
    return wr.s3.read_parquet(lake.bars_path("lake", BTC, day_of(NOON) + offset * DAY))


def test_a_day_holds_its_closed_bars_exactly(archive):
    archive(minutes_of(1, 2, closed_until=2))

    assert list(day().open) == [Decimal("105433.60000001")]
    assert list(day().turnover) == [Decimal("105433.60000001") * Decimal("0.00000123")]
    assert list(day().columns) == list(lake.BAR_TYPES)


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
