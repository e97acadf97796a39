"""The suite finds the bugs it is there for: each of these, planted on purpose, breaks the law for some seeds."""

from collections.abc import Callable, Collection
from typing import Any
from unittest import mock

import pytest

from btc import bars
from btc.aws import tables
from btc.aws.streams import TradeStream
from btc.feeds.continuity import Continuity
from btc.tape import Watermark
from btc.trades import Trades
from tests.faults import schedules

SEEDS = range(1, 161)


def broken() -> int | None:
    """The first of the seeds that breaks the law: waiting for quiet that never comes is what takes time."""
    return next((seed for seed in SEEDS if not schedules.run(seed).verdict.holds), None)


def put_unconditionally(client: Any, table: str, item: Any, condition: str, values: Any = None) -> bool:
    client.put_item(TableName=table, Item=item)
    return True


def see_all(held: Any, trades: Trades) -> Trades:
    return trades


def claim_across_holes(self: Continuity, time: int) -> Watermark | None:
    if self.last_id is None or time <= self._marked:
        return None
    self._marked = time
    self._settled = self._ahead[-1][1] if self._ahead else self.last_id
    return Watermark(self.market, time, self._settled)


def drop_what_failed(accepted: Callable[..., Any]) -> Callable[..., Any]:
    def drop(self: TradeStream, taken: list[Any]) -> list[Any]:
        accepted(self, taken)
        return []

    return drop


def take_all(self: TradeStream, lanes: Collection[Any]) -> list[Any]:
    taken = [(lane, record) for lane in lanes for record in lane.queue]
    for lane in lanes:
        lane.queue.clear()
    self._sealed_bytes -= sum(len(record.data) for _, record in taken)
    return taken


@pytest.mark.parametrize(
    ("place", "name", "planted"),
    [
        pytest.param(tables, "put_if", put_unconditionally, id="a write without its condition"),
        pytest.param(bars, "unseen", see_all, id="trades counted whatever the ids say"),
        pytest.param(Continuity, "watermark", claim_across_holes, id="a watermark across a hole"),
        pytest.param(TradeStream, "_take", take_all, id="a watermark that overtakes its trades"),
        pytest.param(
            TradeStream, "_accepted", drop_what_failed(TradeStream._accepted), id="failed records that are dropped"
        ),
    ],
)
def test_a_planted_bug_breaks_the_law(place: Any, name: str, planted: Any) -> None:
    with mock.patch.object(place, name, planted):
        assert broken() is not None
