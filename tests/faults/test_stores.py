"""The stores in memory answer as moto does, over whatever the product's own tables and stream ask of them."""

import base64
from collections.abc import Iterator
from random import Random
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from btc.aws.state import StateTable
from btc.aws.tables import BarTable, Stored
from btc.bars import Bar
from btc.tape import Watermark
from btc.times import FOREVER, MINUTE
from btc.trades import Market
from tests.faults.faults import Faults
from tests.faults.services import KEYS, Services, restore_time
from tests.faults.stores import Shard
from tests.faults.tapes import NOON
from tests.faults.world import World

MARKETS = (Market("kraken", "BTC-USD"), Market("kraken", "ETH-USD"))


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """Two DynamoDB clients: moto's, and one on the stores in memory, with which nothing is wrong."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    world = World()
    services = Services(world, Faults(Random(1), world.clock, calm=0.0))
    with mock_aws():
        real = boto3.client("dynamodb", region_name="us-east-1")
        for name, keys in KEYS.items():
            real.create_table(
                TableName=name,
                KeySchema=[
                    {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
                ],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
                BillingMode="PAY_PER_REQUEST",
            )
        ours = services.attach(boto3.client("dynamodb", region_name="us-east-1", config=Config()))
        # Moto hears of its requests too, once its own turn is over.
        yield real, ours
        restore_time()


def bar(market: Market, minute: int, *, traded: bool) -> Bar:
    ranges = ((minute * 10, minute * 10 + 3),) if traded else ()
    return Bar(market, NOON + minute * MINUTE, 1, 1, 1, 1, ranges=ranges)


def act(client: Any, random: Random) -> list[Any]:
    """Two hundred things the product does with its tables, and what it is told."""
    table, state = BarTable("bars", client), StateTable("state", client)
    told: list[Any] = []
    for _ in range(200):
        market, minute = random.choice(MARKETS), random.randrange(40)
        match random.randrange(5):
            case 0 | 1:
                over = Stored(bar(market, minute, traded=True), random.randrange(3)) if random.random() < 0.7 else None
                new = bar(market, minute, traded=random.random() < 0.3)
                told.append(table.replace([new], {new.start: over} if over else {}, FOREVER))
            case 2:
                told.append(
                    table.around(market, NOON + minute * MINUTE, NOON + (minute + random.randrange(9)) * MINUTE)
                )
            case 3:
                first = NOON + minute * MINUTE
                told.append(table.between(market, first, first + random.randrange(20) * MINUTE + MINUTE))
            case _:
                mark = Watermark(market, NOON + random.randrange(100), minute)
                random.choice([state.settle, lambda mark: state.advance(mark, NOON)])(mark)
                told.append(state.reached(market))
    return told


@pytest.mark.parametrize("seed", range(3))
def test_tables_in_memory_answer_as_motos_do(pair: tuple[Any, Any], seed: int) -> None:
    real, ours = (act(client, Random(seed)) for client in pair)

    assert ours == real


def test_a_refused_condition_has_motos_error_code(pair: tuple[Any, Any]) -> None:
    codes = []
    for client in pair:
        item = {"market": {"S": "m"}, "start": {"S": "s"}}
        client.put_item(TableName="bars", Item=item)
        with pytest.raises(ClientError) as refused:
            client.put_item(TableName="bars", Item=item, ConditionExpression="attribute_not_exists(market)")
        codes.append(refused.value.response["Error"]["Code"])

    assert codes[0] == codes[1] == "ConditionalCheckFailedException"


def test_a_shard_in_memory_takes_and_refuses_records_one_by_one() -> None:
    shard, failing = Shard(), iter([False, True, False])
    records = [{"Data": base64.b64encode(text).decode(), "PartitionKey": "k"} for text in (b"1", b"2", b"3")]

    answer = shard.put_records({"Records": records}, lambda: next(failing))

    assert shard.records == [("k", b"1"), ("k", b"3")]
    assert answer["FailedRecordCount"] == 1
    assert ["ErrorCode" in result for result in answer["Records"]] == [False, True, False]
