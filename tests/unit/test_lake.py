"""The lake joins what comes to what it holds, and writes only over what it has read."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btc import bars, lake, scores
from btc.aws import clients
from btc.aws.contention import PATIENCE, ContendedError
from btc.aws.lake import Lake
from btc.times import DAY
from btc.trades import Trades
from tests.unit.aws import aws
from tests.unit.market import BTC, tapes
from tests.unit.test_parquet import made

__all__ = ["aws"]
KEY = "bars/anything"


@pytest.fixture
def store(aws):
    return Lake("lake", clients.s3())


def content(store: Lake) -> bytes:
    return store.client.get_object(Bucket=store.bucket, Key=KEY)["Body"].read()


def adding(word: bytes):
    """A writer that adds its word to what is there, once."""
    return lambda stored: None if word in (stored or b"") else (stored or b"") + word


@pytest.mark.parametrize("before", [None, b"old "], ids=["no object yet", "an object"])
def test_of_two_writers_at_once_neither_loses_what_the_other_wrote(store, before):
    if before:
        store.rewrite(KEY, adding(before))
    interrupted = []

    def slow(stored):
        if not interrupted:
            interrupted.append(store.rewrite(KEY, adding(b"fast ")))  # between this one's reading and its writing
        return adding(b"slow ")(stored)

    assert store.rewrite(KEY, slow)
    assert content(store) == (before or b"") + b"fast slow "


def test_an_object_that_goes_while_it_is_rewritten_is_made_anew(store):
    store.rewrite(KEY, adding(b"old "))

    def slow(stored):
        if stored:
            store.client.delete_object(Bucket=store.bucket, Key=KEY)
        return b"new"

    assert store.rewrite(KEY, slow)
    assert content(store) == b"new"


def test_who_is_always_outrun_gives_up_by_name(store):
    words = iter(range(PATIENCE))

    def slow(stored):
        store.rewrite(KEY, adding(b"%d " % next(words)))
        return b"mine alone"

    with pytest.raises(ContendedError, match=f"{PATIENCE} times"):
        store.rewrite(KEY, slow)
    assert b"mine" not in content(store)


def test_nothing_new_is_not_written(store):
    assert store.rewrite(KEY, adding(b"word"))
    assert not store.rewrite(KEY, adding(b"word"))


@given(tapes(min_size=2), st.data())
def test_days_of_two_stores_join_to_what_all_their_trades_make(tape, data):
    cut = data.draw(st.integers(0, len(tape)))
    some, others = (list(bars.merge({}, Trades.of(BTC, part)).values()) for part in (tape[:cut], tape[cut:]))
    whole = list(bars.merge({}, Trades.of(BTC, tape)).values())

    assert lake.join_bars(some, others) == lake.join_bars(others, some) == lake.join_bars(whole, some) == whole


def test_a_forecast_stays_as_it_was_said_and_keeps_its_outcome():
    [said, *_] = made(60_000.0)
    [otherwise, *_] = made(61_000.0)
    scored = replace(said, outcome=scores.outcome(said.forecast, 60_100.5))

    assert lake.join_forecasts([otherwise], [said]) == [said]
    assert lake.join_forecasts([scored], [said]) == lake.join_forecasts([said], [scored]) == [scored]


def test_forecasts_lie_by_target_and_horizon():
    rows = made()

    assert lake.join_forecasts(rows[:1], rows[1:]) == lake.join_forecasts(reversed(rows), []) == rows


@given(st.sets(st.integers(0, 50), min_size=1), st.sets(st.integers(0, 50), min_size=1))
def test_a_tape_object_is_named_by_the_trades_it_holds_and_by_nothing_else(some, others):
    keys = [lake.tape_key(BTC, 20_000 * DAY, sorted(ids)) for ids in (some, others)]

    assert (keys[0] == keys[1]) == (some == others)
    assert keys[0].startswith(f"tape/venue=kraken/symbol=BTC-USD/date=2024-10-04/{min(some)}-{max(some)}-")
