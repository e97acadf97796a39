"""The ingest task as its service runs it: started again whatever ended it, killed without a goodbye, two at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from btc.aws import clients
from btc.aws.streams import TradeStream, UndeliveredError
from btc.feeds.connection import Connection, ConnectionLostError, ReadAhead
from btc.feeds.feed import HistoryError
from btc.feeds.venues import venue_of
from btc.settings import IngestTrades
from functions.ingest_trades.__main__ import DRAIN_S, catch_up
from functions.ingest_trades.ingestion import Ingestion
from tests.faults.faults import Faults
from tests.faults.sockets import Session
from tests.faults.venue import Http, Venue
from tests.faults.world import FATAL, Process, World


class Silent:
    """A log that nobody reads."""

    def info(self, msg: str, /, *, extra: Mapping[str, object]) -> None: ...

    def warning(self, msg: str, /, *, extra: Mapping[str, object]) -> None: ...


class Service:
    """Keeps one task running against the venue; `died` holds what no fault explains."""

    def __init__(self, world: World, faults: Faults, venue: Venue, settings: IngestTrades) -> None:
        self._world, self._faults, self._venue = world, faults, venue
        self._settings = settings
        self._interval = faults.random.choice([0.0, 0.1, 1.0])
        # Little room lets the socket wait while the stream refuses.
        self._most_bytes = faults.random.choice([64_000_000, 2_000])
        self._leaving: set[int] = set()
        self._number = 0
        self.given_up = 0
        """Holes that a task left behind."""
        self.died: list[Exception] = []
        self.log: Any = Silent()

    def run(self) -> None:
        """Start the task, and carry out what is to befall it."""
        task = self._start()
        blows = [(at, "kill -9") for at in self._faults.moments("kill -9")]
        blows += [(at, "two tasks") for at in self._faults.moments("two tasks")]
        for at, kind in sorted(blows):
            self._world.sleep(at - self._world.now)
            self._faults.struck[kind] += 1
            task = self._kill(task) if kind == "kill -9" else self._replace(task)

    def _start(self, after: float = 0.0) -> Process:
        self._number += 1
        number = self._number
        return self._world.spawn(f"task {number}", lambda: self._keep(number), after)

    def _kill(self, task: Process) -> Process:
        self._world.kill(task)
        return self._start(after=self._faults.random.uniform(0.1, 5.0))

    def _replace(self, task: Process) -> Process:
        """A deployment: the new task runs beside the old one before that is told to stop."""
        number = self._number
        new = self._start()
        self._world.sleep(self._faults.random.uniform(0.5, 10.0))
        self._leaving.add(number)
        self._world.wait(task, 30.0)
        self._world.kill(task)
        return new

    def _keep(self, number: int) -> None:
        """Run the task until it is told to stop, again whenever it ends before."""
        while number not in self._leaving:
            try:
                self._serve(number)
            except (HistoryError, UndeliveredError, ClientError, BotoCoreError):
                pass
            except FATAL as error:  # what no fault explains breaks the law: the verdict tells of it
                self.died.append(error)
            self._world.sleep(self._faults.random.uniform(0.1, 2.0))

    def _serve(self, number: int) -> None:
        """What the task's main does, on the world's clock."""
        ingestion = self._ingestion(number)
        try:
            for market in self._settings.markets:
                catch_up(ingestion, market, self._settings)
            ingestion.run()
            ingestion.stream.flush(DRAIN_S)
        finally:
            self.given_up += ingestion.tally.unrepaired

    def _ingestion(self, number: int) -> Ingestion:
        world, random = self._world, self._faults.random
        venue = venue_of(self._settings.venue)
        time = {"clock": world.clock, "sleep": world.sleep, "jitter": random.random}
        return Ingestion(
            feed=venue.feed(),
            history=venue.rest(url="https://venue.test", interval=self._interval, http=Http(self._venue), **time),
            stream=TradeStream(
                clients.kinesis(),
                "trades",
                batch_s=self._settings.batch_ms / 1000,
                max_buffered_bytes=self._most_bytes,
                **time,
            ),
            connect=self._connect,
            log=self.log,
            lag=self._settings.watermark_lag_ms * 1000,
            stopped=lambda: number in self._leaving,
            **time,
        )

    def _connect(self) -> Connection:
        self._world.sleep(self._faults.random.uniform(0.01, 0.2))
        if self._venue.halted() and self._faults.random.random() < 0.5:
            raise ConnectionLostError("the venue is out")
        socket = ReadAhead(skip_utf8_validation=True, enable_multithread=False)
        socket.sock = Session(self._venue)
        socket.connected = True
        return Connection(socket)
