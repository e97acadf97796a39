"""Runs of ids hold what they were made of, and nothing else."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from btc import ranges
from btc.trades import Market, Trades

IDS = st.sets(st.integers(0, 60), min_size=1)


def ids_of(runs: ranges.Ranges) -> set[int]:
    return {identity for first, last in runs for identity in range(first, last + 1)}


@given(IDS)
def test_runs_hold_exactly_the_ids_they_were_made_of(ids):
    runs = ranges.runs(sorted(ids))

    assert ids_of(runs) == ids
    assert ranges.count(runs) == len(ids)
    assert all(after[0] > before[1] + 1 for before, after in pairwise(runs))


@given(IDS, IDS)
def test_a_union_holds_the_ids_of_both(some, others):
    assert ranges.union(ranges.runs(sorted(some)), ranges.runs(sorted(others))) == ranges.runs(sorted(some | others))


@given(IDS)
def test_runs_come_back_from_their_text(ids):
    assert ranges.read(ranges.spell(ranges.runs(sorted(ids)))) == ranges.runs(sorted(ids))


@given(IDS, IDS)
def test_unseen_are_the_trades_that_no_run_holds(held, ids):
    offered = trades(sorted(ids))

    assert set(ranges.unseen(ranges.runs(sorted(held)), offered).ids) == ids - held


def test_a_repeat_of_what_is_held_has_nothing_unseen():
    assert not len(ranges.unseen(((3, 9), (20, 30)), trades(range(22, 28))))


def trades(ids):
    return Trades(Market("kraken", "BTC-USD"), ids, list(ids), list(ids), list(ids), b"\x01" * len(ids))
