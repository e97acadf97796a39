"""The function that turns stream records into bars."""

import pytest

from btc.aws import clients
from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.settings import AggregateBars
from btc.tape import Watermark
from btc.times import MINUTE
from btc.trades import Market, Trade, Trades
from tests.unit.aws import CONTEXT, aws, kinesis_event, load
from tests.unit.market import BTC, NOON

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]
ETHER = Market("kraken", "ETH-USD")


def trades(market: Market, *ids: int) -> Trades:
    return Trades.of(market, [Trade(market, identity, NOON + identity * MINUTE, 100, 1, True) for identity in ids])


@pytest.fixture
def aggregate(aws):
    module = load("aggregate_bars", AggregateBars(bars_table="bars", state_table="state", retention_days=30))
    return lambda *entries: module.handler(kinesis_event(entries), CONTEXT)


def stored(market: Market) -> list[tuple[int | None, bool, bool]]:
    table = BarTable("bars", clients.dynamodb())
    return [(bar.last_id, bar.closed, bar.complete) for bar in table.between(market, 0, NOON + 100 * MINUTE)]


def test_markets_of_one_batch_are_kept_apart(aggregate):
    aggregate(trades(BTC, 0, 1), trades(ETHER, 5), Watermark(BTC, NOON + 2 * MINUTE, 1))

    assert stored(BTC) == [(0, True, False), (1, True, True)]
    assert stored(ETHER) == [(5, False, False)]


def test_what_comes_before_an_unreadable_record_is_kept_and_the_stream_resumes_at_it(aggregate):
    answer = aggregate(trades(BTC, 0), b"poison", trades(BTC, 1))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert [last for last, _, _ in stored(BTC)] == [0]


def test_a_batch_delivered_twice_changes_nothing(aggregate):
    for _ in range(2):
        assert aggregate(trades(BTC, 0, 1), Watermark(BTC, NOON + 3 * MINUTE, 1)) == {"batchItemFailures": []}

    assert stored(BTC) == [(0, True, False), (1, True, True), (None, True, True)]


def test_the_state_knows_how_far_the_feed_is_alive(aggregate):
    aggregate(trades(BTC, 0), Watermark(BTC, NOON + MINUTE, 0), Watermark(BTC, NOON + 4 * MINUTE, 0))

    assert StateTable("state", clients.dynamodb()).watermark(BTC) == Watermark(BTC, NOON + 4 * MINUTE, 0)
