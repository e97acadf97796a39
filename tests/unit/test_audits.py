"""The laws of the audit: it names what is missing, all of it, and nothing where nothing is."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from btc import audits, bars, ranges
from btc.audits import Audit, Span, due
from btc.bars import Bar, Source
from btc.tape import Watermark
from btc.times import DAY, MINUTE, minute_of
from btc.trades import Trade, Trades
from tests.unit.market import BTC, NOON, tapes

QUARTER = 15 * MINUTE


def mark_of(tape: Sequence[Trade]) -> Watermark:
    return Watermark(BTC, minute_of(tape[-1].time) + 2 * MINUTE, tape[-1].trade_id)


def stored(trades: Iterable[Trade], mark: Watermark) -> dict[int, Bar]:
    return bars.prove(bars.merge({}, Trades.of(BTC, trades)), [mark])


def audit(known: dict[int, Bar], mark: Watermark, start: int = 0) -> Audit:
    return audits.audit([bar for _, bar in sorted(known.items())], mark, start)


def named(found: Audit) -> ranges.Ranges:
    return ranges.union((span.first_id, span.last_id) for span in found.spans)


def sent_again(known: dict[int, Bar], tape: Sequence[Trade], found: Audit, mark: Watermark) -> dict[int, Bar]:
    """What the bars become once the trades of the spans have come by the way of all trades."""
    wanted = [trade for trade in tape if any(first <= trade.trade_id <= last for first, last in named(found))]
    return bars.prove(bars.merge(known, Trades.of(BTC, wanted)), [mark]) if wanted else known


@given(tapes())
def test_for_a_whole_tape_it_finds_nothing(tape):
    assert audit(stored(tape, mark_of(tape)), mark_of(tape)) == Audit((), 0, 0, ())


@given(tapes(min_size=2), st.data())
def test_the_spans_hold_every_lost_trade_and_their_coming_leaves_nothing_to_find(tape, data):
    lost = data.draw(st.sets(st.sampled_from(tape[1:]), min_size=1))
    mark = mark_of(tape)
    known = stored([trade for trade in tape if trade not in lost], mark)
    found = audit(known, mark)

    ids = {identity for first, last in named(found) for identity in range(first, last + 1)}
    assert ids == {trade.trade_id for trade in lost}
    assert all(span.lost and span.since <= trade.time for span in found.spans for trade in lost if _in(trade, span))
    assert {minute_of(trade.time) for trade in lost} <= set(found.unproven)
    assert found.outside(found.spans) == 0
    assert audit(sent_again(known, tape, found, mark), mark) == Audit((), 0, 0, ())


def _in(trade: Trade, span: Span) -> bool:
    return span.first_id <= trade.trade_id <= span.last_id


@given(tapes(), st.data())
def test_bars_that_a_crash_left_open_or_apart_are_found_and_their_trades_mend_them(tape, data):
    mark = mark_of(tape)
    whole = stored(tape, mark)
    spoilt = dict(whole)
    quiet = [start for start, bar in whole.items() if not bar.ranges]
    for start in data.draw(st.lists(st.sampled_from(sorted(whole)), max_size=6)):
        how = data.draw(st.sampled_from([{"closed": False}, {"prior_id": None}, {"next_id": None}]))
        spoilt[start] = replace(spoilt[start], **how)
    for start in data.draw(st.sets(st.sampled_from(quiet))) if quiet else ():
        del spoilt[start]
    found = audit(spoilt, mark)

    assert found.unclosed == sum(not bar.closed for bar in spoilt.values())
    assert not any(span.lost for span in found.spans)
    assert sent_again(spoilt, tape, found, mark) == whole
    assert bool(found.spans) == (spoilt != whole)


@given(tapes(min_size=4), st.data())
def test_what_lies_before_the_look_back_is_left_alone(tape, data):
    mark = mark_of(tape)
    first = minute_of(tape[0].time)
    start = first + data.draw(st.integers(1, (minute_of(mark.time) - first) // MINUTE)) * MINUTE
    older = [trade for trade in tape if trade.time < start]
    known = stored([tape[0], *older[-1:], *(trade for trade in tape if trade.time >= start)], mark)
    nearest = max(at for at, bar in known.items() if at < start and bar.ranges)

    assert audit({at: bar for at, bar in known.items() if at >= nearest}, mark, start) == Audit((), 0, 0, ())


def test_lost_trades_at_the_look_backs_edge_are_found():
    tape = [Trade(BTC, 10 + row, NOON + row * MINUTE, 100, 1, True) for row in range(6)]
    known = stored([tape[0], *tape[3:]], mark_of(tape))

    found = audit(known, mark_of(tape), NOON + 2 * MINUTE)

    assert [(span.first_id, span.last_id, span.since) for span in found.spans] == [(11, 12, NOON)]
    assert found.unproven == (NOON + 2 * MINUTE, NOON + 3 * MINUTE)


def test_trades_beyond_the_watermark_are_not_missed_yet():
    tape = [Trade(BTC, 10 + row, NOON + row * MINUTE, 100, 1, True) for row in range(6)]
    mark = Watermark(BTC, NOON + 2 * MINUTE + 5, 12)

    assert audit(stored([*tape[:3], tape[5]], mark), mark) == Audit((), 0, 0, ())


def test_the_newest_hole_comes_first():
    tape = [Trade(BTC, 10 + row, NOON + row * MINUTE, 100, 1, True) for row in range(9)]

    found = audit(stored([tape[0], tape[2], tape[5], tape[8]], mark_of(tape)), mark_of(tape))

    assert [(span.first_id, span.last_id) for span in found.spans] == [(16, 17), (13, 14), (11, 11)]


def kline(start: int) -> Bar:
    return Bar(BTC, start, 90, 110, 80, 100, 5, None, None, 9, closed=True, source=Source.KLINES)


def test_klines_are_counted_apart_and_their_trades_are_not_asked_for():
    tape = [Trade(BTC, 10 + row, NOON + row * MINUTE, 100, 1, True) for row in range(9)]
    known = stored([*tape[:3], *tape[6:]], mark_of(tape))
    known |= {NOON + row * MINUTE: kline(NOON + row * MINUTE) for row in (-2, -1, 3, 4, 5)}

    found = audit(known, mark_of(tape))

    assert found == Audit(unproven=(), klines=5 + 2, unclosed=0, spans=())


def test_a_hole_that_klines_fill_in_part_is_asked_for():
    tape = [Trade(BTC, 10 + row, NOON + row * MINUTE, 100, 1, True) for row in range(9)]
    known = stored([*tape[:3], *tape[6:]], mark_of(tape))
    known |= {NOON + row * MINUTE: kline(NOON + row * MINUTE) for row in (3, 4)}

    found = audit(known, mark_of(tape))

    assert [(span.first_id, span.last_id) for span in found.spans] == [(13, 15)]
    assert found.unproven == tuple(NOON + row * MINUTE for row in (2, 5, 6))
    assert found.klines == 2


def test_minutes_between_which_ids_step_back_in_time_are_unproven_and_nothing_is_asked_for():
    times = [0, 10, 60, 50, 70]
    tape = [Trade(BTC, 10 + row, NOON + second * 1_000_000, 100, 1, True) for row, second in enumerate(times)]

    found = audit(stored(tape, mark_of(tape)), mark_of(tape))

    assert found.unproven == (NOON, NOON + MINUTE)
    assert found.spans == ()
    assert found.outside(found.spans) == 2


def test_without_any_bar_every_minute_is_unproven_and_nothing_can_be_named():
    mark = Watermark(BTC, NOON + 3 * MINUTE + 1, 7)

    assert audits.audit([], mark, NOON) == Audit(tuple(NOON + row * MINUTE for row in range(3)), 0, 0, ())


@given(st.integers(1, 10**9), st.integers(0, QUARTER - 1))
def test_a_hole_is_asked_for_ever_more_rarely_and_never_for_the_last_time(identity, phase):
    span = Span(BTC, identity, identity, NOON, NOON + MINUTE, lost=True)
    asked = [run for run in range(1, 60 * DAY // QUARTER) if due(span, span.until + phase + run * QUARTER, QUARTER)]

    assert asked[:8] == list(range(1, 9)), "at every run while it is young"
    for age in (16, 32, 64, 1024, 2048):
        assert len([run for run in asked if age <= run < 2 * age]) == audits.TRIES


def test_what_is_held_already_is_sent_again_at_each_run():
    span = Span(BTC, 7, 9, NOON, NOON + MINUTE, lost=False)

    assert all(due(span, span.until + run * QUARTER, QUARTER) for run in range(100, 200))
