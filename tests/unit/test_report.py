"""What the ingest task tells of itself: sums since the last report, and how full its records and requests are."""

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools import Logger, Metrics

from btc.aws.streams import Counters
from btc.times import MINUTE, SECOND
from functions.ingest_trades.report import Report
from functions.ingest_trades.tracks import Tally
from tests.unit.market import BTC, NOON


@pytest.fixture
def ingestion() -> Any:
    return SimpleNamespace(
        tally=Tally(), markets=[BTC], stream=SimpleNamespace(counters=Counters(), buffered_bytes=0, lag=-1.0)
    )


@pytest.fixture
def report(ingestion: Any, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.setenv("DETAILED_METRICS", "true")
    return Report(ingestion, Logger(service="test"), Metrics(namespace="Test", service="test"))


def sent(report: Report, capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """The metrics of the report's embedded-metric line, by name."""
    capsys.readouterr()
    report.send()
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    [line] = [line for line in lines if "_aws" in line]
    [told] = line["_aws"]["CloudWatchMetrics"]
    return {metric["Name"]: line[metric["Name"]][0] for metric in told["Metrics"]}


def test_lag_and_ages_are_told_as_they_are(ingestion, report, capsys):
    ingestion.stream.lag = 599.0
    ingestion.tally.last_frame = time.monotonic() - 7
    ingestion.tally.venue_time, ingestion.tally.trade_time = 9_000_000, 4_000_000
    told = sent(report, capsys)

    assert (told["StreamLag"], told["TradeAge"]) == (599, 5000)
    assert told["FeedAge"] == pytest.approx(7, abs=1)


def test_what_never_waited_has_no_lag(report, capsys):
    assert sent(report, capsys)["StreamLag"] == 0


def test_sums_are_told_as_what_came_since_the_last_report(ingestion, report, capsys):
    ingestion.tally.trades, ingestion.tally.gaps, ingestion.stream.counters.retries = 500, 2, 7
    first = sent(report, capsys)
    ingestion.tally.trades, ingestion.tally.gaps = 800, 2
    second = sent(report, capsys)

    assert (first["Trades"], first["Gaps"], first["StreamRetries"]) == (500, 2, 7)
    assert (second["Trades"], second["Gaps"], second["StreamRetries"]) == (300, 0, 0)


def test_batch_sizes_are_those_since_the_last_report_whatever_had_to_be_sent_again(ingestion, report, capsys):
    ingestion.stream.counters = Counters(records=8, trades=1200, batches=6, requests=4)
    first = sent(report, capsys)
    ingestion.stream.counters = Counters(records=10, trades=1300, batches=8, requests=6, retries=4)
    second = sent(report, capsys)

    assert (first["TradesPerRecord"], first["RecordsPerRequest"]) == (200, 2)
    assert (second["TradesPerRecord"], second["RecordsPerRequest"]) == (50, 3)


def test_an_interval_without_requests_tells_of_no_batch_sizes(ingestion, report, capsys):
    quiet = sent(report, capsys)

    assert quiet["Trades"] == 0
    assert not quiet.keys() & {"TradesPerRecord", "RecordsPerRequest"}


def test_each_minute_of_the_venues_clock_is_named_by_one_line(ingestion, report, caplog):
    for now in (0, NOON + SECOND, NOON + 59 * SECOND, NOON + 2 * MINUTE):
        ingestion.tally.venue_time = now
        report.send()

    assert [line.minutes for line in caplog.records] == [
        [],
        ["kraken:BTC-USD 2025-11-10T12:00:00Z"],
        [],
        ["kraken:BTC-USD 2025-11-10T12:01:00Z", "kraken:BTC-USD 2025-11-10T12:02:00Z"],
    ]


def test_only_what_an_alarm_watches_is_a_metric_unless_more_is_asked_for(ingestion, report, monkeypatch, capsys):
    monkeypatch.setenv("DETAILED_METRICS", "false")
    ingestion.tally.last_frame = time.monotonic()
    quiet = sent(report, capsys)
    ingestion.tally.matching = False
    halted = sent(report, capsys)

    assert set(quiet) == {"FeedAge"}
    assert set(halted) == {"FeedAge", "VenueHalted"}
