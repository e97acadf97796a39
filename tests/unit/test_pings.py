"""When the venue is asked for its time."""

from collections import deque
from itertools import cycle, pairwise

from hypothesis import given
from hypothesis import strategies as st

from btc.times import MINUTE, SECOND
from functions.ingest_trades.pings import EVERY_S, Pings

NOON = 1_762_776_000_000_000
STEP = 0.05


@given(
    lag=st.integers(0, 5 * SECOND),
    way=st.floats(0.0, 0.3),
    steps=st.lists(st.floats(0.001, STEP), min_size=1, max_size=50),
    start=st.integers(0, MINUTE),
)
def test_the_venues_clock_is_heard_soon_after_each_moment_from_which_a_minute_may_be_called_over(
    lag: int, way: float, steps: list[float], start: int
) -> None:
    """From a venue that is `way` seconds away, asked and heard by a loop of such steps."""
    pings, told, flying = Pings(lag), [], deque[float]()

    def venue(moment: float) -> int:
        return NOON + start + int(moment * SECOND)

    now = 0.0
    pings.begin(now)
    for step in cycle(steps):
        while flying and flying[0] + way <= now:
            told.append(venue(flying.popleft()))
            pings.hear(told[-1], now)
        if not pings.wait(now):
            flying.append(now + way)
            pings.sent(now)
        now += step
        if now > 130:
            break

    ends = [end + lag for end in range(NOON, told[-1] - lag, MINUTE) if end + lag > told[0] + 2 * way * SECOND]
    assert ends
    for end in ends:
        assert min(time for time in told if time >= end) <= end + 2 * (way + STEP) * SECOND
    assert max(after - before for before, after in pairwise(told)) <= (EVERY_S + 2 * STEP) * SECOND


def test_a_second_passes_between_two_pings_where_no_minute_ends() -> None:
    pings = Pings(0)
    pings.begin(100.0)
    assert pings.wait(100.0) == 0
    pings.sent(100.0)
    pings.hear(NOON + 10 * SECOND, 100.1)

    assert pings.wait(100.25) == 0.75


def test_the_end_of_a_minute_is_not_waited_beyond() -> None:
    pings = Pings(2 * SECOND)
    pings.begin(100.0)
    pings.sent(100.0)
    pings.hear(NOON + 61_750_000, 100.25)

    assert pings.wait(100.25) == 0.25
    assert pings.wait(100.5) == 0
    pings.sent(100.5)
    assert pings.wait(100.5) == 1.0
