"""Tapes as an exchange would make them: ids without a hole, times that do not step back."""

from itertools import accumulate

from hypothesis import strategies as st

from btc.times import MINUTE
from btc.trades import Market, Trade

BTC = Market("kraken", "BTC-USD")
NOON = 1_762_776_000_000_000


@st.composite
def tapes(draw: st.DrawFn, *, min_size: int = 1, max_size: int = 40) -> list[Trade]:
    """Trades of one market over some minutes, quiet ones among them."""
    first = draw(st.integers(1, 10**9))
    steps = st.one_of(st.integers(0, 20_000_000), st.integers(0, 6 * MINUTE))
    times = list(accumulate(draw(st.lists(steps, min_size=min_size, max_size=max_size))))
    return [
        Trade(
            BTC,
            first + row,
            NOON + time,
            draw(st.integers(1, 20_000_000_000_000)),
            draw(st.integers(1, 10**12)),
            draw(st.booleans()),
        )
        for row, time in enumerate(times)
    ]
