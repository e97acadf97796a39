"""When the producer sends, to a stream that takes everything: a minute's end at once, the rest once it is due."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from btc import tape
from btc.aws.streams import TradeStream
from btc.tape import Watermark
from btc.times import MINUTE
from btc.trades import Market, Trades
from tests.unit.ingesting import NOON, Clock, trades

BTC, ETH = Market("kraken", "BTC-USD"), Market("kraken", "ETH-USD")
BATCH_S, STEP_S = 5.0, 0.05

Put = tuple[Market, int, bool, int]
"""A market, how many trades it makes, whether a minute of it ends, and how many steps pass after that."""

PUTS = st.lists(
    st.tuples(st.sampled_from([BTC, ETH]), st.integers(0, 40), st.booleans(), st.integers(0, 150)),
    min_size=1,
    max_size=20,
)


class Timed:
    """Takes everything, and tells when."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.taken: list[tuple[float, Trades | Watermark]] = []
        self.requests = 0

    def put_records(self, StreamName: str, Records: list[dict[str, bytes]]) -> dict[str, object]:  # noqa: ARG002, N803
        self.requests += 1
        self.taken += [(self.clock.now, tape.decode(record["Data"])) for record in Records]
        return {"Records": [{} for _ in Records]}

    def ids(self, market: Market) -> list[tuple[int, float]]:
        """The trades of a market in the order they were taken, each with its moment."""
        entries = [(now, entry) for now, entry in self.taken if isinstance(entry, Trades) and entry.market == market]
        return [(identity, now) for now, entry in entries for identity in entry.ids]


def run(puts: list[Put]) -> tuple[Timed, list[tuple[float, Trades | Watermark]]]:
    """What was taken, and what was put, each with its moment; nothing waits at the end."""
    clock = Clock()
    sink = Timed(clock)
    put: list[tuple[float, Trades | Watermark]] = []
    stream = TradeStream(cast("Any", sink), "trades", batch_s=BATCH_S, clock=clock, sleep=clock.sleep)
    last, minutes = {BTC: 0, ETH: 0}, {BTC: 0, ETH: 0}
    for market, count, ended, steps in puts:
        entries: list[Trades | Watermark] = []
        if count:
            entries.append(trades(market, *range(last[market] + 1, last[market] + count + 1)))
            last[market] += count
        if ended:
            minutes[market] += 1
            entries.append(Watermark(market, NOON + minutes[market] * MINUTE, last[market]))
        for entry in entries:
            put.append((clock.now, entry))
            stream.put(entry)
        for _ in range(steps + 1):
            stream.pump()
            clock.sleep(STEP_S)
    for _ in range(round(BATCH_S / STEP_S) + 1):
        stream.pump()
        clock.sleep(STEP_S)
    assert stream.buffered_bytes == 0
    return sink, put


@given(PUTS)
def test_a_minutes_end_is_sent_with_the_next_step_and_after_every_trade_it_tells_of(puts: list[Put]) -> None:
    sink, given_ = run(puts)

    put = {entry: now for now, entry in given_ if isinstance(entry, Watermark)}
    taken = {entry: now for now, entry in sink.taken if isinstance(entry, Watermark)}
    assert taken == put
    for market in (BTC, ETH):
        held = 0
        for entry in (entry for _, entry in sink.taken if entry.market == market):
            if isinstance(entry, Watermark):
                assert held == entry.last_id
            else:
                held = entry.ids[-1]


@given(PUTS)
def test_trades_keep_their_order_each_comes_once_and_none_waits_longer_than_it_may(puts: list[Put]) -> None:
    sink, given_ = run(puts)

    for market in (BTC, ETH):
        put = [
            (identity, now)
            for now, entry in given_
            if isinstance(entry, Trades) and entry.market == market
            for identity in entry.ids
        ]
        taken = sink.ids(market)
        assert [identity for identity, _ in taken] == [identity for identity, _ in put]
        assert all(sent - came <= BATCH_S + STEP_S + 1e-6 for (_, came), (_, sent) in zip(put, taken, strict=True))


@given(PUTS)
def test_no_more_is_asked_of_the_stream_than_the_pace_and_the_minutes_ends_call_for(puts: list[Put]) -> None:
    sink, given_ = run(puts)

    ends = sum(isinstance(entry, Watermark) for _, entry in given_)
    span = sink.clock.now - 100.0
    assert sink.requests <= span / BATCH_S + 1 + 2 * ends
