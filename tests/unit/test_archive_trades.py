"""The function that keeps the tape."""

from itertools import pairwise

import awswrangler as wr
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btc import lake, parquet
from btc.aws import clients
from btc.settings import ArchiveTrades
from btc.tape import Watermark
from btc.times import MINUTE, day_of
from btc.trades import Market, Trade, Trades
from tests.unit.aws import CONTEXT, aws, called, kinesis_event, load
from tests.unit.market import BTC, NOON, tapes
from tests.unit.test_parquet import athena

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]
ETHER = Market("kraken", "ETH-USD")
HALF_A_DAY = 12 * 60


def trades(market: Market, *ids: int, minute: int = 0) -> Trades:
    return Trades.of(
        market,
        [Trade(market, identity, NOON + minute * MINUTE + identity, 10_543_360_000_001, 123, True) for identity in ids],
    )


@pytest.fixture
def archive(aws):
    module = load("archive_trades", ArchiveTrades(lake_bucket="lake"))
    return lambda *entries: module.handler(kinesis_event(entries), CONTEXT)


def objects() -> dict[str, str]:
    """Keys and what they hold."""
    listed = clients.s3().list_objects_v2(Bucket="lake").get("Contents", [])
    return {item["Key"]: item["ETag"] for item in listed}


def read(market: Market = BTC) -> Trades:
    contents = [
        clients.s3().get_object(Bucket="lake", Key=key)["Body"].read()
        for key in objects()
        if f"symbol={market.symbol}/" in key
    ]
    return parquet.trades_of(contents, market)


def test_one_object_a_market_day_and_batch(archive):
    archive(
        trades(BTC, 1, 2),
        trades(ETHER, 7),
        Watermark(BTC, NOON, 2),
        trades(BTC, 3),
        trades(BTC, 4, 5, minute=HALF_A_DAY),
    )

    assert [key.rpartition("-")[0] for key in objects()] == [
        "tape/venue=kraken/symbol=BTC-USD/date=2025-11-10/1-3",
        "tape/venue=kraken/symbol=BTC-USD/date=2025-11-11/4-5",
        "tape/venue=kraken/symbol=ETH-USD/date=2025-11-10/7-7",
    ]


def test_the_tape_holds_the_trades_to_the_microsecond_and_the_last_unit(archive):
    sent = trades(BTC, 1, 2, 3)
    archive(sent)

    assert read() == sent
    [key] = objects()
    frame = wr.s3.read_parquet(f"s3://lake/{key}")
    assert list(frame.columns) == list(lake.TAPE)
    assert (str(frame.price[0]), str(frame.time[2])) == ("105433.60000001", "2025-11-10 12:00:00.000003")


def test_an_object_has_the_columns_athena_is_told_of(archive):
    archive(trades(BTC, 1))

    [key] = objects()
    written = wr.s3.read_parquet_metadata(f"s3://lake/{key}")[0]
    assert written == lake.TAPE
    assert {field.name: athena(field.type) for field in parquet.schema(lake.TAPE)} == lake.TAPE


def test_a_batch_delivered_again_or_in_other_order_leaves_the_same_objects(archive):
    archive(trades(BTC, 1, 2), trades(BTC, 3))
    before = objects()
    archive(trades(BTC, 3), trades(BTC, 1, 2), trades(BTC, 2))

    assert objects() == before


def test_a_batch_cut_otherwise_overwrites_nothing_and_its_trades_count_once(archive):
    archive(trades(BTC, 1, 2, 3))
    archive(trades(BTC, 1, 3))
    archive(trades(BTC, 1), trades(BTC, 2), b"poison")

    assert len(objects()) == 3
    assert read() == trades(BTC, 1, 2, 3)


def test_what_comes_before_an_unreadable_record_is_kept_and_the_stream_resumes_at_it(archive):
    answer = archive(trades(BTC, 1), b"poison", trades(BTC, 2))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert read() == trades(BTC, 1)


def test_nothing_is_asked_of_aws_but_to_put(archive):
    with called() as operations:
        archive(trades(BTC, 1, 2), trades(BTC, 3, minute=HALF_A_DAY))

    assert operations == {"PutObject"}


def test_watermarks_alone_leave_no_object(archive):
    assert archive(Watermark(BTC, NOON, 1)) == {"batchItemFailures": []}
    assert not objects()


@settings(max_examples=20)
@given(tapes(min_size=2), st.data())
def test_no_trade_is_lost_however_a_delivery_is_cut_and_repeated(tape, data):
    clients.s3().delete_objects(
        Bucket="lake", Delete={"Objects": [{"Key": key} for key in objects()] or [{"Key": "none"}]}
    )
    module = load("archive_trades", ArchiveTrades(lake_bucket="lake"))
    edges = sorted({0, len(tape), *data.draw(st.lists(st.integers(0, len(tape)), max_size=3))})
    parts = [tape[first:after] for first, after in pairwise(edges)]
    for part in [*parts, data.draw(st.sampled_from(parts))]:
        module.handler(kinesis_event([Trades.of(BTC, part)]), CONTEXT)

    assert read() == Trades.of(BTC, tape)
    for key in objects():
        day = key.split("date=")[1][:10]
        assert day in {lake.date(day_of(trade.time)) for trade in tape}
