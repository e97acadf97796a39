"""Times: integers inside, ISO 8601 at the edges, nothing lost between."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btc import times


@given(st.integers(0, 4_000_000_000_000_000))
def test_iso_text_tells_the_exact_microsecond(time):
    assert times.parse_iso(times.iso(time)) == time


@given(st.integers(0, 4_000_000_000_000_000))
def test_a_minute_holds_its_times(time):
    assert times.minute_of(time) <= time < times.minute_of(time) + times.MINUTE
    assert times.minute_of(time) % times.MINUTE == 0


def test_whole_seconds_read_short_and_sort_as_text():
    assert times.iso(1_762_776_000_000_000) == "2025-11-10T12:00:00Z"


@pytest.mark.parametrize("text", ["2026-11-22T20:28:00", "yesterday", ""])
def test_a_time_without_a_zone_is_refused(text):
    with pytest.raises(ValueError, match=r"no time zone|Invalid isoformat"):
        times.parse_iso(text)


def test_a_naive_datetime_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        times.from_datetime(datetime(2026, 1, 1))  # noqa: DTZ001 - that it has no zone is the point
