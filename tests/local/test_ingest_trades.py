"""The ingest task as a process, between the simulated exchange and a stream: no trade lost, whatever is cut."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from bisect import bisect
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.request import Request, urlopen

import pytest

from btc import ranges
from btc.aws.state import StateTable
from btc.tape import Watermark
from btc.times import FOREVER, SECOND
from btc.trades import Trades
from tests.local.feeding import ROOT, Stack, now, running, until


@pytest.fixture(scope="module")
def exchange() -> Iterator[dict[str, str]]:
    with running("local.exchange", "--history-days", "0.001", "--trades-per-minute", "30000") as addresses:
        yield addresses


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with running("local.emulator") as addresses:
        yield addresses["endpoint"]


@pytest.fixture
def stack(exchange: dict[str, str], endpoint: str) -> Stack:
    urlopen(Request(endpoint + "/moto-api/reset", method="POST"), timeout=5).close()
    return Stack(endpoint, exchange)


def stop(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Ask the task to leave; returns what it logged."""
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert time.monotonic() - asked < 5
    assert process.returncode == 0, output
    return [json.loads(line) for line in output.splitlines()]


def test_history_and_live_trades_are_one_unbroken_run_whatever_is_cut(stack: Stack) -> None:
    process = stack.start()
    until(lambda: stack.is_whole_after(now() - 3 * SECOND))
    [(first, _)] = stack.held()

    for order in ({"disconnect": True}, {"throttle": 2}, {"disconnect": True}):
        stack.control(**order)
        until(partial(stack.is_whole_after, now() + 2 * SECOND))
    log = stop(process)

    [(still_first, last)] = stack.held()
    assert still_first == first
    assert last - first > 10_000
    assert [line["message"] for line in log if line.get("message") == "connection lost"] == ["connection lost"] * 2
    # At this pace a cut of a second outruns the snapshot of 50: the rest came from the venue's history.
    assert "hole repaired" in [line.get("message") for line in log]
    [figures] = [line for line in log if line.get("message") == "ingested"]
    assert figures["unrepaired"] == figures["malformed"] == 0
    assert_marks_claim_only_what_is_held(stack.entries())


def assert_marks_claim_only_what_is_held(entries: list[Trades | Watermark]) -> None:
    """Each watermark comes later than the one before, names the last trade made by its time, and follows it."""
    made = sorted((trade.time, trade.trade_id) for entry in entries if isinstance(entry, Trades) for trade in entry)
    held: ranges.Ranges = ()
    marked = 0
    for entry in entries:
        if isinstance(entry, Trades):
            held = ranges.union(held, ranges.runs(entry.in_order().ids))
            continue
        assert entry.time > marked
        assert entry.last_id <= held[0][1]
        assert entry.last_id == made[bisect(made, (entry.time, FOREVER)) - 1][1]
        marked = entry.time


def test_a_restart_continues_from_the_watermark_the_bars_know(stack: Stack) -> None:
    process = stack.start(history_days=0)
    until(lambda: bool(stack.marks()) and stack.is_whole_after(now() - 2 * SECOND))
    stop(process)
    known = stack.marks()[-1]
    StateTable("state", stack.dynamodb).advance(known, known.time)
    sent = len(stack.entries())

    process = stack.start()
    until(lambda: len(stack.entries()) > sent and stack.is_whole_after(now() - 2 * SECOND))
    log = stop(process)

    again = stack.entries()[sent:]
    ids = sorted(identity for entry in again if isinstance(entry, Trades) for identity in entry.ids)
    assert ids == list(range(known.last_id + 1, ids[-1] + 1)), "all that the watermark did not know of, and no more"
    assert [line["last_id"] for line in log if line.get("message") == "continuing"] == [known.last_id]
    assert all(mark.time > known.time for mark in again if isinstance(mark, Watermark))


def test_a_task_that_waits_for_a_venue_out_of_reach_stops_when_it_is_told_to(stack: Stack) -> None:
    task = stack.start(rest_url="http://127.0.0.1:1", symbols=("SOL-USD",))
    time.sleep(4)
    assert task.poll() is None

    assert "told to stop while waiting for the venue" in {line.get("message") for line in stop(task)}


@pytest.fixture
def stalled() -> Iterator[int]:
    """The port of a venue that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("part", ["rest_url", "websocket_url"])
def test_a_task_stops_within_five_seconds_where_the_venue_stalls(stack: Stack, stalled: int, part: str) -> None:
    scheme = "http" if part == "rest_url" else "ws"
    task = stack.start(history_days=0, **{part: f"{scheme}://127.0.0.1:{stalled}"})
    time.sleep(4)
    assert task.poll() is None

    began = time.monotonic()
    stop(task)
    assert time.monotonic() - began < 2


def test_a_symbol_the_venue_does_not_know_ends_the_task_with_the_venues_words(stack: Stack) -> None:
    process = stack.start(symbols=("BTC-EUR",), history_days=0)
    output, _ = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "EQuery:Unknown asset pair" in output


def test_a_refused_subscription_ends_the_task_with_the_venues_words(stack: Stack) -> None:
    with running("local.exchange", "--symbols", "ETH-USD", "--history-days", "0.001") as elsewhere:
        process = stack.start(websocket_url=elsewhere["websocket"], history_days=0)
        output, _ = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "Currency pair not supported BTC/USD" in output


def test_missing_settings_end_the_task_by_name(stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "functions.ingest_trades"],
        cwd=ROOT,
        env={**os.environ, **stack.environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 1
    assert "STREAM is not set" in done.stdout
