"""The task's loop over a scripted connection: silence, holes that no history fills, and claims held back."""

from collections.abc import Sequence

import pytest

from btc.feeds.feed import HistoryError, Newest
from btc.feeds.kraken import Kraken
from btc.times import MINUTE, iso
from btc.trades import Market, Trades
from functions.ingest_trades.ingestion import Ingestion, RefusedError
from tests.unit import ingesting
from tests.unit.ingesting import NOON, Past, Sink

BTC = Market("kraken", "BTC-USD")


def update(*ids: int, apart: int = 1000) -> bytes:
    """Trades so many µs apart."""
    items = ",".join(
        f'{{"symbol":"BTC/USD","side":"buy","price":1.0,"qty":1.00000000,"ord_type":"limit","trade_id":{identity},'
        f'"timestamp":"{iso(NOON + identity * apart)}"}}'
        for identity in ids
    )
    return f'{{"channel":"trade","type":"update","data":[{items}]}}'.encode()


def pong(second: float) -> bytes:
    return f'{{"method":"pong","req_id":2,"time_out":"{iso(NOON + int(second * 1e6))}"}}'.encode()


ACK = b'{"method":"subscribe","result":{"channel":"trade","snapshot":true,"symbol":"BTC/USD"},"success":true}'


def ingest(frames: Sequence[bytes], past: Past, lasts: float) -> tuple[Ingestion, Sink]:
    """One connection's run after a start at trade 1."""
    return ingesting.ingest(Kraken(), BTC, frames, past, lasts)


def test_before_the_first_trades_of_a_connection_nothing_is_claimed() -> None:
    frames = [pong(60), ACK, pong(120), update(1, 2, apart=MINUTE), pong(180)]

    _, sink = ingest(frames, Past(BTC, [1]), 3)

    assert [(mark.time - NOON, mark.last_id) for mark in sink.marks()] == [(999, 0), (2 * MINUTE - 1, 1)]


def test_of_a_minute_under_way_nothing_is_told_and_its_end_is_told_once() -> None:
    frames = [ACK, *[frame for second in range(2, 200) for frame in (update(second, apart=1_000_000), pong(second))]]

    _, sink = ingest(frames, Past(BTC, [1]), 30)

    minutes = [(mark.time - NOON) // MINUTE for mark in sink.marks()]
    assert minutes == [0, 1, 2, 3]


def test_a_hole_holds_claims_back_until_history_has_filled_it() -> None:
    trades = update(2, apart=MINUTE), update(6, apart=MINUTE)
    frames = [ACK, *trades, pong(400), *[b'{"channel":"heartbeat"}'] * 60, pong(420)]

    ingestion, sink = ingest(frames, Past(BTC, [1], [], [3, 4], [5]), 10)

    assert (ingestion.tally.gaps, ingestion.tally.unrepaired) == (1, 0)
    assert [identity for entry in sink.entries if isinstance(entry, Trades) for identity in entry.ids] == [
        *(1, 2, 6),
        *(3, 4, 5),
    ]
    assert [mark.last_id for mark in sink.marks()] == [0, 1, 5]


def test_a_hole_that_no_history_fills_is_given_up_after_so_many_searches_and_then_claimed_past() -> None:
    frames = [ACK, update(2), update(6), *[pong(second) for second in range(1, 1000)]]

    ingestion, sink = ingest(frames, Past(BTC, [1], newest=[Newest(BTC, 6, 0)] * 100), 60)

    assert (ingestion.tally.gaps, ingestion.tally.unrepaired) == (1, 1)
    assert sink.marks()[-1].last_id == 6


def test_a_minute_is_over_only_once_the_venue_has_said_which_trade_was_its_last() -> None:
    frames = [ACK, update(2), *[frame for second in range(1, 120) for frame in [pong(second)] * 20]]

    _, sink = ingest(frames, Past(BTC, [1]), 119)
    assert sink.marks()[-1].time < NOON + 2000

    # Trade 3 was made and never told: the history knows.
    past = Past(BTC, [1], [3], newest=[Newest(BTC, 3, 0)] * 10)
    _, sink = ingest(frames, past, 119)
    assert list(sink.trades()[-1].ids) == [3]
    assert sink.marks()[-1].time >= NOON + MINUTE
    assert sink.marks()[-1].last_id == 3


def test_a_history_that_stays_away_does_not_end_a_feed_that_speaks() -> None:
    class Away(Past):
        """Refuses beyond all patience, for the first minute."""

        refusals = 3

        def step(self) -> Trades | None:
            if 3 in self.found and self.refusals:
                self.refusals -= 1
                raise HistoryError("out")
            return super().step()

    frames = [ACK, update(2), update(4), *[frame for second in range(1, 200) for frame in [pong(second)] * 20]]

    ingestion, sink = ingest(frames, Away(BTC, [1], [3], [3], [3], [3], newest=[Newest(BTC, 4, 0)] * 10), 190)

    assert ingestion.tally.connections == 1
    assert {identity for trades in sink.trades() for identity in trades.ids} == {1, 2, 3, 4}
    assert sink.marks()[-1].last_id == 4


TORN = b'{"channel":"trade","type":"update","data":[{"sym'


def test_after_a_frame_that_did_not_read_nothing_is_claimed_until_trades_show_what_it_told() -> None:
    before = [update(2, apart=MINUTE), pong(150)]
    frames = [ACK, *before, TORN, pong(160), pong(200), update(4, apart=MINUTE), pong(250), *[pong(260)] * 40]

    _, sink = ingest(frames, Past(BTC, [1], [3]), 4)

    assert [(mark.time - NOON, mark.last_id) for mark in sink.marks()] == [
        (999, 0),
        (2 * MINUTE - 1, 1),
        (4 * MINUTE - 1, 3),
    ]


def test_a_frame_that_did_not_read_is_followed_by_another_connection_where_no_trades_are() -> None:
    ingestion, sink = ingest([ACK, update(2), TORN, *[pong(2)] * 400], Past(BTC, [1]), 14)

    assert ingestion.tally.connections == 2
    assert sink.marks()[-1].last_id == 0


def test_a_silent_connection_is_left_for_another() -> None:
    ingestion, _ = ingest([ACK, update(2)], Past(BTC, [1]), 40)

    assert ingestion.tally.connections >= 2


def test_a_refusal_of_the_symbol_ends_the_run_and_one_of_the_pace_only_the_connection() -> None:
    nack = b'{"error":"Currency pair not supported X/Y","method":"subscribe","success":false,"symbol":"X/Y"}'
    with pytest.raises(RefusedError, match="Currency pair not supported X/Y"):
        ingest([nack], Past(BTC, [1]), 5)

    ingestion, _ = ingest([b'{"Error":"Exceeded msg rate"}'], Past(BTC, [1]), 5)
    assert ingestion.tally.connections >= 2
