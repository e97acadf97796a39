"""What was lost, late or unreadable on the way, with every function's real process behind real deliveries."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq
import pytest

from btc.aws.state import StateTable
from btc.aws.streams import TradeStream
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.feeds.venues import venue_of
from btc.tape import Watermark
from btc.times import FOREVER, MINUTE, minute_of, parse_iso
from btc.trades import Market, Trades
from local import declarations
from local.schedules import Scheduler
from local.stack import Stack
from local.template import synthesised
from tests.local.delivering import until

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]

BTC = Market("kraken", "BTC-USD")
FUNCTIONS = ("aggregate_bars", "archive_bars", "audit_bars", "forecast")


@dataclass
class System:
    """The stack without a feed: the test sends what it likes of the exchange's trades."""

    stack: Stack
    history: Trades
    now: int

    @property
    def mark(self) -> Watermark:
        """The last whole minute is over."""
        until = minute_of(self.now)
        return Watermark(BTC, until, max(trade.trade_id for trade in self.history if trade.time < until))

    def client(self, service: str) -> Any:
        return self.stack.emulator.client(service)

    def send(self, *entries: Trades | Watermark, settle: bool = True) -> None:
        stream = TradeStream(self.client("kinesis"), self.stack.deployed.outputs["StreamName"], batch_s=0)
        for entry in entries:
            stream.put(entry)
            stream.flush(10)
        if settle:
            self.settle()

    def settle(self) -> None:
        for name in ("aggregate_bars", "archive_bars", "forecast"):
            self.stack.deliveries[name].wait_idle(60)

    def bars(self) -> list[Bar]:
        return BarTable(self.stack.deployed.outputs["BarsTable"], self.client("dynamodb")).between(BTC, 0, FOREVER)

    def audit(self) -> dict[str, Any]:
        """One run of the audit; what it logged."""
        result = self.stack.functions["audit_bars"].invoke({})
        assert result.error is None, result.error
        self.settle()
        lines = self.stack.log("audit_bars").read_text().splitlines()
        [*_, last] = [json.loads(line) for line in lines if '"message":"audited"' in line]
        return dict(last)

    def archived(self) -> dict[int, int]:
        """The number of trades in each minute of the lake."""
        s3, bucket = self.client("s3"), self.stack.deployed.outputs["LakeBucket"]
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="bars/").get("Contents", [])
        bodies = [s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in listed]
        rows = [row for body in bodies for row in pq.ParquetFile(io.BytesIO(body)).read().to_pylist()]
        return {int(row["start"].timestamp()) * 1_000_000: row["trade_count"] for row in rows}

    def forecasts(self) -> dict[str, str]:
        """As-of times by series and target time."""
        table = self.stack.deployed.outputs["ForecastsTable"]
        items = self.client("dynamodb").scan(TableName=table)["Items"]
        return {f"{item['series']['S']} {item['target_time']['S']}": item["as_of"]["S"] for item in items}


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with Stack() as stack:
        stack.start_emulator()
        stack.deploy(synthesised())
        # A forecast needs four hours of bars.
        addresses = stack.start_exchange(["--history-days", "0.25", "--trades-per-minute", "12"])
        stack.start_functions(FUNCTIONS, overrides=addresses)
        stack.start_deliveries()
        history = venue_of(BTC.venue).history(addresses["REST_URL"])
        now = history.now()
        backfill, pages = history.after(BTC, None, 0), []
        while page := backfill.step():
            pages += list(page)
        yield System(stack, Trades.of(BTC, pages), now)


@pytest.fixture
def empty(system: System) -> System:
    """Nothing known of the market."""
    outputs, dynamodb = system.stack.deployed.outputs, system.client("dynamodb")
    for name, keys in (("BarsTable", ("market", "start")), ("StateTable", ("name",))):
        for item in dynamodb.scan(TableName=outputs[name])["Items"]:
            dynamodb.delete_item(TableName=outputs[name], Key={key: item[key] for key in keys})
    s3 = system.client("s3")
    for item in s3.list_objects_v2(Bucket=outputs["LakeBucket"]).get("Contents", []):
        s3.delete_object(Bucket=outputs["LakeBucket"], Key=item["Key"])
    return system


def rows(system: System, wanted: Callable[[int], bool]) -> Trades:
    return system.history.take([row for row, identity in enumerate(system.history.ids) if wanted(identity)])


def young(system: System) -> list[int]:
    """Ids of trades so young that a hole among them is asked for at every run."""
    since = system.mark.time - 30 * MINUTE
    pairs = zip(system.history.ids, system.history.times, strict=True)
    return [identity for identity, at in pairs if since <= at < system.mark.time]


def test_the_audit_fills_a_hole_and_its_next_run_finds_nothing(empty: System) -> None:
    system = empty
    recent = young(system)
    lost = {*recent[3:20], recent[22], *recent[-4:-2]}
    system.send(rows(system, lambda identity: identity not in lost), system.mark)
    holed = system.bars()
    assert not all(bar.complete for bar in holed[1:-1])

    first, second = system.audit(), system.audit()

    assert first["RepairedTrades"] == len(lost)
    assert first["UnprovenMinutes"] > 0
    assert (second["UnprovenMinutes"], second["spans"], second["UnrepairableMinutes"]) == (0, 0, 0)
    whole = [bar for bar in system.bars()[1:] if bar.end <= system.mark.time]
    assert all(bar.complete and bar.closed for bar in whole)
    assert sum(bar.trade_count or 0 for bar in system.bars()) == len(system.history)


def test_the_templates_schedule_runs_the_audit(empty: System) -> None:
    system = empty
    lost = young(system)[5]
    system.send(rows(system, lambda identity: identity != lost), system.mark)
    began, origin = time.time(), time.monotonic()
    function = system.stack.functions["audit_bars"]

    def quickly() -> float:
        """Five minutes pass in a second."""
        return began + 300 * (time.monotonic() - origin)

    schedules = declarations.schedules(system.stack.deployed)
    declared = [each for each in schedules if each.function_arn == function.spec.arn]
    scheduler = Scheduler(declared, {function.spec.arn: function.invoke}, quickly)
    scheduler.start()
    until(lambda: bool(scheduler.results))
    scheduler.stop()

    [result] = scheduler.results.values()
    assert result.error is None
    system.settle()
    assert sum(bar.trade_count or 0 for bar in system.bars()) == len(system.history)


def test_late_trades_of_a_closed_minute_reach_the_lake_and_bring_no_forecast_of_the_past(empty: System) -> None:
    system = empty
    # Young enough to be forecast from, old enough for the shortest forecast to be of the past.
    minutes = [system.mark.time - back * MINUTE for back in range(3, 8)]
    by_minute = {at: [row for row, time in enumerate(system.history.times) if minute_of(time) == at] for at in minutes}
    late_minute, late = max(by_minute.items(), key=lambda entry: len(entry[1]))
    kept = rows(system, lambda identity: identity not in {system.history.ids[row] for row in late[1:]})
    system.send(kept, system.mark)
    before, delivered = system.archived()[late_minute], system.stack.deliveries["forecast"].counters().delivered
    known, asked = system.forecasts(), system.now
    assert known
    assert next(bar for bar in system.bars() if bar.start == late_minute).closed

    system.send(system.history.take(late[1:]))

    bar = next(bar for bar in system.bars() if bar.start == late_minute)
    assert bar.closed
    assert bar.trade_count == len(late) == system.archived()[late_minute] > before
    assert system.stack.deliveries["forecast"].counters().delivered > delivered
    made = {target: as_of for target, as_of in system.forecasts().items() if target not in known}
    assert all(parse_iso(target.split()[1]) > asked for target in made)
    assert {target: system.forecasts()[target] for target in known} == known, "what was said stays as it was said"


def test_an_unreadable_record_goes_to_the_bucket_whole_and_all_others_into_the_bars(empty: System) -> None:
    system = empty
    stream, s3 = system.stack.deployed.outputs["StreamName"], system.client("s3")
    failures = system.stack.deployed.outputs["FailuresBucket"]
    half = len(system.history) // 2
    counted = system.stack.deliveries["aggregate_bars"].counters()
    poison = b"\x93 no record of this stream"

    system.send(system.history[:half], settle=False)
    system.client("kinesis").put_record(StreamName=stream, Data=poison, PartitionKey=str(BTC))
    system.send(system.history[half:], system.mark)

    [item] = s3.list_objects_v2(Bucket=failures)["Contents"]
    told = json.loads(s3.get_object(Bucket=failures, Key=item["Key"])["Body"].read())
    [record] = json.loads(told["payload"])["Records"]
    assert base64.b64decode(record["kinesis"]["data"]) == poison
    assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert system.stack.deliveries["aggregate_bars"].counters().discarded - counted.discarded == 1
    assert sum(bar.trade_count or 0 for bar in system.bars()) == len(system.history)
    state = StateTable(system.stack.deployed.outputs["StateTable"], system.client("dynamodb"))
    assert state.watermark(BTC) == system.mark
