"""Laws of the features and the labels: causal, of finite look-back, the same online and offline, bit for bit."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btc import features, labels, windows
from btc.bars import Bar
from btc.features import LOOK_BACK, MAX_UNKNOWN, NAMES
from btc.forecasts import HORIZONS
from btc.minutes import BrokenMinutesError, Minutes
from btc.times import MINUTE
from tests.model import rolling
from tests.model.walks import MONDAY, walk
from tests.unit.market import BTC

LENGTH = 3 * LOOK_BACK
UNRECORDED = np.isin(np.arange(LENGTH), [*range(1_700, 1_712), *range(2_000, 2_700), *range(3_000, LENGTH, 7)])
WHOLE = walk(LENGTH, unknown=0.02)
HISTORY = replace(
    WHOLE,
    buy_volume=np.where(UNRECORDED, np.nan, WHOLE.buy_volume),
    trade_count=np.where(UNRECORDED, np.nan, WHOLE.trade_count),
)
MATRIX = features.matrix(HISTORY)
ORACLE = rolling.features(HISTORY)
FLOWS = ("trades_5", "buy_imbalance_1", "buy_imbalance_5", "buy_imbalance_60")
"""What is made of flows, and NaN without them."""


def column(name: str) -> np.ndarray:
    return MATRIX[:, NAMES.index(name)]


def without_flows(matrix: np.ndarray) -> np.ndarray:
    return np.delete(matrix, [NAMES.index(name) for name in FLOWS], axis=1)


def disturbed(minutes: Minutes, first: int, seed: int) -> Minutes:
    """Other minutes from `first` on, the same before."""
    other = walk(len(minutes), seed=seed)
    columns = {field.name: np.copy(getattr(minutes, field.name)) for field in fields(Minutes)}
    for name, values in columns.items():
        if name != "start":
            values[first:] = getattr(other, name)[first:]
    return Minutes(**columns)


@settings(max_examples=40)
@given(row=st.integers(LOOK_BACK, LENGTH - 1), extra=st.integers(0, 300))
def test_a_row_from_its_look_back_alone_equals_the_row_over_all_history_bit_for_bit(row, extra):
    tail = HISTORY[max(0, row - LOOK_BACK - extra) : row + 1]

    assert features.matrix(tail)[-1].tobytes() == MATRIX[row].tobytes()
    assert features.scale(tail)[-1].tobytes() == features.scale(HISTORY)[row].tobytes()
    assert features.usable(tail)[-1] == features.usable(HISTORY)[row]


@settings(max_examples=20)
@given(row=st.integers(LOOK_BACK, LENGTH - 2), seed=st.integers(2, 50))
def test_no_feature_sees_the_future(row, seed):
    other = disturbed(HISTORY, row + 1, seed)

    assert features.matrix(other)[: row + 1].tobytes() == MATRIX[: row + 1].tobytes()
    assert features.scale(other)[: row + 1].tobytes() == features.scale(HISTORY)[: row + 1].tobytes()


@settings(max_examples=20)
@given(row=st.integers(0, LENGTH - 1), seed=st.integers(2, 50), horizon=st.sampled_from(HORIZONS))
def test_a_label_sees_its_own_minute_and_the_horizons_end_only(row, seed, horizon):
    before = disturbed(HISTORY, row + 1, seed)
    reach = labels.returns(HISTORY, horizon)

    settled = max(0, row + 1 - horizon)

    np.testing.assert_array_equal(labels.returns(before, horizon)[:settled], reach[:settled])
    known = HISTORY.known[:-horizon] & HISTORY.known[horizon:]
    expected = np.log(HISTORY.close[horizon:] / HISTORY.close[:-horizon])
    np.testing.assert_array_equal(reach[:-horizon], np.where(known, expected, np.nan))
    assert np.isnan(reach[-horizon:]).all()


@settings(max_examples=10)
@given(factor=st.sampled_from([2.0**-10, 0.5, 8.0, 2.0**12]))
def test_features_do_not_know_the_unit_of_price(factor):
    prices = {name: getattr(HISTORY, name) * factor for name in ("open", "high", "low", "close")}

    np.testing.assert_allclose(features.matrix(replace(HISTORY, **prices)), MATRIX, rtol=1e-4, atol=1e-4)


def test_rows_without_a_whole_look_back_are_nan_and_not_usable():
    assert np.isnan(MATRIX[:LOOK_BACK]).all()
    assert np.isfinite(without_flows(MATRIX)[LOOK_BACK:]).all()
    assert not features.usable(HISTORY)[:LOOK_BACK].any()
    assert np.isnan(features.scale(HISTORY)[:LOOK_BACK]).all()
    assert features.matrix(HISTORY[:10]).shape == (10, len(NAMES))


def test_a_row_is_usable_only_with_its_last_minute_known_and_few_others_unknown():
    known = np.ones(LENGTH, dtype=bool)
    known[2000] = False
    known[2500 : 2500 + int(MAX_UNKNOWN * LOOK_BACK) + 1] = False
    mask = features.usable(replace(HISTORY, known=known))

    assert mask[1999]
    assert not mask[2000]
    assert mask[2001]
    assert not mask[2645]
    assert mask[-1] == (LENGTH - 2500 > LOOK_BACK)


def test_what_was_not_recorded_is_nan_in_the_features_made_of_it():
    plain = features.matrix(walk(LENGTH, flows=False))[LOOK_BACK:]
    absent = {name for number, name in enumerate(NAMES) if np.isnan(plain[:, number]).all()}

    assert absent == set(FLOWS)
    assert np.isfinite(without_flows(plain)).all()


def test_trades_are_judged_by_the_minutes_that_were_counted():
    even = replace(HISTORY, trade_count=np.where(UNRECORDED, np.nan, 30.0))
    found = features.matrix(even)[:, NAMES.index("trades_5")]

    none = np.all([np.roll(UNRECORDED, shift) for shift in range(5)], axis=0)
    assert none.sum() > 700
    assert np.isnan(found[none]).all()
    np.testing.assert_allclose(found[~none][LOOK_BACK:], np.log(1.01), rtol=1e-4)


def test_a_market_that_stands_still_has_finite_features():
    still = walk(LOOK_BACK + 5, quiet=1.0)

    assert np.isfinite(np.delete(features.matrix(still)[-1], [NAMES.index("trades_5")])).all()
    assert features.scale(still)[-1] > 0


def test_a_close_that_is_back_at_its_price_has_returned_by_nothing():
    closes = np.resize([100.0, 100.03, 100.01], LENGTH)
    found = features.matrix(replace(HISTORY, **dict.fromkeys(("open", "high", "low", "close"), closes)))[LOOK_BACK:]

    for span in (3, 15, 30, 60, 120, 240, 480, 1440):
        assert not found[:, NAMES.index(f"return_{span}")].any()


def test_a_wick_beyond_what_a_minute_may_move_counts_as_that_much():
    def wicks(high: float) -> np.ndarray:
        highs = np.copy(HISTORY.high)
        highs[2000] = high * HISTORY.close[2000]
        return features.matrix(replace(HISTORY, high=highs))[2000, [NAMES.index("wick_1"), NAMES.index("wicks_1")]]

    np.testing.assert_allclose(wicks(1.5), wicks(2.5), rtol=1e-3)
    assert wicks(1.5)[0] > wicks(1.2)[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_feature_agrees_with_pandas(name):
    close = {"tick_60": 2e-3, "tick_240": 2e-3}.get(name, 2e-4)
    np.testing.assert_allclose(column(name)[LOOK_BACK:], ORACLE[name][LOOK_BACK:], rtol=close, atol=5e-5)


def test_the_scale_agrees_with_pandas():
    np.testing.assert_allclose(features.scale(HISTORY)[LOOK_BACK:], np.exp(ORACLE.scale_level[LOOK_BACK:]), rtol=1e-6)


def test_there_is_no_column_beside_the_named_ones():
    assert sorted(NAMES) == sorted(ORACLE)
    assert len(set(NAMES)) == MATRIX.shape[1] == 168


@settings(max_examples=60)
@given(
    values=st.lists(st.floats(-9, 9), min_size=61, max_size=90),
    spans=st.sets(st.integers(1, 60), min_size=1, max_size=5).map(sorted).map(tuple),
)
def test_a_windows_sums_and_extremes_are_those_of_its_rows_alone(values, spans):
    rows = np.array(values)
    for join, plain in ((np.add, np.sum), (np.maximum, np.max), (np.minimum, np.min)):
        joined = windows.widened(rows, spans, join)
        for span in spans:
            windows_of = np.lib.stride_tricks.sliding_window_view(rows, span)
            np.testing.assert_allclose(joined[span], plain(windows_of, axis=1), atol=1e-12)
            for first in range(0, len(joined[span]), 13):
                alone = windows.widened(rows[first : first + span], spans[: spans.index(span) + 1], join)
                assert alone[span].tobytes() == joined[span][first : first + 1].tobytes()


def test_history_is_cut_into_blocks_and_shared_by_threads_without_a_trace():
    longer = walk(LOOK_BACK + 3 * features._BLOCK + 77, seed=9)
    whole = features.matrix(longer)

    for threads in (2, 4, 9):  # one makes columns at a time, or two, of more threads than there are blocks too
        assert features.matrix(longer, threads).tobytes() == whole.tobytes()
    for first in (LOOK_BACK, features._BLOCK, features._BLOCK + 1, len(longer) - 100):
        assert features.matrix(longer[first - LOOK_BACK :])[LOOK_BACK:].tobytes() == whole[first:].tobytes()


def bar(minute: int, close: int = 5_000_000_000_000, *, complete: bool = True) -> Bar:
    return Bar(
        BTC,
        MONDAY + minute * MINUTE,
        close,
        close,
        close,
        close,
        volume=10**8,
        buy_volume=10**7,
        trade_count=1,
        ranges=((minute + 1, minute + 1),),
        prior_id=minute,
        next_id=minute + 2 if complete else None,
    )


def test_minutes_of_bars_lie_on_a_grid_with_gaps_flat_and_unknown():
    minutes = Minutes.of_bars([bar(4, 7_000_000_000_000), bar(0), bar(1, 6_000_000_000_000), bar(2, complete=False)])

    assert minutes.start.tolist() == [MONDAY + MINUTE * row for row in range(5)]
    assert minutes.close.tolist() == [50_000, 60_000, 50_000, 50_000, 70_000]
    assert minutes.open.tolist() == [50_000, 60_000, 50_000, 50_000, 70_000]
    assert minutes.known.tolist() == [True, True, False, False, True]
    assert minutes.volume.tolist() == [1, 1, 1, 0, 1]
    assert np.isnan(minutes.buy_volume[3])


def test_bars_that_are_no_minutes_of_one_grid_are_refused():
    with pytest.raises(BrokenMinutesError, match="no minutes"):
        Minutes.of_bars([])
    with pytest.raises(BrokenMinutesError, match="repeat"):
        Minutes.of_bars([bar(1), bar(1)])
    with pytest.raises(BrokenMinutesError, match="one minute"):
        Minutes.of_bars([replace(bar(1), minutes=5)])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("close", np.nan, "price"),
        ("open", -1.0, "price"),
        ("volume", np.nan, "volume"),
        ("volume", -1.0, "volume"),
        ("high", 1.0, "enclose"),
        ("start", MONDAY + 1, "whole minute"),
        ("start", MONDAY + MINUTE, "repeat"),
    ],
)
def test_broken_columns_are_refused_by_name(name, value, said):
    columns = {field.name: np.copy(getattr(HISTORY[:9], field.name)) for field in fields(Minutes)}
    columns[name][3] = value
    prices = [columns.pop(price) for price in ("open", "high", "low", "close")]

    with pytest.raises(BrokenMinutesError, match=said):
        Minutes.of_columns(columns.pop("start"), *prices, **columns)


@pytest.mark.parametrize("far", [-17, 23])
def test_one_wrong_time_is_named_before_gigabytes_are_made_of_it(far):
    start = np.sort(np.append(MONDAY + MINUTE * np.arange(2000), MONDAY + far * 365 * 1440 * MINUTE))
    flat = np.ones(len(start))

    with pytest.raises(BrokenMinutesError, match=r"no bar is between .*: look for a wrong time"):
        Minutes.of_columns(start, flat, flat, flat, flat, volume=flat)


def test_a_time_far_off_is_refused_instead_of_filling_decades():
    with pytest.raises(BrokenMinutesError, match="years"):
        Minutes.of_bars([bar(0), bar(60 * 366 * 1440)])
