"""The Fargate task: a venue's trades into the stream `trades`, until it is told to stop.

Exits 0 on SIGTERM or SIGINT with everything delivered, 1 where the venue refuses, its history stays away, or the
stream takes no more; the next start continues from the last watermark the bars know.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from threading import Thread
from typing import Final, TypeVar

from aws_lambda_powertools import Logger
from urllib3.exceptions import HTTPError

from btc.aws import clients
from btc.aws.state import StateTable
from btc.aws.streams import TradeStream, UndeliveredError
from btc.feeds.connection import Connection
from btc.feeds.feed import HistoryError
from btc.feeds.venues import venue_of
from btc.settings import IngestTrades
from btc.times import DAY, SECOND
from btc.trades import Market
from functions.ingest_trades.health import Health
from functions.ingest_trades.ingestion import Ingestion, RefusedError
from functions.ingest_trades.report import Report

DRAIN_S: Final = 20.0
"""How long the stream may refuse at the end: Fargate kills 30 s after it asked to stop."""
STEP_BACK: Final = 10 * SECOND
"""How much earlier than the watermark (µs) its later trades may be, where the venue's clock steps back."""

Answer = TypeVar("Answer")

logger = Logger(service="ingest_trades")


class StoppedError(Exception):
    """The task was told to stop while it waited for the venue."""


class Stop:
    """Set by a signal, asked between two steps, and in the middle of every wait."""

    def __init__(self) -> None:
        self.wanted = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._want)

    def _want(self, *_: object) -> None:
        self.wanted = True

    def __call__(self) -> bool:
        return self.wanted

    def sleep(self, seconds: float) -> None:
        """Waits; raises StoppedError as soon as the task is told to stop."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.wanted:
                raise StoppedError
            time.sleep(min(left, 0.1))

    def attend(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` gives or raises; raises StoppedError as soon as the task is told to stop, and leaves it to itself.

        A venue that stalls keeps no one: neither a connection nor the look-up of its name can be broken off, so they
        are waited for in a thread that does not outlive the task.
        """
        answer: Future[Answer] = Future()

        def run() -> None:
            try:
                answer.set_result(ask())
            except (OSError, HTTPError) as error:  # the network's: whoever waits for the answer is raised it
                answer.set_exception(error)
            finally:
                if not answer.done():
                    answer.set_exception(RuntimeError("the question broke off: the thread's traceback tells why"))

        Thread(target=run, daemon=True).start()
        while not self.wanted:
            if wait([answer], 0.1).done:
                return answer.result()
        raise StoppedError


def main(environment: Mapping[str, str]) -> int:
    """Runs the task; returns its exit status."""
    stop = Stop()
    try:
        settings = IngestTrades.from_env(environment)
        ingestion = build(settings, stop)
    except ValueError as error:
        logger.error("cannot start", extra={"cause": str(error)})  # noqa: TRY400 - the cause says it all
        return 1
    report = Report(ingestion, logger)
    health = Health(ingestion.stream)

    def tick() -> None:
        report.tick()
        health.tick()

    ingestion.on_tick = tick
    status = 0
    try:
        for market in settings.markets:
            catch_up(ingestion, market, settings)
        ingestion.run()
    except StoppedError:
        logger.info("told to stop while waiting for the venue")
    except (RefusedError, HistoryError) as error:
        logger.error("stopped", extra={"cause": str(error)})  # noqa: TRY400
        status = 1
    try:
        ingestion.stream.flush(DRAIN_S)
    except UndeliveredError as error:
        logger.error("not drained", extra={"cause": str(error)})  # noqa: TRY400
        status = 1
    report.send()
    logger.info("stopped", extra={"status": status})
    return status


def build(settings: IngestTrades, stop: Stop) -> Ingestion:
    """The task's parts, put together; raises ValueError where the venue or a symbol is not known."""
    venue = venue_of(settings.venue)
    feed = venue.feed()
    for symbol in settings.symbols:
        if feed.symbol(symbol) != symbol:
            raise ValueError(f"symbols are written like {feed.symbol(symbol)}, not {symbol}")
    url = feed.address(settings.websocket_url or feed.url, settings.symbols)
    return Ingestion(
        feed=feed,
        history=venue.history(settings.rest_url, stop.sleep, stop.attend),
        stream=TradeStream(clients.kinesis(), settings.stream, batch_s=settings.batch_ms / 1000),
        connect=lambda: stop.attend(lambda: Connection.open(url)),
        log=logger,
        lag=settings.watermark_lag_ms * 1000,
        stopped=stop,
    )


def catch_up(ingestion: Ingestion, market: Market, settings: IngestTrades) -> None:
    """From the last watermark that the bars know, or from `history_days` ago, to the present.

    Up to a watermark every trade was sent, or given up: what is missing there nonetheless is the audit's to find. All
    that was made later is sent, again or not, and nothing is claimed beyond a hole in it.
    """
    mark = StateTable(settings.state_table, clients.dynamodb()).watermark(market)
    if mark is None:
        since = ingestion.history.now() - settings.history_days * DAY
        logger.info("no watermark yet: history from the venue", extra={"market": str(market), "since": since})
        ingestion.catch_up(market, None, since)
        return
    logger.info("continuing", extra={"market": str(market), "last_id": mark.last_id})
    ingestion.catch_up(market, mark.last_id, mark.time - STEP_BACK)


if __name__ == "__main__":
    sys.exit(main(os.environ))
