"""What the task tells of itself: one structured line and one set of metrics an interval."""

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from btc import correlation
from btc.aws.metrics import add_details
from btc.times import MINUTE, minute_of

if TYPE_CHECKING:
    from btc.aws.streams import Counters
    from functions.ingest_trades.ingestion import Ingestion

EVERY_S: Final = 60.0

_SUMS: Final = {
    "Trades": "trades",
    "Gaps": "gaps",
    "UnrepairedGaps": "unrepaired",
    "MalformedFrames": "malformed",
    "Connections": "connections",
}


@dataclass(slots=True)
class Report:
    """Reads the ingestion's figures; sums become differences since the last report."""

    ingestion: "Ingestion"
    logger: Logger
    metrics: Metrics = field(default_factory=lambda: Metrics(service="ingest_trades"))
    """In the namespace that the environment names."""
    every_s: float = EVERY_S
    _last: float = 0.0
    _begun: int = 0
    _sent: dict[str, int] = field(default_factory=dict)

    def tick(self) -> None:
        now = time.monotonic()
        if not self._last:
            self._last = now
        elif now - self._last >= self.every_s:
            self._last = now
            self.send()

    def send(self) -> None:
        """Log the figures and publish the metrics."""
        tally, stream = self.ingestion.tally, self.ingestion.stream
        counters = asdict(stream.counters)
        told = {"stream": counters, "buffered": stream.buffered_bytes, "minutes": self._minutes(tally.venue_time)}
        self.logger.info("ingested", extra={**asdict(tally), **told})
        sums = {name: int(getattr(tally, attribute)) for name, attribute in _SUMS.items()}
        sums |= {"StreamRetries": counters["retries"], "StreamBytes": counters["bytes"]}
        add_details(self.metrics, self._since_the_last(sums))
        self._send_batch_sizes(stream.counters)
        if tally.last_frame:
            age = time.monotonic() - tally.last_frame
            self.metrics.add_metric("FeedAge", MetricUnit.Seconds, age)
        if tally.venue_time and tally.trade_time:
            lag = max(tally.venue_time - tally.trade_time, 0) / 1000
            add_details(self.metrics, {"TradeAge": lag}, MetricUnit.Milliseconds.value)
        if not tally.matching:
            self.metrics.add_metric("VenueHalted", MetricUnit.Count, 1)
        add_details(self.metrics, {"StreamLag": max(stream.lag, 0.0)}, MetricUnit.Seconds.value)
        add_details(self.metrics, {"BufferedBytes": stream.buffered_bytes}, MetricUnit.Bytes.value)
        self.metrics.flush_metrics()

    def _send_batch_sizes(self, counters: "Counters") -> None:
        """How well trades share records, and records requests; nothing where there were none."""
        sent = counters.records + counters.retries
        sums = {"sealed": counters.trades, "batches": counters.batches, "sent": sent, "requests": counters.requests}
        more = self._since_the_last(sums)
        if more["batches"]:
            add_details(self.metrics, {"TradesPerRecord": more["sealed"] / more["batches"]})
        if more["requests"]:
            add_details(self.metrics, {"RecordsPerRequest": more["sent"] / more["requests"]})

    def _minutes(self, now: int) -> list[str]:
        """Those that have begun since the last report by the venue's clock (µs): one line names each."""
        if not now:
            return []
        first, last = self._begun + MINUTE if self._begun else minute_of(now), minute_of(now)
        self._begun = last
        starts = range(first, last + MINUTE, MINUTE)
        return correlation.minutes((market, start) for market in self.ingestion.markets for start in starts)

    def _since_the_last(self, sums: dict[str, int]) -> dict[str, int]:
        more = {name: total - self._sent.get(name, 0) for name, total in sums.items()}
        self._sent |= sums
        return more
