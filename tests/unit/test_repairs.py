"""What an audit misses is fetched of every venue: that, no more, and no longer than there is time."""

from collections.abc import Callable
from typing import Any

import pytest

from btc.audits import Audit, Span
from btc.feeds.feed import HistoryError
from btc.feeds.repairs import OutOfTimeError, fetch, repair
from btc.feeds.venues import venue_of
from btc.trades import Market, Trades
from tests.unit import ingesting, test_feeds_binance, test_feeds_coinbase
from tests.unit.ingesting import Past
from tests.unit.market import BTC, NOON
from tests.unit.rest_server import serving

MINUTE = 60_000_000


def span(first: int, last: int, market: Market = BTC, lost: bool = True) -> Span:
    return Span(market, first, last, NOON, NOON + MINUTE, lost)


@pytest.mark.parametrize(
    ("market", "well"),
    [
        (Market("binance", "BTC-USDT"), test_feeds_binance.well),
        (Market("coinbase", "BTC-USD"), test_feeds_coinbase.well),
    ],
)
@pytest.mark.parametrize(("first", "last"), [(7, 7), (400, 1600), (2400, 2600)])
def test_a_venues_trades_of_a_span_come_by_its_pages(market: Market, well: Callable[..., Any], first: int, last: int):
    with serving(well) as server:
        history = venue_of(market.venue).history(server.url)
        known = {row for part in fetch(history, span(1, 10**6, market), lambda: 60.0) for row in part.ids}
        found = [row for part in fetch(history, span(first, last, market), lambda: 60.0) for row in part.ids]

    assert found == sorted(known & {*range(first, last + 1)})
    assert found


def test_nothing_is_asked_for_once_the_time_is_up() -> None:
    history = Past(BTC, [4, 5, 6])

    with pytest.raises(OutOfTimeError):
        next(fetch(history, span(4, 6), lambda: 0.0))
    assert history.found, "not asked"


class Refusing(Past):
    def step(self) -> Trades | None:
        raise HistoryError("HTTP 403: not from here")


def report(history: Past, *spans: Span, left: float = 60.0) -> tuple[list[int], tuple[int, int, int, str | None]]:
    sent: list[int] = []
    found = Audit((NOON,), 0, 0, spans)
    done = repair(found, history, lambda part: sent.extend(part.ids), due=lambda _: True, left=lambda: left)
    return sent, (done.trades, done.unrepairable, done.left, done.refusal)


def test_what_came_and_what_did_not_is_told() -> None:
    assert report(Past(BTC, [3, 4, 5, 6, 7]), span(4, 6)) == ([4, 5, 6], (3, 0, 0, None))
    assert report(Past(BTC, [3, 4, 7]), span(4, 6)) == ([4], (1, 1, 0, None))
    assert report(Past(BTC, [4, 5, 6]), span(4, 6, lost=False)) == ([4, 5, 6], (0, 0, 0, None))
    assert report(Past(BTC, [4, 5, 6]), span(4, 6), left=0.0) == ([], (0, 0, 1, None))
    refusal = "HTTP 403: not from here"
    assert report(Refusing(BTC, [4]), span(4, 6), span(8, 9)) == ([], (0, 0, 2, refusal))


def test_one_span_that_the_venue_lacks_does_not_keep_the_next_from_being_asked_for() -> None:
    assert ingesting.trades(BTC, 8).ids == [8]
    assert report(Past(BTC, [], [8]), span(4, 6), span(8, 8)) == ([8], (1, 0, 0, None))
