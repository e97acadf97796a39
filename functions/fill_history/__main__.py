"""Fills a market's past: trades through the stream like live ones, klines where nobody has the trades.

One command for a person and for a Fargate task. Exits 0 when all is delivered, 1 with the cause where it cannot go
on, 143 when it is told to stop; started again with the same arguments it goes on where it was.
"""

import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NoReturn

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from btc.aws import clients
from btc.aws.outputs import NoStackError, output
from btc.aws.state import StateTable
from btc.aws.streams import TradeStream, UndeliveredError
from btc.aws.tables import BarTable
from btc.feeds.binance_dumps import Dumps
from btc.feeds.downloads import DownloadError, Downloads
from btc.feeds.feed import History, HistoryError
from btc.feeds.venues import VENUES, venue_of
from btc.history import Cursor
from btc.settings import FillHistory
from btc.times import DAY, FOREVER, iso
from btc.trades import Market
from functions.fill_history.arguments import parse
from functions.fill_history.filling import Filling
from functions.fill_history.progress import Progress
from functions.fill_history.sources import DumpSource, FileSource, RestSource, Source

OUTPUT: Final = "FillHistoryEnvironment"
STOPPED: Final = 143

logger = Logger(service="fill_history")


class StoppedError(Exception):
    """The task was told to stop: whatever is under way is left where it is."""


def main(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> int:
    """Runs the command; returns its exit status."""
    chosen = parse(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        settings = FillHistory.from_env(_environment(chosen.stack) if chosen.stack else environment)
        for name, source, until in fills(chosen, settings):
            fill(name, source, until, chosen, settings)
    except StoppedError:
        logger.info("told to stop: the same command goes on from here")
        return STOPPED
    except (OSError, ValueError, DownloadError, HistoryError, NoStackError, UndeliveredError) as error:
        logger.error("stopped", extra={"cause": str(error)})  # noqa: TRY400 - the cause says it all
        return 1
    except (BotoCoreError, ClientError) as error:
        logger.error("AWS refuses", extra={"cause": str(error)})  # noqa: TRY400
        return 1
    return 0


def fills(chosen: Namespace, settings: FillHistory) -> Iterator[tuple[str, Source, int]]:
    """(name, source, end) of each fill; what was chosen is in its name, so that the same arguments name the same."""
    require_canonical(chosen.market)
    market, span = chosen.market, f"{iso(chosen.since)}/{iso(chosen.until) if chosen.until else ''}"
    downloads = Downloads()
    if chosen.command == "rest":
        history = venue_of(market.venue).history(chosen.url)
        until = chosen.until or _where_bars_begin(chosen, settings, history)
        yield f"{market}:rest:{span}", RestSource(history, market, chosen.since), until
    elif chosen.command == "dumps":
        dumps = Dumps(chosen.url.rstrip("/"), downloads)
        source = DumpSource(dumps, market, chosen.kind, chosen.since, logger.info)
        yield f"{market}:dumps:{chosen.kind}:{span}", source, chosen.until
    else:
        now = time.time_ns() // 1000
        for place in chosen.files:
            file = FileSource(place, chosen.form, market, chosen.since, now, chosen.utc, logger.info, downloads)
            yield f"{market}:{chosen.form}:{file.identity}:{span}", file, chosen.until or FOREVER


def require_canonical(market: Market) -> None:
    """Raises ValueError where a venue of ours would call the market otherwise: its bars would lie apart."""
    if market.venue in VENUES and (symbol := venue_of(market.venue).feed().symbol(market.symbol)) != market.symbol:
        raise ValueError(f"symbols are written like {symbol}, not {market.symbol}")


def fill(name: str, source: Source, until: int, chosen: Namespace, settings: FillHistory) -> None:
    """One source to its end, from where an earlier start has left it."""
    state = StateTable(settings.state_table, clients.dynamodb())
    cursor = Cursor(until=until, since=chosen.since, time=chosen.since)
    before = state.fill(name)
    if before and chosen.again:
        # Where the bars begin is where the first start found it: by now they begin where that one began.
        cursor = replace(cursor, until=before.until)
    elif before:
        cursor = before
    if cursor.done:
        logger.info("done before: --again repeats it", extra={"fill": name})
        return
    alive = state.watermark(chosen.market)
    filling = Filling(
        name=name,
        market=chosen.market,
        table=BarTable(settings.bars_table, clients.dynamodb()),
        state=state,
        stream=TradeStream(clients.kinesis(), settings.stream, batch_s=0.0),
        progress=Progress(name, logger),
        tell=logger.info,
        expires=time.time_ns() // 1000 + settings.retention_days * DAY,
        bytes_per_s=settings.bytes_per_s,
        claims=alive is None or alive.time >= chosen.since,
        strict=chosen.strict,
    )
    logger.info("begun" if cursor is not before else "going on", extra={"fill": name, "until": iso(cursor.until)})
    if cursor is not before:
        # Before any trade of it is there: a start that came after would take that for where the bars begin.
        state.keep_fill(name, cursor)
    outcome = "interrupted"
    try:
        filling.run(source, cursor)
        outcome = "filled"
    finally:
        logger.info(outcome, extra={"fill": name, **filling.tally, "retries": filling.stream.counters.retries})


def _where_bars_begin(chosen: Namespace, settings: FillHistory, history: History) -> int:
    """The end of the first minute with trades, which may have begun before they did; the present without any."""
    first = BarTable(settings.bars_table, clients.dynamodb()).earliest(chosen.market, chosen.since)
    return first.end if first else history.now()


def _environment(stack: str) -> dict[str, str]:
    """What the deployed task of that stack is told. Raises NoStackError."""
    told = output(clients.cloudformation(), stack, OUTPUT)
    return dict(pair.split("=", 1) for pair in told.split())


def _stop(*_: object) -> NoReturn:
    raise StoppedError


if __name__ == "__main__":
    sys.exit(main(None, os.environ))
