"""Trades go through the real functions into the lake, and its bars come out equal when they are made from the tape."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from btc import lake
from btc.aws.streams import TradeStream
from btc.tape import Watermark
from btc.times import DAY, HOUR, day_of
from btc.trades import Market, Trade, Trades
from local.__main__ import main
from local.running import NotRunningError, announced, running
from local.stack import Stack
from local.template import synthesised

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack")]

BTC = Market("kraken", "BTC-USD")
MIDNIGHT = day_of(1_762_776_000_000_000) + DAY
DATE = "2025-11-10"
FUNCTIONS = ("aggregate_bars", "archive_bars", "archive_trades")


@dataclass(frozen=True)
class Lake:
    """A stack's lake, and how other commands reach it."""

    client: Any
    bucket: str
    endpoint: str
    outputs: dict[str, str]

    def keys(self, table: str) -> list[str]:
        listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix=f"{table}/")
        return [item["Key"] for item in listed["Contents"]]

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
        yield Lake(emulator.client("s3"), deployed.outputs["LakeBucket"], emulator.endpoint_url, dict(deployed.outputs))


@pytest.mark.parametrize(("date", "minutes"), [(DATE, 60), ("2025-11-11", 120)])
def test_the_lakes_bars_are_what_its_tape_makes(filled: Lake, date: str, minutes: int) -> None:
    command = [sys.executable, "-m", "local", *asked(f"s3://{filled.bucket}", date=date)]
    environment = {**os.environ, **filled.environment}

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"equal: kraken:BTC-USD {date}, {minutes} minutes from ")


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
