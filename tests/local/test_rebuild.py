"""Trades go through the real functions into the lake, and its bars come out equal when they are made from the tape.

What the online table loses comes back by the commands that people are told of.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from btc import lake
from btc.aws.streams import TradeStream
from btc.aws.tables import BarTable, bar_item
from btc.bars import Bar
from btc.tape import Watermark
from btc.times import DAY, HOUR, day_of, iso
from btc.trades import Market, Trade, Trades
from local.__main__ import main
from local.running import NotRunningError, announced, running
from local.stack import Served, Stack
from local.template import synthesised

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("rebuild")]

BTC = Market("kraken", "BTC-USD")
MIDNIGHT = day_of(1_762_776_000_000_000) + DAY
DATE = "2025-11-10"
FUNCTIONS = ("aggregate_bars", "archive_bars", "archive_trades", "api")


@dataclass(frozen=True)
class Lake:
    """A stack's lake, the table beside it, and how other commands reach them."""

    client: Any
    bucket: str
    endpoint: str
    outputs: dict[str, str]
    stack: Stack
    served: Served

    def keys(self, table: str) -> list[str]:
        listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix=f"{table}/")
        return [item["Key"] for item in listed["Contents"]]

    @property
    def dynamodb(self) -> Any:
        return self.stack.emulator.client("dynamodb")

    @property
    def table(self) -> str:
        return self.outputs["BarsTable"]

    def bars(self) -> list[Bar]:
        return BarTable(self.table, self.dynamodb).between(BTC, MIDNIGHT - DAY, MIDNIGHT + DAY)

    def write(self, *requests: dict[str, Any]) -> None:
        """Puts and deletes: in batches, for moto takes a quarter of a second for each alone."""
        for first in range(0, len(requests), 25):
            self.dynamodb.batch_write_item(RequestItems={self.table: requests[first : first + 25]})

    def archived(self) -> dict[str, bytes]:
        """The lake's bars, once all that the table's stream told of is in them."""
        self.stack.deliveries["archive_bars"].wait_idle(120)
        return {key: self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in self.keys("bars")}

    def asked(self) -> dict[str, Any]:
        """What the API tells of the two hours."""
        span = f"start={iso(MIDNIGHT - HOUR)}&end={iso(MIDNIGHT + HOUR)}"
        request = urllib.request.Request(f"{self.served.url}/v1/bars/BTC-USD?{span}")
        request.add_header("x-api-key", self.served.key)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def restore(self, *arguments: str) -> str:
        """What the command tells."""
        command = [sys.executable, "-m", "functions.restore", *arguments]
        named = dict(pair.split("=", 1) for pair in self.outputs["FillHistoryEnvironment"].split())
        environment = {**os.environ, **self.environment, **named, "LAKE_BUCKET": self.bucket}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        told = {"AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        return {**told, "AWS_DEFAULT_REGION": "us-east-1"}


def asked(*place: str, date: str = DATE) -> list[str]:
    """The command's arguments, without a lake for the running stack's."""
    return ["rebuild", *(f"--lake={each}" for each in place), "--market", str(BTC), "--date", date]


def trades() -> list[Trade]:
    """Two hours around midnight, quiet minutes among them."""
    random = Random(5)
    times = sorted(random.sample(range(MIDNIGHT - HOUR, MIDNIGHT + HOUR), 400))
    return [
        Trade(BTC, 1000 + row, time, 6 * 10**12 + random.randrange(10**10), random.randrange(1, 10**9), row % 3 == 0)
        for row, time in enumerate(times)
    ]


@pytest.fixture(scope="module")
def filled() -> Iterator[Lake]:
    with Stack() as stack:
        emulator = stack.start_emulator()
        deployed = stack.deploy(synthesised())
        stack.start_functions(only=FUNCTIONS)
        stack.start_deliveries()
        [stream] = deployed.of_type("AWS::Kinesis::Stream")
        producer = TradeStream(emulator.client("kinesis"), stream.created.ref, batch_s=0)
        tape = trades()
        # In parts that overlap, so that the tape holds some trades more than once.
        for first in range(0, len(tape), 100):
            producer.put(Trades.of(BTC, tape[max(0, first - 10) : first + 100]))
            producer.flush(10)
        producer.put(Watermark(BTC, MIDNIGHT + 2 * HOUR, tape[-1].trade_id))
        producer.flush(10)
        for name in ("aggregate_bars", "archive_trades", "archive_bars"):
            stack.deliveries[name].wait_idle(120)
        stack.check()
        outputs = dict(deployed.outputs)
        bucket, served = outputs["LakeBucket"], stack.start_api()
        yield Lake(emulator.client("s3"), bucket, emulator.endpoint_url, outputs, stack, served)


@pytest.mark.parametrize(("date", "minutes"), [(DATE, 60), ("2025-11-11", 120)])
def test_the_lakes_bars_are_what_its_tape_makes(filled: Lake, date: str, minutes: int) -> None:
    command = [sys.executable, "-m", "local", *asked(f"s3://{filled.bucket}", date=date)]
    environment = {**os.environ, **filled.environment}

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"equal: kraken:BTC-USD {date}, {minutes} minutes from ")


def deletion(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"DeleteRequest": {"Key": {name: item[name] for name in ("market", "start")}}}


SPAN = ("--market", str(BTC), "--from", DATE, "--until", "2025-11-12")


@pytest.mark.parametrize("believed", [(), ("--tape-alone",)], ids=["bars and tape", "tape alone"])
def test_a_table_that_is_lost_is_made_again_from_the_lake(believed: tuple[str, ...], filled: Lake) -> None:
    before, archived = filled.bars(), filled.archived()
    filled.write(*(deletion(bar_item(bar)) for bar in before))
    assert not filled.bars()
    assert not filled.asked()["bars"]

    filled.restore("bars", *SPAN, *believed)

    assert filled.bars() == before
    assert filled.archived() == archived
    assert "\n0 writes" in filled.restore("bars", *SPAN, *believed), "there already"


def test_what_a_bad_version_did_is_undone_from_a_copy_of_before(filled: Lake) -> None:
    before, archived, told = filled.bars(), filled.archived(), filled.asked()
    filled.dynamodb.restore_table_to_point_in_time(  # moto's copy is of the moment it is asked in
        SourceTableName=filled.table, TargetTableName="copy", UseLatestRestorableTime=True
    )
    items = filled.dynamodb.scan(TableName=filled.table)["Items"]
    filled.write(
        *(deletion(item) for item in items[::3]),
        *({"PutRequest": {"Item": {**item, "close": {"N": "1"}, "version": {"N": "9"}}}} for item in items[1::3]),
    )
    assert filled.asked() != told
    assert filled.archived() != archived, "the damage has reached the lake"

    lost, worse = len(items[::3]), len(items[1::3])
    said = filled.restore("items", "--table", filled.table, "--copy", "copy", "--replace")

    assert said.startswith(f"{lost:,} items added to {filled.table}, {worse:,} replaced")
    assert filled.bars() == before
    assert {**filled.asked(), "staleness_s": 0} == {**told, "staleness_s": 0}
    assert filled.archived() == archived


def test_the_running_stack_is_found_by_its_announcement(
    filled: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "running.json"
    monkeypatch.setattr("local.rebuild.running", lambda: running(place))

    assert main(asked()) == 1
    assert "start one with `make local`" in " ".join(capsys.readouterr().err.split())
    with announced(filled.endpoint, "", filled.outputs, place):
        assert main(asked()) == 0
    assert not place.exists()


def test_a_trade_that_the_tape_lost_is_named(filled: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for key in filled.keys("bars") + filled.keys("tape"):
        target = tmp_path / key
        target.parent.mkdir(parents=True, exist_ok=True)
        filled.client.download_file(filled.bucket, key, str(target))
    assert main(asked(str(tmp_path))) == 0
    capsys.readouterr()
    next((tmp_path / lake.folder("tape", BTC, MIDNIGHT - DAY)).glob("*.parquet")).unlink()

    assert main(asked(str(tmp_path))) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("different: kraken:BTC-USD 2025-11-10")
    assert any("trade_count: the tape makes" in line or "bar: the tape makes" in line for line in told)


@pytest.mark.parametrize(
    ("place", "why"),
    [("/nowhere/at/all", "no such folder"), ("s3://another", "NoSuchBucket"), (".", "holds nothing of kraken:BTC-USD")],
)
def test_what_is_no_lake_is_told_in_one_line(
    filled: Lake, place: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in filled.environment.items():
        monkeypatch.setenv(name, value)

    assert main(asked(place)) == 1
    told = capsys.readouterr().err
    assert why in told
    assert len(told.splitlines()) == 1


def test_a_stack_that_was_killed_is_not_taken_for_a_running_one(tmp_path: Path) -> None:
    place = tmp_path / "running.json"
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    left = {"endpoint": "http://127.0.0.1:1", "outputs": {}, "process": gone.pid}
    for found in (left, left | {"invocations": "http://127.0.0.1:2"}):  # by an earlier version, and by this one
        place.write_text(json.dumps(found))
        with pytest.raises(NotRunningError):
            running(place)
