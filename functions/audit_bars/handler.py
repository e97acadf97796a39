"""On a schedule: finds the bars that are not proven and sends what they lack, out of the venue's history."""

import os
import time
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc import audits
from btc.audits import Audit
from btc.aws import clients
from btc.aws.metrics import add_details
from btc.aws.state import StateTable
from btc.aws.streams import TradeStream, UndeliveredError
from btc.aws.tables import BarTable
from btc.feeds.repairs import Repair, repair
from btc.feeds.venues import venue_of
from btc.settings import AuditBars
from btc.times import DAY, MINUTE, iso, minute_of
from btc.trades import Market, Trades

RESERVE_S = 30.0
"""Kept for a request under way, which may take seconds, and for the stream."""
FLUSH_S = 15.0

logger = Logger()
metrics = Metrics()


class AuditFailedError(RuntimeError):
    """The bars of some markets could not be audited; those of the others were."""


@cache
def settings() -> AuditBars:
    return AuditBars.from_env(os.environ)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    ends = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - RESERVE_S
    markets = [Market.parse(text) for text in settings().markets]
    failed = []
    for row, market in enumerate(markets):
        # What a market leaves of its share goes to those after it.
        share = (ends - time.monotonic()) / (len(markets) - row)
        try:
            audit(market, time.monotonic() + share)
        except (*clients.FAILURES, UndeliveredError):
            logger.exception("audit failed", extra={"market": str(market)})
            failed.append(str(market))
    if failed:
        raise AuditFailedError(f"not audited: {', '.join(failed)}")


def audit(market: Market, ends: float) -> None:
    # The watermark is read first: whatever trade it knows of is in the bars by then, or lost.
    mark = StateTable(settings().state_table, clients.dynamodb()).watermark(market)
    if mark is None:
        logger.info("nothing to audit yet", extra={"market": str(market)})
        return
    start = minute_of(mark.time) - settings().look_back_days * DAY
    found = audits.audit(BarTable(settings().bars_table, clients.dynamodb()).onwards(market, start), mark, start)
    stream = TradeStream(clients.kinesis(), settings().stream, batch_s=0)

    def send(trades: Trades) -> None:
        stream.put(trades)
        stream.flush(FLUSH_S)

    now, every = time.time_ns() // 1000, settings().every_minutes * MINUTE
    done = repair(
        found,
        venue_of(market.venue).history(settings().rest_url),
        send,
        due=lambda span: audits.due(span, now, every),
        left=lambda: ends - time.monotonic(),
    )
    tell(market, found, done)


def tell(market: Market, found: Audit, done: Repair) -> None:
    """One line, and the metrics of one market."""
    figures = {
        "UnprovenMinutes": len(found.unproven),
        "KlineMinutes": found.klines,
        "UnclosedMinutes": found.unclosed,
        "RepairedTrades": done.trades,
        "UnrepairableMinutes": done.unrepairable,
    }
    metrics.add_dimension("venue", market.venue)
    metrics.add_dimension("symbol", market.symbol)
    metrics.add_metric("RepairableMinutes", MetricUnit.Count, len(found.unproven) - done.unrepairable)
    add_details(metrics, figures)
    metrics.flush_metrics()
    oldest = iso(found.unproven[0]) if found.unproven else None
    spans = {"spans": len(found.spans), "spans_left": done.left, "refusal": done.refusal}
    log = logger.error if done.refusal else logger.info
    log("audited", extra={"market": str(market), **figures, **spans, "oldest_unproven": oldest})
