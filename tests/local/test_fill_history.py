"""The fill as a process: a dump of real trades gives the bars of their replay, and no kill -9 loses or repeats one."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import boto3
import pytest

import local.fill
from btc import ranges, tape
from btc.aws.tables import BarTable
from btc.bars import Bar, Source
from btc.feeds import replay as captures
from btc.feeds.binance import Binance
from btc.settings import AggregateBars, FillHistory
from btc.tape import Watermark
from btc.times import DAY, FOREVER, MINUTE, SECOND, date, day_of, iso, parse_iso
from btc.trades import Market, Trades
from local.exchange.floor import Scenario
from local.replay import replay
from local.running import NotRunningError, announced
from local.stack import Stack
from local.template import synthesised
from tests.local.conftest import ExchangeClient
from tests.local.feeding import running
from tests.unit.dumping import daily_trades, serving_files

ROOT = Path(__file__).parents[2]
BTC = Market("kraken", "BTC-USD")
BINANCE = Market("binance", "BTC-USDT")
NOW = parse_iso("2026-11-20T14:30:20Z")
SETTINGS = FillHistory(stream="trades", bars_table="bars", state_table="state", retention_days=60, bytes_per_s=0)
KEYS = {"bars": ("market", "start"), "state": ("name",)}


class Place:
    """A stream and two tables for one test, and the command on them."""

    def __init__(self, endpoint: str) -> None:
        self.environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            **SETTINGS.to_env(),
        }
        options: dict[str, Any] = {"endpoint_url": endpoint, "region_name": "us-east-1"}
        options |= {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        self.kinesis, self.dynamodb = boto3.client("kinesis", **options), boto3.client("dynamodb", **options)
        self.kinesis.create_stream(StreamName="trades", ShardCount=1)
        for name, keys in KEYS.items():
            self.dynamodb.create_table(
                TableName=name,
                KeySchema=[
                    {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
                ],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
                BillingMode="PAY_PER_REQUEST",
            )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "functions.fill_history", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def entries(self) -> list[Trades | Watermark]:
        """All records of the stream."""
        [shard] = self.kinesis.describe_stream(StreamName="trades")["StreamDescription"]["Shards"]
        told = {"StreamName": "trades", "ShardId": shard["ShardId"]}
        iterator = self.kinesis.get_shard_iterator(**told, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        entries: list[Trades | Watermark] = []
        while page := self.kinesis.get_records(ShardIterator=iterator)["Records"]:
            entries += [tape.decode(record["Data"]) for record in page]
            iterator = self.kinesis.get_shard_iterator(
                **told,
                ShardIteratorType="AFTER_SEQUENCE_NUMBER",
                StartingSequenceNumber=page[-1]["SequenceNumber"],
            )["ShardIterator"]
        return entries


@pytest.fixture
def place() -> Iterator[Place]:
    with running("local.emulator") as addresses:
        yield Place(addresses["endpoint"])


def test_history_of_a_venue_that_throttles_comes_whole_through_any_number_of_kills(
    place: Place, launch_exchange: Callable[[Scenario], AbstractContextManager[ExchangeClient]]
) -> None:
    scenario = Scenario(NOW, history_days=1, trades_per_minute=200, speed=1)
    chance = random.Random(7)
    since, until = NOW - DAY, NOW - 10 * MINUTE
    with launch_exchange(scenario) as exchange:
        arguments = ["rest", "--market", str(BTC), "--from", iso(since), "--until", iso(until)]
        arguments += ["--url", exchange._rest]
        kills = 0
        for _ in range(4):
            process = place.start(*arguments)
            exchange.control(throttle=2)
            # An interpreter with its imports takes most of a second here: death comes amid the work.
            time.sleep(1.5 + 2 * chance.random())
            process.kill()
            process.communicate()
            kills += process.returncode == -9
        exchange.control(throttle=3)
        last = place.start(*arguments)
        output, _ = last.communicate(timeout=120)
        assert last.returncode == 0, output
        exchange.control(throttle=0)
        truth = [row[-1] for row in exchange.history() if since <= row[2] * SECOND < until]

    entries = place.entries()
    parts = [ranges.runs(entry.in_order().ids) for entry in entries if isinstance(entry, Trades)]
    assert kills > 0
    assert ranges.union(*parts) == ((truth[0], truth[-1]),)
    # What comes twice is what lay between the last cursor and the kill: a page or two each time.
    sent = sum(len(entry) for entry in entries if isinstance(entry, Trades))
    assert sent - len(truth) <= 2000 * kills
    held = 0
    for entry in entries:
        if isinstance(entry, Watermark):
            assert entry.last_id <= held
        else:
            held = max(held, entry.ids[-1])


def test_the_command_ends_at_once_when_it_is_told_to_and_says_how_to_go_on(
    place: Place, launch_exchange: Callable[[Scenario], AbstractContextManager[ExchangeClient]]
) -> None:
    process = place.start("rest", "--market", str(BTC), "--from", "2026-11-01", "--url", "http://127.0.0.1:1")
    time.sleep(3)
    process.terminate()
    output, _ = process.communicate(timeout=5)

    assert process.returncode == 143
    assert "the same command goes on from here" in output


def test_the_running_stack_is_filled_by_a_command_of_its_own(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "XBTUSD_1.csv").write_text("1709251200,1,2,1,2,3,4\n")
    arguments = ["files", "--market", str(BTC), "--format", "kraken-ohlcvt", str(tmp_path / "XBTUSD_1.csv")]
    file = tmp_path / "running.json"
    with pytest.raises(NotRunningError, match="no local stack runs"):
        local.fill.fill(arguments, file)
    told = " ".join(f"{name}={value}" for name, value in SETTINGS.to_env().items())

    with announced(place.environment["AWS_ENDPOINT_URL"], "", {"FillHistoryEnvironment": told}, file):
        assert local.fill.fill(arguments, file) == 0
    assert '"bars":1' in capfd.readouterr().out
    [bar] = BarTable("bars", place.dynamodb).between(BTC, 0, FOREVER)
    assert (bar.open, bar.trade_count, bar.source) == (10**8, 4, Source.KLINES)


@pytest.mark.stack
@pytest.mark.xdist_group("stack")
def test_two_days_of_binance_as_dumps_give_the_bars_of_their_replay(market_data: Path) -> None:
    paths = [market_data / "wire" / f"binance_spot_btcusdt_{day}.gz" for day in ("20240808", "20240809")]
    entries = captures.entries(Binance(), BINANCE, paths, Counter())
    trades = [trade for entry in entries if isinstance(entry, Trades) for trade in entry]
    first, last = day_of(trades[0].time), day_of(trades[-1].time)
    replayed = replay("binance", "BTC-USDT", paths).bars

    with serving_files(daily_trades(trades)) as server, Stack() as stack:
        stack.start_emulator()
        stack.deploy(synthesised())
        stack.start_functions(only=["aggregate_bars"])
        stack.start_deliveries()
        span = ["--from", date(first), "--until", date(last + DAY)]
        process = stack.start_fill(["dumps", "--market", str(BINANCE), *span, "--url", server.url])
        assert process.wait(120) == 0, stack.log("fill_history").read_text()
        stack.deliveries["aggregate_bars"].wait_idle(120)
        settings = AggregateBars.from_env(stack.functions["aggregate_bars"].spec.environment)
        filled = BarTable(settings.bars_table, stack.emulator.client("dynamodb")).between(BINANCE, 0, FOREVER)

    assert sum(bar.trade_count or 0 for bar in filled) == len(trades) == 19_904
    known = {bar.start: bar for bar in filled}
    # The dumps tell of whole days: behind the captures' last trade they prove empty what nobody recorded.
    assert [known[bar.start] for bar in replayed[:-1]] == replayed[:-1]
    assert _told(known[replayed[-1].start]) == _told(replayed[-1])
    assert len(replayed) == 12


def _told(bar: Bar) -> tuple[object, ...]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.turnover, bar.buy_volume, bar.ranges)
