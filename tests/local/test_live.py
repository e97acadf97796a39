"""Forecasts pushed over the local stack's own processes: tickets of the API, the stream, the functions, the sockets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from btc import forecasts
from btc.aws.forecasts import ForecastTable
from btc.aws.listeners import LONGEST, ListenerTable
from btc.client import Api
from btc.times import DAY, HOUR, MINUTE, iso, minute_of
from local.stack import Served, Stack
from tests.local.serving import fill, management
from tests.local.stocked import MARKET, QUANTILES, stocked

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("live")]

PATIENCE_S = 60
NAMES = ("api", "connect_listeners", "push_forecasts")


@dataclass
class Pushing:
    """The stack, and the minute that is forecast next."""

    stack: Stack
    served: Served
    as_of: int

    def ask(self, path: str, key: str | None = None) -> Any:
        request = urllib.request.Request(self.served.url + path, headers={"x-api-key": key or self.served.key})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def ticket(self) -> str:
        url: str = self.ask("/v1/forecasts/BTC-USD/live")["url"]
        return url

    def listen(self) -> ClientConnection:
        return connect(self.ticket(), open_timeout=30)

    def forecast(self) -> str:
        """The next minute's, as the function that makes them writes them; its time."""
        self.as_of += MINUTE
        table = ForecastTable(self.output("ForecastsTable"), self.stack.emulator.client("dynamodb"))
        for made in forecasts.of(MARKET, self.as_of, 105_433.6, QUANTILES, model_version="m", baseline=False):
            assert table.add(made, 30)
        return iso(self.as_of)

    def output(self, name: str) -> str:
        return self.stack.deployed.outputs[name]

    @property
    def listeners(self) -> ListenerTable:
        variables = self.stack.functions["push_forecasts"].spec.environment
        return ListenerTable(variables["LISTENERS_TABLE"], self.stack.emulator.client("dynamodb"))

    def wait_for(self, count: int) -> None:
        """Until so many are known to listen."""
        until = time.monotonic() + PATIENCE_S
        while len(self.listeners.of(MARKET)) != count:
            assert time.monotonic() < until, self.listeners.of(MARKET)
            time.sleep(0.05)


@pytest.fixture(scope="module")
def running() -> Iterator[Pushing]:
    with stocked(NAMES) as (stack, served):
        stack.start_deliveries()
        yield Pushing(stack, served, minute_of(time.time_ns() // 1000))


@pytest.fixture
def pushing(running: Pushing) -> Iterator[Pushing]:
    yield running
    running.stack.check()
    running.stack.sockets.cut()
    running.wait_for(0)


def told(client: ClientConnection) -> Any:
    return json.loads(client.recv(timeout=PATIENCE_S))


def ageless(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "staleness_s"}


def test_what_is_pushed_is_what_the_api_answers(pushing: Pushing) -> None:
    with pushing.listen() as client:
        as_of = pushing.forecast()
        pushed = told(client)

    answer = pushing.ask("/v1/forecasts/BTC-USD")
    assert pushed["as_of"] == as_of
    assert ageless(pushed) == ageless(answer)
    assert {each["horizon"] for each in pushed["forecasts"]} == {1, 5, 15, 60}


def test_a_ticket_opens_once(pushing: Pushing) -> None:
    ticket = pushing.ticket()
    with connect(ticket, open_timeout=30), pytest.raises(InvalidStatus) as refused:
        connect(ticket, open_timeout=30)

    assert refused.value.response.status_code == 403


def test_without_a_ticket_nobody_listens(pushing: Pushing) -> None:
    address = pushing.ticket().partition("?")[0]
    statuses = []
    for query in ("", "?ticket=guessed", f"?ticket={pushing.served.key}"):
        with pytest.raises(InvalidStatus) as refused:
            connect(address + query, open_timeout=30)
        statuses.append(refused.value.response.status_code)

    assert statuses == [401, 403, 403]


def test_a_key_that_is_unknown_or_revoked_buys_no_ticket(pushing: Pushing) -> None:
    pushing.stack.keys.add("another-key-of-twenty-characters")
    assert pushing.ask("/v1/forecasts/BTC-USD/live", "another-key-of-twenty-characters")["url"]
    pushing.stack.keys.remove("another-key-of-twenty-characters")

    for key in ("another-key-of-twenty-characters", "never-a-key"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            pushing.ask("/v1/forecasts/BTC-USD/live", key)
        assert refused.value.code == 403
        refused.value.close()


def test_who_is_gone_is_forgotten_and_who_came_just_now_is_not(pushing: Pushing) -> None:
    now = time.time_ns() // 1000
    pushing.listeners.add(MARKET, "gone", now - HOUR)
    pushing.listeners.add(MARKET, "coming", now)
    with pushing.listen() as client:
        pushing.forecast()
        told(client)

        until = time.monotonic() + PATIENCE_S
        while "gone" in (known := pushing.listeners.of(MARKET)):
            assert time.monotonic() < until
            time.sleep(0.05)
    assert "coming" in known
    pushing.listeners.remove(MARKET, "coming")


def test_one_who_does_not_read_keeps_nothing_from_the_others(pushing: Pushing) -> None:
    with connect(pushing.ticket(), open_timeout=30, max_queue=1, ping_interval=None) as slow:
        [connection] = pushing.listeners.of(MARKET)
        client = management(pushing.stack.sockets)
        waiting = fill(client, connection) + fill(client, connection, b"x" * 1000)
        with pushing.listen() as reads:
            for _ in range(2):
                as_of = pushing.forecast()
                assert told(reads)["as_of"] == as_of
        for _ in range(waiting):
            slow.recv(timeout=PATIENCE_S)
        last = pushing.forecast()
        while told(slow)["as_of"] != last:
            pass  # one of the two before, if a retry of it was in time
    client.close()


def test_who_comes_back_misses_nothing(pushing: Pushing) -> None:
    """First the channel is open, then the newest is asked for: what is made between the two is pushed."""
    with pushing.listen() as client:
        pushing.forecast()
        told(client)
        pushing.stack.sockets.cut()
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=PATIENCE_S)
    missed = pushing.forecast()
    with pushing.listen() as client:
        assert pushing.ask("/v1/forecasts/BTC-USD")["as_of"] == missed
        as_of = pushing.forecast()
        while told(client)["as_of"] != as_of:
            pass  # the one that was missed may have been on its way still


def test_who_leaves_is_forgotten(pushing: Pushing) -> None:
    with pushing.listen():
        pushing.wait_for(1)
    pushing.wait_for(0)


def test_what_is_kept_expires(pushing: Pushing) -> None:
    pushing.ticket()
    with pushing.listen():
        items = pushing.stack.emulator.client("dynamodb").scan(TableName=pushing.listeners.name)["Items"]
    latest = (time.time_ns() // 1000 + LONGEST) // 1_000_000

    assert len(items) >= 2
    assert all(latest - DAY // 1_000_000 < int(item["expires"]["N"]) <= latest for item in items)


def test_the_client_watches_through_a_cut(pushing: Pushing) -> None:
    """As a program of its own, which is interrupted in the end."""
    before = pushing.forecast()
    command = [sys.executable, "-m", "btc.client", "--url", pushing.served.url, "watch", "BTC-USD", "--json"]
    environment = {**os.environ, "BTC_API_KEY": pushing.served.key}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        assert watch.stderr is not None
        seen = [json.loads(watch.stdout.readline())["as_of"]]
        made = [pushing.forecast()]
        seen.append(json.loads(watch.stdout.readline())["as_of"])
        assert pushing.stack.sockets.cut() == 1
        made.append(pushing.forecast())
        seen.append(json.loads(watch.stdout.readline())["as_of"])
        pushing.wait_for(1)
        made.append(pushing.forecast())
        seen.append(json.loads(watch.stdout.readline())["as_of"])
        watch.send_signal(signal.SIGINT)

        assert watch.stderr.read() == ""
    assert seen == [before, *made]
    assert watch.returncode == 130


def test_the_client_asks_where_the_channel_is_refused(pushing: Pushing) -> None:
    pushing.stack.functions["connect_listeners"].stop()
    try:
        with Api(pushing.served.url, pushing.served.key) as api:
            found = api.watch("BTC-USD")
            assert next(found).as_of == iso(pushing.as_of)
            as_of = pushing.forecast()
            assert next(found).as_of == as_of
    finally:
        pushing.stack.functions["connect_listeners"].start()


def test_neither_key_nor_ticket_is_in_a_log(pushing: Pushing) -> None:
    url = pushing.ticket()
    with connect(url, open_timeout=30):
        pushing.wait_for(1)
    pushing.wait_for(0)

    for name in NAMES:
        words = pushing.stack.log(name).read_text()
        assert words
        assert pushing.served.key not in words
        assert url.partition("ticket=")[2] not in words
