"""The producer against a stream that refuses, fails in part, and forgets to answer: nothing lost, nothing overtaken."""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from moto import mock_aws

from btc import tape
from btc.aws.streams import FULL_BYTES, TradeStream, UndeliveredError
from btc.tape import Watermark
from btc.trades import Market, Trade, Trades

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

BTC = Market("kraken", "BTC-USD")
ETH = Market("kraken", "ETH-USD")
NOON = 1_762_776_000_000_000


class Clock:
    """Time that passes only when slept."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Faults:
    """Refuses, drops records of, or forgets the answers to PutRecords, as its script says; then lets all pass."""

    def __init__(self, client: "KinesisClient", script: list[str], seed: int = 7) -> None:
        self.script = script
        self.random = random.Random(seed)
        self.dropped: list[int] = []
        self.fault = ""
        self.count = 0
        events: Any = client.meta.events
        events.register("provide-client-params.kinesis.PutRecords", self.drop)
        events.register("before-send.kinesis.PutRecords", self.refuse)
        events.register("after-call.kinesis.PutRecords", self.answer)

    def drop(self, params: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.fault = self.script.pop(0) if self.script else ""
        self.count = len(params["Records"])
        share = {"": 0.0, "forgotten": 0.0, "partial": 0.5}.get(self.fault, 1.0)
        self.dropped = [row for row in range(self.count) if self.random.random() < share]
        kept = [record for row, record in enumerate(params["Records"]) if row not in self.dropped]
        # Moto sees every request, and a request holds a record: where none may arrive, one that is not ours stands in.
        return {**params, "Records": kept or [{"Data": b"dropped", "PartitionKey": "dropped"}]}

    def refuse(self, request: Any, **_: Any) -> AWSResponse | None:
        code = {"throttled": "ProvisionedThroughputExceededException", "missing": "ResourceNotFoundException"}
        if self.fault in code:
            return response(request.url, 400, f'{{"__type":"{code[self.fault]}","message":"no"}}')
        return response(request.url, 503, "busy") if self.fault == "down" else None

    def answer(self, parsed: dict[str, Any], **_: Any) -> None:
        if self.fault == "forgotten":
            raise ReadTimeoutError(endpoint_url="kinesis")
        if self.fault in ("partial", "all"):
            accepted = iter(parsed["Records"])
            failure = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow down"}
            parsed["Records"] = [failure if row in self.dropped else next(accepted) for row in range(self.count)]
            parsed["FailedRecordCount"] = len(self.dropped)


def response(url: str, status: int, body: str) -> AWSResponse:
    class Raw:
        def stream(self, **_: Any) -> Iterator[bytes]:
            yield body.encode()

    return AWSResponse(url, status, HTTPHeaders(), Raw())


@pytest.fixture
def kinesis() -> Iterator["KinesisClient"]:
    with mock_aws():
        yield open_stream()


def open_stream() -> "KinesisClient":
    client: KinesisClient = boto3.client(
        "kinesis",
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
    )
    client.create_stream(StreamName="trades", ShardCount=1)
    return client


def stream_of(client: "KinesisClient", clock: Clock | None = None, **options: Any) -> TradeStream:
    clock = clock or Clock()
    return TradeStream(client, "trades", batch_s=0.2, clock=clock, sleep=clock.sleep, jitter=lambda: 0.5, **options)


def trades(first: int, count: int, market: Market = BTC) -> Trades:
    rows = (
        Trade(market, identity, NOON + identity * 1000, 6_350_190_000_000, 4_134 * identity, True)
        for identity in range(first, first + count)
    )
    return Trades.of(market, rows)


def received(client: "KinesisClient") -> list[Trades | Watermark]:
    [shard] = client.describe_stream(StreamName="trades")["StreamDescription"]["Shards"]
    iterator = client.get_shard_iterator(
        StreamName="trades", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    entries = []
    while True:
        page = client.get_records(ShardIterator=iterator)
        entries += [tape.decode(record["Data"]) for record in page["Records"] if record["PartitionKey"] != "dropped"]
        if not page["Records"]:
            return entries
        iterator = page["NextShardIterator"]


def ids(entries: list[Trades | Watermark], market: Market = BTC) -> list[int]:
    return [
        identity for entry in entries if isinstance(entry, Trades) and entry.market == market for identity in entry.ids
    ]


def assert_no_watermark_ran_ahead(entries: list[Trades | Watermark]) -> None:
    for market in (BTC, ETH):
        seen: set[int] = set()
        for entry in entries:
            if entry.market != market:
                continue
            if isinstance(entry, Trades):
                seen |= set(entry.ids)
            else:
                assert seen >= set(range(1, entry.last_id + 1))


def test_trades_wait_for_others_and_share_a_record(kinesis: "KinesisClient") -> None:
    clock = Clock()
    stream = stream_of(kinesis, clock)

    for first in range(1, 100):
        stream.put(trades(first, 1))
        stream.pump()
        clock.sleep(0.001)
    assert received(kinesis) == []
    clock.sleep(0.2)
    stream.pump()

    [entry] = received(kinesis)
    assert entry == trades(1, 99)
    assert stream.buffered_bytes == 0
    assert (stream.counters.records, stream.counters.trades, stream.counters.requests) == (1, 99, 1)


def test_records_stay_within_one_payload_unit_and_fill_it(kinesis: "KinesisClient") -> None:
    stream = stream_of(kinesis)

    for first in range(1, 20_001, 10):
        stream.put(trades(first, 10))
    stream.flush(1)

    assert ids(received(kinesis)) == list(range(1, 20_001))
    assert stream.counters.bytes / stream.counters.records > 0.6 * tape.MAX_BYTES
    assert all(len(tape.encode(entry)) <= tape.MAX_BYTES for entry in received(kinesis))


def test_markets_share_requests_but_not_records(kinesis: "KinesisClient") -> None:
    stream = stream_of(kinesis)

    stream.put(trades(1, 3))
    stream.put(trades(1, 2, ETH))
    stream.put(Watermark(ETH, NOON, 2))
    stream.flush(1)

    entries = received(kinesis)
    assert (ids(entries), ids(entries, ETH)) == ([1, 2, 3], [1, 2])
    assert stream.counters.requests == 2
    assert entries[-1] == Watermark(ETH, NOON, 2)


def test_of_watermarks_with_no_trade_between_them_the_last_is_sent(kinesis: "KinesisClient") -> None:
    stream = stream_of(kinesis)

    for second in range(5):
        stream.put(Watermark(BTC, NOON + second, 0))
    stream.flush(1)

    assert received(kinesis) == [Watermark(BTC, NOON + 4, 0)]


def test_a_watermark_is_sent_at_once_behind_its_trades_and_leaves_other_markets_to_gather(
    kinesis: "KinesisClient",
) -> None:
    clock = Clock()
    stream = stream_of(kinesis, clock)

    stream.put(trades(1, 3, ETH))
    stream.put(trades(1, 2))
    stream.put(Watermark(BTC, NOON + 2000, 2))
    stream.put(trades(3, 1))
    stream.pump()
    assert received(kinesis) == [trades(1, 2), Watermark(BTC, NOON + 2000, 2), trades(3, 1)]

    clock.sleep(0.2)
    stream.pump()
    assert ids(received(kinesis), ETH) == [1, 2, 3]


def test_much_is_sent_before_it_has_waited(kinesis: "KinesisClient") -> None:
    stream = stream_of(kinesis)

    put = 0
    while not stream.counters.requests:
        stream.put(trades(put + 1, 500))
        put += 500
        stream.pump()

    assert ids(received(kinesis)) == list(range(1, put + 1))
    assert 0.9 * FULL_BYTES < stream.counters.bytes < 1.1 * FULL_BYTES


@tries(max_examples=25)
@given(
    st.lists(st.sampled_from(["", "throttled", "partial", "all", "down", "forgotten"]), max_size=12),
    st.lists(st.tuples(st.sampled_from([BTC, ETH]), st.integers(0, 1200), st.booleans()), min_size=1, max_size=12),
    st.integers(0, 10**6),
)
def test_whatever_fails_nothing_is_lost_and_no_watermark_overtakes_its_trades(
    script: list[str], puts: list[tuple[Market, int, bool]], seed: int
) -> None:
    with mock_aws():
        client, clock = open_stream(), Clock()
        Faults(client, script, seed)
        stream = stream_of(client, clock)
        last = {BTC: 0, ETH: 0}
        for market, count, marked in puts:
            if count:
                stream.put(trades(last[market] + 1, count, market))
                last[market] += count
            if marked:
                stream.put(Watermark(market, NOON + last[market] * 1000, last[market]))
            clock.sleep(0.15)
            stream.pump()
        stream.flush(600)

        entries = received(client)
        for market in (BTC, ETH):
            assert set(ids(entries, market)) == set(range(1, last[market] + 1))
        assert_no_watermark_ran_ahead(entries)
        assert stream.buffered_bytes == 0


def test_a_refusing_stream_is_asked_ever_more_rarely_and_the_buffer_is_bounded(kinesis: "KinesisClient") -> None:
    clock = Clock()
    Faults(kinesis, ["throttled"] * 1000)
    stream = stream_of(kinesis, clock, max_buffered_bytes=1_000_000)

    first = 1
    while not stream.full:
        stream.put(trades(first, 50))
        first += 50
        clock.sleep(0.05)
        stream.pump()

    assert stream.buffered_bytes < 1_100_000
    assert stream.counters.requests < clock.now
    with pytest.raises(UndeliveredError, match="not delivered within 3 s"):
        stream.flush(3)


def test_what_no_retry_can_mend_is_raised(kinesis: "KinesisClient") -> None:
    Faults(kinesis, ["missing"])
    stream = stream_of(kinesis)
    stream.put(trades(1, 1))

    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        stream.flush(1)
    stream.flush(1)

    assert ids(received(kinesis)) == [1]
