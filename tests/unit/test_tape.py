"""Records of the stream: what goes in comes out, and nothing else is taken for a record."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btc import tape
from btc.tape import Watermark
from btc.times import FOREVER
from btc.trades import Trades
from tests.unit.market import BTC, NOON, tapes


@given(tapes(), st.randoms(use_true_random=False))
def test_a_record_gives_back_the_trades_it_was_made_of(trades, random):
    random.shuffle(trades)

    assert list(tape.decode(tape.encode(Trades.of(BTC, trades)))) == trades


@given(st.integers(0, FOREVER - 1), st.integers(0, 2**60))
def test_a_watermark_comes_back_as_it_went(time, last_id):
    mark = Watermark(BTC, time, last_id)

    assert tape.decode(tape.encode(mark)) == mark


@given(tapes(), st.integers(60, 400))
def test_cutting_keeps_every_trade_and_the_size_asked_for(trades, size):
    records = list(tape.cut(Trades.of(BTC, trades), size))

    assert [trade for record in records for trade in tape.decode(record)] == trades
    assert all(len(record) <= size or len(tape.decode(record)) == 1 for record in records)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused_by_name(data):
    with pytest.raises(tape.UnreadableError):
        tape.decode(data)


@given(tapes(), st.data())
def test_a_damaged_record_is_refused_or_reads_as_some_record_but_never_breaks(trades, data):
    record = bytearray(tape.encode(Trades.of(BTC, trades)))
    record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))

    with contextlib.suppress(tape.UnreadableError):
        tape.decode(bytes(record))


def test_a_batch_without_trades_is_no_record():
    with pytest.raises(tape.UnreadableError, match="without trades"):
        tape.decode(tape.encode(Trades(BTC, [], [], [], [], b"")))


def test_columns_of_unequal_length_are_refused():
    whole = Trades(BTC, [1, 2], [NOON, NOON], [5, 5], [1, 1], b"\x01\x00")
    short = Trades(BTC, [1, 2], [NOON, NOON], [5], [1, 1], b"\x01\x00")

    assert len(tape.decode(tape.encode(whole))) == 2
    with pytest.raises(tape.UnreadableError, match="unequal"):
        tape.decode(tape.encode(short))


def test_runs_that_promise_more_ids_than_there_are_trades_are_refused_before_they_are_made():
    record = msgspec.msgpack.encode(["trades/1", str(BTC), [1, 10**15], [NOON], [5], [1], b"\x01"])

    with pytest.raises(tape.UnreadableError, match="no 1 ids"):
        tape.decode(record)


def test_ids_without_a_hole_take_no_room():
    records = [
        tape.encode(Trades(BTC, range(7, 7 + size), [5] * size, [5] * size, [1] * size, b"\x01" * size))
        for size in (100, 101)
    ]

    assert len(records[1]) - len(records[0]) == 4


@pytest.mark.parametrize(
    "entry",
    [
        Watermark(BTC, FOREVER, 7),
        Watermark(BTC, 5, -1),
        Trades(BTC, [-7], [NOON], [1], [1], b"\1"),
        Trades(BTC, [7], [2**62], [1], [1], b"\1"),
        Trades(BTC, [7], [NOON], [-1], [1], b"\1"),
    ],
)
def test_what_no_venue_could_have_made_is_set_apart(entry):
    with pytest.raises(tape.UnreadableError):
        tape.decode(tape.encode(entry))
