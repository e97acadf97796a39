"""A simulated exchange in a process of its own, and a client that asks it."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from btc.times import iso, parse_iso
from local.exchange.floor import Scenario


class ExchangeClient:
    """A running exchange as its clients see it, and the scenario it was opened with."""

    def __init__(self, scenario: Scenario, websocket: str, rest: str) -> None:
        self.scenario = scenario
        self.websocket = websocket
        self._rest = rest

    def get(self, name: str, **query: object) -> dict[str, Any]:
        with urlopen(f"{self._rest}/0/public/{name}?{urlencode(query)}", timeout=5) as answer:
            assert answer.status == 200
            return json.load(answer)

    def control(self, **order: object) -> dict[str, Any]:
        with urlopen(Request(f"{self._rest}/control", json.dumps(order).encode()), timeout=5) as answer:
            return json.load(answer)

    def history(self, since: int = 0) -> list[list[Any]]:
        """Every trade from `since` (µs) on: each page steps back to the moment at which the page before it ended."""
        rows: dict[int, list[Any]] = {}
        cursor = since * 1000
        while True:
            result = self.get("Trades", pair="XBTUSD", since=cursor)["result"]
            page = {row[-1]: row for row in result["XXBTZUSD"]}
            rows |= page
            if len(page) < 1000:
                return [rows[trade_id] for trade_id in sorted(rows)]
            cursor = int(result["last"]) - 1


@contextmanager
def launched(scenario: Scenario) -> Iterator[ExchangeClient]:
    """The exchange while the context is open; SIGTERM must end it promptly and in order."""
    command = [sys.executable, "-m", "local.exchange", "--now", iso(scenario.now), "--seed", str(scenario.seed)]
    command += ["--symbols", ",".join(scenario.symbols), "--history-days", str(scenario.history_days)]
    command += ["--speed", str(scenario.speed), "--trades-per-minute", str(scenario.trades_per_minute)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield ExchangeClient(scenario, **json.loads(process.stdout.readline()))
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=3) == 0


@pytest.fixture(scope="session")
def launch_exchange() -> Callable[[Scenario], AbstractContextManager[ExchangeClient]]:
    return launched


@pytest.fixture(scope="session")
def exchange() -> Iterator[ExchangeClient]:
    """One exchange for all tests that leave it as they found it: half a day of history, a minute a second."""
    now = parse_iso("2026-11-20T14:30:20Z")
    with launched(Scenario(now, history_days=0.5, trades_per_minute=40, speed=60)) as client:
        yield client
