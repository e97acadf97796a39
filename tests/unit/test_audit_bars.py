"""The function that audits bars and mends them, against a venue over real HTTP and the fold of aggregate_bars."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btc import audits, tape
from btc.aws import clients
from btc.aws.tables import BarTable, bar_item
from btc.bars import Bar, Source
from btc.settings import AuditBars
from btc.tape import Watermark
from btc.times import FOREVER, MINUTE, SECOND, minute_of
from btc.trades import Market, Trade, Trades
from btc.units import UNIT
from tests.unit.aws import CONTEXT, aws, fold, load
from tests.unit.market import BTC, NOON, tapes
from tests.unit.rest_server import Server, serving

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]
ETHER = Market("kraken", "ETH-USD")


@dataclass
class Venue:
    """Kraken's Trades, from a list that the test may shorten."""

    has: list[Trade] = field(default_factory=list)

    def __call__(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        assert path == "/0/public/Trades"
        market = {"XBTUSD": BTC, "ETHUSD": ETHER}[query["pair"]]
        found = [each for each in self.has if each.market == market and each.time * 1000 > int(query["since"])]
        rows = [_row(trade) for trade in found[:1000]]
        last = max([int(query["since"]), *(int(row[2] * 10**9) for row in rows)])
        return {"error": [], "result": {query["pair"]: rows, "last": str(last)}}


def _row(trade: Trade) -> list[Any]:
    side = "b" if trade.taker_buys else "s"
    price, size = f"{trade.price / UNIT:.8f}", f"{trade.size / UNIT:.8f}"
    return [price, size, trade.time / SECOND, side, "l", "", trade.trade_id]


@pytest.fixture
def venue() -> Venue:
    return Venue()


@pytest.fixture
def server(venue: Venue) -> Iterator[Server]:
    with serving(venue) as running:
        yield running


Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def audit(aws, server, monkeypatch) -> Run:
    """One run; returns each market's metrics. What it sent has been folded when it returns."""
    clients.kinesis().create_stream(StreamName="trades", ShardCount=1)
    told = AuditBars(
        bars_table="bars",
        state_table="state",
        stream="trades",
        markets=(str(BTC), str(ETHER)),
        look_back_days=2,
        every_minutes=15,
        rest_url=server.url,
    )
    module = load("audit_bars", told)

    lines: list[dict[str, Any]] = []

    def tell() -> None:
        lines.append(module.metrics.serialize_metric_set())
        module.metrics.clear_metrics()

    monkeypatch.setattr(module.metrics, "flush_metrics", tell)

    def run(now: int = NOON + 20 * MINUTE, seconds: float = 300) -> list[dict[str, Any]]:
        lines.clear()
        monkeypatch.setattr(module.time, "time_ns", lambda: now * 1000)
        context = SimpleNamespace(**vars(CONTEXT), get_remaining_time_in_millis=lambda: seconds * 1000)
        module.handler({}, context)
        for entry in drained():
            fold(entry)
        return list(lines)

    return run


def drained() -> list[Trades]:
    """What lies in the stream, which is empty afterwards."""
    client = clients.kinesis()
    shard = client.list_shards(StreamName="trades")["Shards"][0]["ShardId"]
    place = client.get_shard_iterator(StreamName="trades", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = client.get_records(ShardIterator=place["ShardIterator"])["Records"]
    client.delete_stream(StreamName="trades")
    client.create_stream(StreamName="trades", ShardCount=1)
    entries = [tape.decode(record["Data"]) for record in records]
    return [entry for entry in entries if isinstance(entry, Trades)]


def a_trade_a_minute(count: int, market: Market = BTC) -> list[Trade]:
    return [Trade(market, 10 + row, NOON + row * MINUTE + row, 100, 10 + row, row % 2 == 0) for row in range(count)]


def alive(trades: Sequence[Trade]) -> Watermark:
    return Watermark(trades[0].market, minute_of(trades[-1].time) + 2 * MINUTE, trades[-1].trade_id)


def stored() -> dict[int, Bar]:
    return {bar.start: bar for bar in BarTable("bars", clients.dynamodb()).between(BTC, 0, FOREVER)}


def spoil(spoilt: Iterable[Bar]) -> None:
    for bar in spoilt:
        item = bar_item(bar) | {"version": {"N": "7"}, "expires": {"N": "9"}}
        clients.dynamodb().put_item(TableName="bars", Item=item)


def figures(line: dict[str, Any]) -> tuple[int, ...]:
    names = ("UnprovenMinutes", "KlineMinutes", "UnclosedMinutes", "RepairedTrades", "UnrepairableMinutes")
    return tuple(int(line[name][0]) for name in names)


def test_lost_trades_are_fetched_and_the_next_run_finds_nothing(audit, venue):
    venue.has = a_trade_a_minute(12)
    fold([trade for trade in venue.has if trade.trade_id not in (14, 15, 18)], alive(venue.has))

    first, second = audit(), audit()

    assert [figures(line) for line in first] == [(7, 0, 0, 3, 0)]
    assert [figures(line) for line in second] == [(0, 0, 0, 0, 0)]
    assert all(bar.complete and bar.closed for start, bar in stored().items() if start > NOON)


def test_metrics_tell_of_each_market_apart(audit, venue):
    venue.has = [*a_trade_a_minute(3), *a_trade_a_minute(5, ETHER)]
    for market in (BTC, ETHER):
        trades = [trade for trade in venue.has if trade.market == market]
        fold([trades[0], trades[-1]], alive(trades))

    lines = audit()

    assert [(line["service"], line["venue"], line["symbol"]) for line in lines] == [
        ("test", "kraken", "BTC-USD"),
        ("test", "kraken", "ETH-USD"),
    ]
    assert [line["RepairedTrades"] for line in lines] == [[1.0], [3.0]]
    [told] = lines[0]["_aws"]["CloudWatchMetrics"]
    assert [set(dimensions) for dimensions in told["Dimensions"]] == [{"service", "venue", "symbol"}]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tapes(max_size=12), st.data())
def test_bars_left_open_or_apart_are_mended_by_the_trades_that_come_again(audit, venue, tape, data):
    for item in clients.dynamodb().scan(TableName="bars")["Items"]:
        clients.dynamodb().delete_item(TableName="bars", Key={key: item[key] for key in ("market", "start")})
    clients.dynamodb().delete_item(TableName="state", Key={"name": {"S": f"watermark:{BTC}"}})
    venue.has = list(tape)
    fold(tape, alive(tape))
    whole = stored()
    for bar in data.draw(st.lists(st.sampled_from(list(whole.values())), max_size=4, unique_by=lambda bar: bar.start)):
        how = data.draw(st.sampled_from([{"closed": False}, {"prior_id": None}, {"next_id": None}]))
        spoil([replace(bar, **how)])
    quiet = [bar for bar in whole.values() if not bar.ranges]
    for bar in data.draw(st.lists(st.sampled_from(quiet), max_size=3)) if quiet else ():
        key = {name: bar_item(bar)[name] for name in ("market", "start")}
        clients.dynamodb().delete_item(TableName="bars", Key=key)

    audit()

    assert stored() == whole


def test_what_the_venue_lacks_stays_marked_and_is_asked_for_ever_more_rarely(audit, venue, server):
    trades = a_trade_a_minute(6)
    venue.has = [trade for trade in trades if trade.trade_id != 12]
    fold(venue.has, alive(trades))
    runs = range(1, 97)
    asked, told = [], []
    for run in runs:
        before = len(server.asked)
        told += audit(NOON + run * 15 * MINUTE)
        asked.append(len(server.asked) > before)

    assert {figures(line) for line in told} == {(3, 0, 0, 0, 3)}
    assert asked[:8] == [True] * 8
    assert sum(asked) < 8 * 5

    venue.has = trades
    asked_again = next(run for run in range(97, 200) if audit(NOON + run * 15 * MINUTE)[0]["RepairedTrades"] == [1.0])
    assert asked_again < 97 + 97 // audits.TRIES + 2


def test_a_run_ends_in_time_and_leaves_the_rest_to_the_next(audit, venue, server):
    venue.has = a_trade_a_minute(12)
    fold([venue.has[0], venue.has[-1]], alive(venue.has))

    [line] = audit(seconds=10)

    assert server.asked == []
    assert figures(line) == (12, 0, 0, 0, 0)
    assert figures(audit()[0])[3] == 10


def test_a_venue_that_refuses_one_market_does_not_stop_the_other(audit, venue, server):
    venue.has = [*a_trade_a_minute(3), *a_trade_a_minute(5, ETHER)]
    for market in (BTC, ETHER):
        trades = [trade for trade in venue.has if trade.market == market]
        fold([trades[0], trades[-1]], alive(trades))
    server.script = [(200, {}, {"error": ["EQuery:Unknown asset pair"]})]

    lines = audit()

    assert [figures(line) for line in lines] == [(3, 0, 0, 0, 0), (5, 0, 0, 3, 0)]


def test_a_table_that_fails_for_one_market_does_not_stop_the_other_and_is_told_at_the_end(audit, venue, monkeypatch):
    venue.has = a_trade_a_minute(5, ETHER)
    fold([venue.has[0], venue.has[-1]], alive(venue.has))
    fold(a_trade_a_minute(3), alive(a_trade_a_minute(3)))
    read = BarTable.onwards

    def fails(table: BarTable, market: Market, start: int) -> list[Bar]:
        if market == BTC:
            raise clients.FAILURES[1]({"Error": {"Code": "ThrottlingException"}}, "Query")
        return read(table, market, start)

    monkeypatch.setattr(BarTable, "onwards", fails)

    with pytest.raises(RuntimeError, match="not audited: kraken:BTC-USD"):
        audit()
    assert sum(len(part) for part in drained()) == 3


def test_klines_are_counted_and_not_asked_for(audit, venue, server):
    venue.has = a_trade_a_minute(8)
    fold([*venue.has[:3], *venue.has[5:]], alive(venue.has))
    spoil(
        Bar(BTC, NOON + row * MINUTE, 9, 9, 9, 9, 9, None, None, 3, closed=True, source=Source.KLINES) for row in (3, 4)
    )

    assert figures(audit()[0]) == (0, 4, 0, 0, 0)
    assert server.asked == []


def test_a_market_that_was_never_alive_is_not_judged(audit):
    assert audit() == []
