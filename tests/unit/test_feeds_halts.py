"""A venue that halts, refuses or breaks: told clearly, no crowd of connections, no false holes, nothing unread lost."""

import json
import logging
from base64 import b64decode
from collections.abc import Sequence

import pytest

from btc.feeds.binance import Binance
from btc.feeds.coinbase import Coinbase
from btc.feeds.connection import ConnectionLostError
from btc.feeds.feed import Newest
from btc.feeds.kraken import Kraken
from btc.times import iso
from btc.trades import Market
from functions.ingest_trades import malformed
from functions.ingest_trades.ingestion import Ingestion
from tests.unit import ingesting
from tests.unit.ingesting import NOON, Past, Sink
from tests.unit.test_feeds_ingestion import ACK, pong, update

BTC = Market("kraken", "BTC-USD")
HEARTBEAT = b'{"channel":"heartbeat"}'
NACK = b'{"error":"Trading is halted","method":"subscribe","success":false,"symbol":"BTC/USD"}'


def status(system: str) -> bytes:
    return json.dumps({"channel": "status", "type": "update", "data": [{"system": system}]}).encode()


def ingest(frames: Sequence[bytes], lasts: float) -> tuple[Ingestion, Sink]:
    past = Past(BTC, [1], newest=[Newest(BTC, 2, 0)] * 1000)
    return ingesting.ingest(Kraken(), BTC, frames, past, lasts)


def a_minute_of(*frames: bytes) -> list[bytes]:
    """As many receives as a minute takes, these frames first."""
    return [*frames, *[HEARTBEAT] * (1200 - len(frames))]


def test_maintenance_keeps_its_connection_however_long_the_subscription_waits() -> None:
    frames = [status("maintenance"), *a_minute_of() * 10, status("online"), HEARTBEAT, ACK, update(2), pong(700)]

    ingestion, sink = ingest(frames, 10 * 60 + 2)

    assert ingestion.tally.connections == 1
    assert (ingestion.tally.gaps, ingestion.tally.matching) == (0, True)
    assert sink.marks()[-1].last_id == 2


def test_minutes_without_matching_are_empty_and_no_holes() -> None:
    pongs = [frame for second in range(3, 603) for frame in (pong(second), *[HEARTBEAT] * 19)]

    ingestion, sink = ingest([ACK, update(2), status("maintenance"), *pongs], 600)

    assert (ingestion.tally.connections, ingestion.tally.gaps, ingestion.tally.matching) == (1, 0, False)
    assert sink.marks()[-1].time > NOON + 590 * 1_000_000
    assert {mark.last_id for mark in sink.marks()[-5:]} == {2}


def test_after_maintenance_a_subscription_that_stays_unanswered_is_asked_for_on_a_new_connection() -> None:
    ingestion, _ = ingest([status("maintenance"), HEARTBEAT, status("online"), *a_minute_of()], 15)

    assert ingestion.tally.connections == 2


def test_a_refusal_during_maintenance_does_not_end_the_task_and_is_not_repeated_in_haste() -> None:
    ingestion, _ = ingest([status("maintenance"), NACK] * 200, 600)

    assert 5 < ingestion.tally.connections < 25


@pytest.mark.parametrize("ends", ["cut", "closing"])
def test_a_venue_that_ends_each_connection_at_once_is_not_besieged(ends: str, caplog: pytest.LogCaptureFixture) -> None:
    """Kraken bans after some 150 connections in ten minutes, Binance after 300 in five."""
    feed, market = Binance(), Market("binance", "BTC-USDT")
    clock, connections = ingesting.Clock(), []
    ended = [b'{"e":"serverShutdown","E":1}'] if ends == "closing" else []

    def connect() -> ingesting.Line:
        connections.append(clock.now)
        if ends == "cut":
            raise ConnectionLostError("1012 maintenance")
        return ingesting.Line(clock, ended, 1)

    ingestion, _ = ingesting.ingest(feed, market, [], Past(market, [1]), 0)
    ingestion.clock, ingestion.sleep, ingestion.connect = clock, clock.sleep, connect
    ingestion.stopped = lambda: clock.now > 700
    ingestion.run()

    assert 5 < len(connections) < 25


def test_coinbases_heartbeats_without_trades_are_no_holes() -> None:
    market = Market("coinbase", "BTC-USD")

    def beat(second: int, last_id: int) -> bytes:
        told = {"type": "heartbeat", "last_trade_id": last_id, "product_id": "BTC-USD"}
        return json.dumps({**told, "sequence": 1, "time": iso(NOON + second * 1_000_000)}).encode()

    listed = {"type": "subscriptions", "channels": [{"name": "matches", "product_ids": ["BTC-USD"]}]}
    # As in its outages: the heartbeats go on, and some know of no trade at all.
    frames = [json.dumps(listed).encode(), *(beat(second, 0 if second % 7 == 0 else 1) for second in range(1, 600))]

    ingestion, sink = ingesting.ingest(Coinbase(), market, frames, Past(market, [1]), 30)

    assert (ingestion.tally.connections, ingestion.tally.gaps) == (1, 0)
    assert sink.marks()[-1].time > NOON + 500 * 1_000_000


def test_a_frame_that_does_not_read_can_be_had_again_byte_by_byte(caplog: pytest.LogCaptureFixture) -> None:
    broken = b'{"channel":"trade","data":[{"symbol":"BTC/USD","price":\xff' + b"x" * 50_000

    ingestion, _ = ingest([ACK, broken, update(2)], 1)

    [kept] = [record for record in caplog.records if record.message == "malformed frame"]
    assert b64decode(kept.__dict__["frame_base64"]) == broken
    assert kept.__dict__["bytes"] == len(broken)
    assert "malformed" in kept.__dict__["cause"]
    assert ingestion.tally.malformed == 1


def test_a_huge_frame_stays_below_what_the_log_takes(caplog: pytest.LogCaptureFixture) -> None:
    ingest([ACK, b'{"channel":"' + b'"' * 2_000_000], 1)

    [kept] = [record for record in caplog.records if record.message == "malformed frame"]
    entry = {key: kept.__dict__[key] for key in ("cause", "bytes", "frame_base64")}
    assert len(json.dumps(entry)) < 256 * 1024 / 1.5
    assert kept.__dict__["bytes"] == 2_000_012


def test_a_venue_that_breaks_altogether_does_not_fill_the_log_and_every_frame_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    # A trade now and then shows that nothing was missed, and the connection is kept.
    frames = [frame for trade in range(2, 52) for frame in (*[b"{broken"] * 100, update(trade))]
    ingestion, _ = ingest([ACK, *frames], 300)

    kept = [record for record in caplog.records if record.message == "malformed frame"]
    assert ingestion.tally.malformed == 5000
    minutes = 5000 * 0.05 / 60
    assert malformed.A_MINUTE <= len(kept) <= malformed.A_MINUTE * (minutes + 2)
